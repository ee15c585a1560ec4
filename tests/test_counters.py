"""The fields of the totals: there and back again, whatever the labels hold."""

import pytest

from celery_health import counters
from celery_health.counters import FAMILIES, clean, custom_labels, decode, encode


@pytest.mark.parametrize("family", FAMILIES.values(), ids=lambda family: family.name)
def test_field__comes_back_as_it_went_in(family):
    labels = tuple(f"value of {label}" for label in family.labels)
    parts = ["0", str(len(family.buckets)), "sum"] if family.kind == "histogram" else [None]
    for part in parts:
        assert decode(encode(family, labels, part)) == (family, labels, part, ())


def test_field__labels_that_were_opted_in_stand_behind_it():
    own = (("customer_id", "a=b\x1d\x1f"), ("tier", ""))
    field = encode(counters.STARTED, ("pay", "celery")) + custom_labels(own)
    assert field == "started\x1fpay\x1fcelery\x1dcustomer_id=a=b??\x1dtier="
    assert decode(field) == (
        counters.STARTED, ("pay", "celery"), None, (("customer_id", "a=b??"), ("tier", ""))
    )  # fmt: skip


@pytest.mark.parametrize(
    "field",
    [
        "epoch",  # the store's own
        "",
        "invented_by_a_newer_version\x1fa\x1fb",
        "received\x1fa",  # a label is missing
        "received\x1fa\x1fb\x1fc",
        "received\x1fa\x1fb\x1e3",  # a counter with a bucket
        "runtime\x1fa\x1fb",  # a histogram without one
        "runtime\x1fa\x1fb\x1e19",  # over the last bucket
        "runtime\x1fa\x1fb\x1emean",
        "started\x1fa\x1fb\x1d",  # a label without a name
        'started\x1fa\x1fb\x1dx"} 1=2',  # one that would end up outside its quotes
        "\x1dtier=gold",  # one of the values that the store has admitted
    ],
)
def test_field__unknown_ones_are_none(field):
    assert decode(field) is None


def test_field__is_readable():
    assert encode(counters.FAILED, ("pay", "celery", "ValueError")) == "failed\x1fpay\x1fcelery\x1fValueError"
    assert encode(counters.RUNTIME, ("pay", "celery"), 3) == "runtime\x1fpay\x1fcelery\x1e3"


@pytest.mark.parametrize(
    ("value", "cleaned"),
    [
        ("shop.tasks.pay", "shop.tasks.pay"),
        ("", ""),
        ("größer 🎉", "größer 🎉"),
        ("a\x1fb\x1ec\nd\x00\x7f", "a?b?c?d??"),
        ("\ud83d", "?"),  # half a character, from a broken message
        ("x" * 300, "x" * 200),
        (None, "None"),
    ],
)
def test_clean__makes_a_label_value(value, cleaned):
    assert clean(value) == cleaned


def test_families__names_and_edges():
    assert all(name == family.name for name, family in FAMILIES.items())
    assert counters.DURATION_BUCKETS[0] == 0.005
    assert counters.DURATION_BUCKETS[-1] == 3600.0
    assert list(counters.DURATION_BUCKETS) == sorted(set(counters.DURATION_BUCKETS))
