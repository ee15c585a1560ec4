"""The tasks of `every_order`, for those who must not import it: that would declare them here too."""

from __future__ import annotations

#: Names of the tasks whose options say: 120 seconds, label ``tier``, dead letters for ValueError.
NAMES = (
    "shared_over", "shared_under", "app_over", "app_under", "bound_over", "bound_under", "retried_over",
    "retried_under", "wrapped", "based", "class_based",
)  # fmt: skip
#: Those that fail their first attempts and end in the third.
RETRIED = ("retried_over", "retried_under")
