"""Every benchmark of the table, within its target."""

from collections.abc import Callable

import pytest

from tests.benchmarks.__main__ import benchmarks
from tests.benchmarks.base import HEADER, Figure


@pytest.mark.parametrize("benchmark", list(benchmarks()), ids=lambda function: function.__name__)
def test_figure__is_within_its_target(benchmark: Callable[[], Figure]) -> None:
    figure = benchmark()
    print(f"\n{HEADER}\n{figure.line()}")
    assert figure.is_met
