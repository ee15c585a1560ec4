"""PromQL in pieces: selectors, and the ways to read one total that several replicas serve."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

#: Labels of the scrape that keep apps apart; those that differ between replicas of one app are left out.
KEPT: Final = ("job", "namespace")


@dataclass(frozen=True, kw_only=True, slots=True)
class Scope:
    """Which series the expressions are about, and how fast time goes."""

    matchers: str = ""
    """Label matchers for every selector: ``job="celery",namespace="shop"``."""
    kept: tuple[str, ...] = KEPT
    """Labels that every expression keeps: each that `matchers` name must be among them.

    What a recording rule makes has no others, and is selected by the same matchers.
    """
    pace: float = 1.0
    """Times every range and every ``for``: below 1 in tests, where nobody waits for ten minutes."""

    def select(self, metric: str, *matchers: str) -> str:
        """Return the selector of `metric`."""
        inside = ",".join(part for part in (self.matchers, *matchers) if part)
        return f"{metric}{{{inside}}}" if inside else metric

    def names(self, labels: Iterable[str] = ()) -> str:
        """Return what stands in the brackets of ``by`` and ``on``."""
        return names(labels, self.kept)

    def window(self, seconds: float) -> str:
        """Return a duration for a range or an offset."""
        return duration(seconds * self.pace)

    def gauge(self, metric: str, *matchers: str, by: tuple[str, ...] = ()) -> str:
        """Return the value of a gauge, once however many replicas serve it."""
        return f"max by ({self.names(by)}) ({self.select(metric, *matchers)})"

    def increase(
        self,
        metric: str,
        *matchers: str,
        seconds: float,
        by: tuple[str, ...],
        of: tuple[str, ...],
        watched: str,
    ) -> str:
        """Return how much a counter grew, by some of its labels `of`, once however many replicas serve it.

        A series that is born at 3 grew by 3, where ``increase()`` alone says 0. That it was born, and not
        only seen for the first time, is known where `watched` holds (see `Project.watched`).
        """
        counter, window = self.select(metric, *matchers), self.window(seconds)
        kept, once = self.names(), f"max by ({self.names(of)})"
        # Replicas are taken together first: a new one's series are young, what they count is not.
        return (
            f"sum by ({self.names(by)}) (\n"
            f"  (\n"
            f"    {once} ({counter})\n"
            f"    unless {once} ({counter} offset {window})\n"
            f"    and on ({kept}) {watched}\n"
            f"  )\n"
            f"  or {once} (increase({counter}[{window}]))\n"
            f")"
        )

    def quantile(
        self,
        quantile: float,
        metric: str,
        *matchers: str,
        seconds: float,
        by: tuple[str, ...],
        of: tuple[str, ...],
    ) -> str:
        """Return a quantile of a histogram, by some of its labels `of`."""
        rate = f"rate({self.select(f'{metric}_bucket', *matchers)}[{self.window(seconds)}])"
        once = f"max by ({self.names((*of, 'le'))}) ({rate})"
        return f"histogram_quantile({quantile}, sum by ({self.names((*by, 'le'))}) ({once}))"


def names(labels: Iterable[str], kept: Iterable[str] = KEPT) -> str:
    """Return what stands in the brackets of ``by``."""
    return ", ".join((*kept, *labels))


def duration(seconds: float) -> str:
    """Return a duration as Prometheus writes it: ``5m``, ``90s``, ``1500ms``."""
    millis = round(seconds * 1000)
    for unit, size in (("h", 3_600_000), ("m", 60_000), ("s", 1000)):
        if millis and millis % size == 0:
            return f"{millis // size}{unit}"
    return f"{millis}ms" if millis else "0s"


def number(value: float) -> str:
    """Return a number of an expression."""
    return str(int(value)) if value == int(value) else repr(float(value))


def equals(label: str, value: str) -> str:
    """Return a matcher."""
    return f"{label}={quoted(value)}"


def one_of(label: str, values: Iterable[str]) -> str:
    """Return a matcher for these values."""
    return f"{label}=~{quoted(_pattern(values))}"


def none_of(label: str, values: Iterable[str]) -> str:
    """Return a matcher for every other value; "" for all when there are none to leave out."""
    pattern = _pattern(values)
    return f"{label}!~{quoted(pattern)}" if pattern else ""


def quoted(text: str) -> str:
    """Return a string literal; what JSON escapes, Go does the same way."""
    return json.dumps(text, ensure_ascii=False)


def _pattern(values: Iterable[str]) -> str:
    return "|".join(_literal(value) for value in sorted(values))


def _literal(text: str) -> str:
    # re.escape() puts a backslash before characters that RE2 refuses to see escaped, such as a blank.
    return re.sub(r"([.*+?^${}()|\[\]\\])", r"\\\1", text)
