"""Settings: every key, every way to get it wrong, and the page that documents them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import fields
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.test import override_settings

from celery_health import conf
from celery_health.conf import (
    CHECK_IDS,
    DEFAULT_PERMISSIONS,
    PARSERS,
    QUEUE_LIMITS,
    TASK_LIMITS,
    DeadLetterSettings,
    LabelSettings,
    Limits,
    Settings,
    get_settings,
    parse,
)
from celery_health.conf.pairs import HEARTBEAT_SPREAD
from celery_health.conf.parsers import _LABEL_PARSERS
from celery_health.exceptions import ConfigurationError
from celery_health.reporting.agent import JITTER

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "settings.md"


def customer(*args: object, **kwargs: object) -> str:
    return "gold"


#: key → what may be written, and what it becomes.
GOOD: dict[str, list[tuple[Any, Any]]] = {
    "CELERY_APP": [("proj", "proj"), ("proj.celery:app", "proj.celery:app"), (None, None)],
    "APP_ID": [("shop", "shop"), (None, None)],
    "STORE_URL": [("redis://:pw@localhost:6379/1", "redis://:pw@localhost:6379/1"), (None, None)],
    "STORE_PREFIX": [("health:", "health:"), (None, None)],
    "DEADLINE": [(2, 2.0), (0.25, 0.25), (timedelta(milliseconds=500), 0.5)],
    "HEARTBEAT_INTERVAL": [(1, 1.0), (timedelta(minutes=1), 60.0)],
    "FLUSH_INTERVAL": [(0.5, 0.5), (timedelta(seconds=3), 3.0)],
    "MONITOR_ALL_TASKS": [(False, False), (True, True)],
    "MIN_WORKERS": [(0, 0), (3, 3)],
    "EXPECTED_QUEUES": [(["a", "b"], ("a", "b")), ((), ()), ({"b", "a"}, ("a", "b"))],
    "IGNORED_QUEUES": [(("a",), ("a",))],
    "EXPECT_BEAT": [(True, True), (False, False), (None, None), ("auto", None)],
    "LIMITS": [
        ({}, Limits()),
        ({"depth": 0}, Limits(depth=0)),
        ({"age_seconds": timedelta(hours=1)}, Limits(age_seconds=3600.0)),
        ({"recent_seconds": 3600, "failure_ratio": 1}, Limits(recent_seconds=3600, failure_ratio=1.0)),
    ],
    "QUEUES": [
        ({"a": {"depth": 5, "scale_to_zero": True}}, {"a": {"depth": 5, "scale_to_zero": True}}),
        ({"a": {"age_seconds": timedelta(minutes=1)}}, {"a": {"age_seconds": 60.0}}),
    ],
    "TASKS": [
        (
            {"a.b": {"expected": timedelta(minutes=2), "failure_floor": 3}},
            {"a.b": {"expected": 120.0, "failure_floor": 3}},
        )
    ],
    "CHECKS": [
        ({"queues.depth": "fail", "beat.alive": "off"}, {"queues.depth": "fail", "beat.alive": "off"})
    ],
    "SILENCED": [(["W203", "W203:queue:legacy"], ("W203", "W203:queue:legacy"))],
    "HEALTH_DETAILS": [("always", "always"), ("staff", "staff")],
    "PERMISSIONS": [({"read": "a.B"}, {**DEFAULT_PERMISSIONS, "read": "a.B"}), ({}, {**DEFAULT_PERMISSIONS})],
    "METRICS_DIALECTS": [(["exporter", "task_status"], ("exporter", "task_status")), ([], ())],
    "METRICS_NAMESPACE": [("shop_celery", "shop_celery")],
    "LABELS": [
        ({"customer_id": {}}, {"customer_id": LabelSettings()}),
        (
            {"tier": {"max_values": 3, "values": ["a"], "source": customer}},
            {"tier": LabelSettings(max_values=3, values=("a",), source=customer)},
        ),
        ({"tier": {"values": None, "source": "plan"}}, {"tier": LabelSettings(source="plan")}),
    ],
    "SHOW_ARGUMENTS": [(True, True)],
    "REDACT": [(["iban"], ("iban",)), ([], ())],
    "DEAD_LETTERS": [
        ({"enabled": True}, DeadLetterSettings(enabled=True)),
        ({"suffix": ".dlq", "max_length": 0}, DeadLetterSettings(suffix=".dlq", max_length=0)),
        ({"max_redeliveries": 3}, DeadLetterSettings(max_redeliveries=3)),
    ],
    "PROBE_DIR": [("/run/celery", "/run/celery"), (None, None)],
}

#: key → what may not, and what the error says. Every key has a bad type; where there is one, a bad value.
BAD: dict[str, list[tuple[Any, str]]] = {
    "CELERY_APP": [
        (5, "is 5: set the path of the Celery app"),
        ("proj/celery.py", "is 'proj/celery.py': set the path"),
        ("", "is '': set the path"),
        ("a:b:c", "is 'a:b:c': set the path"),
    ],
    "APP_ID": [(5, "is 5: set a text that is not empty"), ("  ", "is '  ': set a text")],
    "STORE_URL": [
        ({"password": "hunter2"}, "is of type dict: set a URL, such as 'redis://localhost:6379/1'"),
        ("localhost:6379", "is 'localhost:6379': set a URL"),
    ],
    "STORE_PREFIX": [(b"x", "is b'x': set a text"), ("", "is '': set a text")],
    "DEADLINE": [
        ("2", "is '2': set seconds or a timedelta"),
        (0, "is 0: set a duration over 0"),
        (-1, "is -1: set seconds or a timedelta, of 0 or more"),
        (True, "is True: set seconds"),
        (float("nan"), "is nan: set seconds"),
        (float("inf"), "is inf: set seconds"),
        (10**400, "is 10000"),
        (timedelta(0), "is datetime.timedelta(0): set a duration over 0"),
        (timedelta(seconds=-1), "set seconds or a timedelta, of 0 or more"),
        (None, "is None: set seconds"),
    ],
    "HEARTBEAT_INTERVAL": [([], "is []: set seconds"), (0, "is 0: set a duration")],
    "FLUSH_INTERVAL": [({}, "is {}: set seconds"), (0.0, "is 0.0: set a duration")],
    "MONITOR_ALL_TASKS": [("False", "is 'False': set True or False"), (1, "is 1: set True or False")],
    "MIN_WORKERS": [(1.5, "is 1.5: set a whole number"), (-1, "is -1: set a whole"), (True, "is True: set")],
    "EXPECTED_QUEUES": [("celery", "is 'celery': set a list of names"), ([1], "an item of CELERY_HEALTH[")],
    "IGNORED_QUEUES": [({"a": 1}, "is {'a': 1}: set a list"), ([""], "is '': set a text")],
    "EXPECT_BEAT": [("yes", "is 'yes': set True, False or None (auto)"), (0, "is 0: set True")],
    "LIMITS": [
        ([("depth", 1)], "is [('depth', 1)]: set a dict"),
        ({"depht": 1}, "unknown limit 'depht'. Did you mean 'depth'? Known: worker_lost_seconds, "),
        ({"depth": "many"}, "['LIMITS']['depth'] is 'many': set a number of 0 or more"),
        # A count is no duration.
        ({"depth": timedelta(1)}, "['LIMITS']['depth'] is datetime.timedelta"),
        ({"age_seconds": -1}, "['LIMITS']['age_seconds'] is -1: set seconds"),
        ({"failure_ratio": 50}, "is 50: set a share from 0 to 1"),
        ({"recent_seconds": timedelta(hours=2)}, "set at most 3600 seconds"),
    ],
    "QUEUES": [
        (["a"], "is ['a']: set a dict"),
        ({"a": 5}, "['QUEUES']['a'] is 5: set a dict"),
        (
            {"a": {"scale_too_zero": True}},
            "unknown key 'scale_too_zero'. Did you mean 'scale_to_zero'?",
        ),
        ({"a": {"scale_to_zero": 1}}, "['a']['scale_to_zero'] is 1: set True or False"),
        ({"a": {"failure_ratio": 1}}, "unknown key 'failure_ratio'"),
        ({5: {}}, "is {5: {}}: set a dict with names as keys"),
    ],
    "TASKS": [
        ("x", "is 'x': set a dict"),
        ({"t": {"expected": 0}}, "['t']['expected'] is 0: set a duration over 0"),
        ({"t": {"depth": 1}}, "unknown key 'depth'"),
        ({"t": {"failure_ratio": 2}}, "is 2: set a share"),
    ],
    "CHECKS": [
        (["queues.depth"], "set a dict"),
        ({"queue.depth": "off"}, "unknown check 'queue.depth'. Did you mean 'queues.depth'?"),
        ({"queues.depth": "warning"}, "is 'warning': set one of 'fail', 'warn', 'off'. Did you mean 'warn'?"),
        ({"queues.depth": None}, "is None: set one of"),
    ],
    "SILENCED": [("W203", "is 'W203': set a list of names"), ([None], "is None: set a text")],
    "HEALTH_DETAILS": [(True, "is True: set one of 'always', 'staff'"), ("Staff", "Did you mean 'staff'?")],
    "PERMISSIONS": [
        ([], "is []: set a dict"),
        ({"reed": "a.B"}, "unknown key 'reed'. Did you mean 'read'?"),
        ({"read": "IsAdminUser"}, "['read'] is 'IsAdminUser': set the dotted path of a class"),
        ({"read": customer}, "set the dotted path of a class"),
    ],
    "METRICS_DIALECTS": [
        ("exporter", "is 'exporter': set a list of names"),
        (["exportr"], "is 'exportr': set one of 'exporter', 'background_job', 'task_status'. Did you mean"),
    ],
    "METRICS_NAMESPACE": [(None, "is None: set the start of a metric name"), ("my-app", "is 'my-app'")],
    "LABELS": [
        (["tier"], "is ['tier']: set a dict"),
        ({"customer-id": {}}, "is 'customer-id': set a Prometheus label name"),
        ({"größe": {}}, "is 'größe': set a Prometheus label name"),
        ({"__name": {}}, "is '__name': set a Prometheus label name"),
        ({"queue_name": {}}, "is 'queue_name': set another name: these are taken: name, "),
        ({"namespace": {}}, "is 'namespace': set another name"),
        ({"tier": {"max_value": 1}}, "['tier'] has the unknown key 'max_value'. Did you mean 'max_values'?"),
        ({"tier": {"max_values": 1.5}}, "is 1.5: set a whole number"),
        ({"tier": {"values": "gold"}}, "is 'gold': set a list of names"),
        ({"tier": {"source": 5}}, "is 5: set a parameter's name or a callable"),
        ({"tier": {"source": "a b"}}, "is 'a b': set a parameter's name"),
    ],
    "SHOW_ARGUMENTS": [("yes", "is 'yes': set True or False")],
    "REDACT": [("password", "is 'password': set a list of names")],
    "DEAD_LETTERS": [
        (True, "is True: set a dict"),
        (
            {"enable": True},
            "key 'enable'. Did you mean 'enabled'? Known: enabled, suffix, max_length, max_redeliveries.",
        ),
        ({"enabled": "no"}, "['enabled'] is 'no': set True or False"),
        ({"suffix": ""}, "['suffix'] is '': set a text"),
        ({"max_length": -1}, "['max_length'] is -1: set a whole number"),
    ],
    "PROBE_DIR": [(5, "is 5: set a text")],
}


def cases(table: dict[str, list[tuple[Any, Any]]]) -> list[Any]:
    return [
        pytest.param(key, value, wanted, id=f"{key}-{number}")
        for key, rows in table.items()
        for number, (value, wanted) in enumerate(rows)
    ]


@pytest.mark.parametrize(("key", "value", "wanted"), cases(GOOD))
def test_parse__good_value(key: str, value: Any, wanted: Any) -> None:
    assert getattr(parse({key: value}), key.lower()) == wanted


@pytest.mark.parametrize(("key", "value", "message"), cases(BAD))
def test_parse__bad_value_names_key_value_and_fix(key: str, value: Any, message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse({key: value})
    text = str(caught.value)
    assert f"CELERY_HEALTH['{key}']" in text
    assert message in text
    assert len(text) < 800


def test_parse__every_key_has_good_and_bad_cases() -> None:
    assert set(GOOD) == set(BAD) == set(PARSERS)
    assert {key.lower() for key in PARSERS} == {f.name for f in fields(Settings)}


def test_parse__nothing_set_gives_the_defaults() -> None:
    assert parse({}) == Settings()


@pytest.mark.parametrize(
    ("key", "guess"),
    [
        ("DEADLIN", "'DEADLINE'"),
        ("deadline", "'DEADLINE'"),  # the attribute's name is an easy mistake
        ("EXPECTED_QUEUE", "'EXPECTED_QUEUES'"),
        ("HEARTBEAT", "'HEARTBEAT_INTERVAL'"),
    ],
)
def test_parse__unknown_key_names_the_nearest(key: str, guess: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse({key: 1})
    assert f"CELERY_HEALTH has the unknown key {key!r}. Did you mean {guess}? Known: CELERY_APP, " in str(
        caught.value
    )


def test_parse__unknown_key_without_likeness_lists_the_known() -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse({"zzz": 1})
    assert str(caught.value).startswith(
        "CELERY_HEALTH has the unknown key 'zzz'. Known: CELERY_APP, APP_ID, "
    )
    assert str(caught.value).endswith(", PROBE_DIR.")


@pytest.mark.parametrize("raw", [None, [], "redis://:hunter2@localhost", [("password", "hunter2")], 5])
def test_parse__not_a_dict(raw: object) -> None:
    with pytest.raises(ConfigurationError, match=r"^CELERY_HEALTH is of type \w+: set a dict\.$") as caught:
        parse(raw)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("key", ["APP_ID", "STORE_URL", "LIMITS", "CELERY_APP", "EXPECTED_QUEUES"])
def test_parse__no_password_in_an_error(key: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse({key: ("redis://:hunter2@localhost/0", 5)})
    assert "hunter2" not in str(caught.value)


def test_parse__a_long_value_is_cut() -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse({"DEADLINE": "x" * 100_000})
    assert len(str(caught.value)) < 400


def test_parse__labels_keys_equal_the_fields() -> None:
    assert set(_LABEL_PARSERS) == {f.name for f in fields(LabelSettings)}


def test_settings__limit_of_queue_and_task() -> None:
    settings = parse(
        {
            "LIMITS": {"depth": 50, "failure_floor": 7},
            "QUEUES": {"bulk": {"depth": 0}},
            "TASKS": {"a.b": {"failure_floor": 1}},
        }
    )
    assert settings.limit("depth") == 50
    assert settings.limit("depth", queue="bulk") == 0  # zero is a value
    assert settings.limit("depth", queue="other") == 50
    assert settings.limit("age_seconds", queue="bulk") == 600
    assert settings.limit("failure_floor", task="a.b") == 1
    assert settings.limit("failure_floor", task="a.c") == 7


def test_settings__scales_to_zero() -> None:
    settings = parse({"QUEUES": {"gpu": {"scale_to_zero": True}, "cpu": {"depth": 1}}})
    assert settings.scales_to_zero("gpu")
    assert not settings.scales_to_zero("cpu")
    assert not settings.scales_to_zero("other")


def test_settings__limits_of_queue_and_task_are_limits() -> None:
    known = {f.name for f in fields(Limits)}
    assert known.issuperset(QUEUE_LIMITS)
    assert known.issuperset(TASK_LIMITS)


def test_settings__probe_directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("CELERY_HEALTH_PROBE_DIR", raising=False)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert Settings().probe_directory == str(tmp_path)
    monkeypatch.setenv("CELERY_HEALTH_PROBE_DIR", "/from/environment")
    assert Settings().probe_directory == "/from/environment"
    assert Settings(probe_dir="/from/settings").probe_directory == "/from/settings"


def test_get_settings__override_settings_is_seen_at_once() -> None:
    before = get_settings().deadline
    with override_settings(CELERY_HEALTH={"DEADLINE": timedelta(seconds=7)}):
        assert get_settings().deadline == 7.0
        with override_settings(CELERY_HEALTH={}):
            assert get_settings() == Settings()
        assert get_settings().deadline == 7.0
    assert get_settings().deadline == before


def test_get_settings__parsed_once_per_object() -> None:
    with override_settings(CELERY_HEALTH={"MIN_WORKERS": 2}):
        assert get_settings() is get_settings()


def test_get_settings__bad_settings_raise_at_every_read() -> None:
    with override_settings(CELERY_HEALTH={"MIN_WORKERS": "2"}):
        for _ in range(2):
            with pytest.raises(ConfigurationError, match="MIN_WORKERS"):
                get_settings()


def test_get_settings__setting_absent(settings: Any) -> None:
    del settings.CELERY_HEALTH
    assert get_settings() == Settings()


def test_conf__every_name_is_importable_from_it() -> None:
    assert [name for name in conf.__all__ if not hasattr(conf, name)] == []


# The page ----------------------------------------------------------------------------------------------


def rows_under(heading: str) -> Iterator[list[str]]:
    """Yield the cells of the first table under a heading of docs/reference/settings.md."""
    section = PAGE.read_text().split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    for line in lines[2:]:
        yield [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def documented(heading: str) -> dict[str, Any]:
    return {row[0].strip("`"): ast.literal_eval(row[1].strip("`")) for row in rows_under(heading)}


def test_docs__keys_and_defaults_equal_the_code() -> None:
    defaults: dict[str, Any] = {}
    for key in PARSERS:
        value = getattr(Settings(), key.lower())
        defaults[key] = list(value) if isinstance(value, tuple) else value
    # What the page shows as an empty dict is filled with the defaults of its own table.
    for key in ("LIMITS", "DEAD_LETTERS", "PERMISSIONS", "QUEUES", "TASKS", "CHECKS", "LABELS"):
        defaults[key] = {}
    assert documented("Keys") == defaults


def test_docs__limits_equal_the_code() -> None:
    assert documented("LIMITS") == {f.name: f.default for f in fields(Limits)}


def test_docs__queue_and_task_keys_equal_the_code() -> None:
    assert [row[0].strip("`") for row in rows_under("QUEUES")] == [*QUEUE_LIMITS, "scale_to_zero"]
    assert [row[0].strip("`") for row in rows_under("TASKS")] == [*TASK_LIMITS, "expected"]


def test_docs__checks_equal_the_code() -> None:
    assert tuple(row[0].strip("`") for row in rows_under("CHECKS")) == CHECK_IDS


def test_docs__dead_letters_labels_and_permissions_equal_the_code() -> None:
    assert documented("DEAD_LETTERS") == {f.name: f.default for f in fields(DeadLetterSettings)}
    assert documented("LABELS") == {f.name: f.default for f in fields(LabelSettings)}
    assert documented("PERMISSIONS") == dict(DEFAULT_PERMISSIONS)


def test_parse__limits_on_silence_grow_with_the_intervals() -> None:
    assert parse({}).limits == Limits()
    assert parse({"HEARTBEAT_INTERVAL": 10}).limits.worker_lost_seconds == 30
    limits = parse({"HEARTBEAT_INTERVAL": 60}).limits
    assert (limits.worker_lost_seconds, limits.beat_lost_seconds) == (180, 180)
    assert limits.beat_doubled_seconds == 180
    # Records go up with the counts: at every 60 s where those do.
    limits = parse({"FLUSH_INTERVAL": 60}).limits
    assert (limits.worker_lost_seconds, limits.beat_lost_seconds, limits.beat_doubled_seconds) == (
        132,
        132,
        66,
    )


SILENCES = [
    # heartbeat, flush, limit, its least: two records, each up to a fifth late, and what waits for a flush
    (5, 1, "worker_lost_seconds", 14.0),
    (20, 1, "worker_lost_seconds", 50.0),
    (1, 0.25, "worker_lost_seconds", 2.9),
    (5, 30, "worker_lost_seconds", 72.0),
    (60, 1, "beat_lost_seconds", 146.0),
    (60, 1, "beat_doubled_seconds", 73.0),
    (0.1, 0.03, "worker_lost_seconds", 0.3),
]


@pytest.mark.parametrize(("heartbeat", "flush", "name", "least"), SILENCES)
def test_parse__limits_on_silence_leave_room_for_a_late_record(
    heartbeat: float, flush: float, name: str, least: float
) -> None:
    given = {"HEARTBEAT_INTERVAL": heartbeat, "FLUSH_INTERVAL": flush}

    assert getattr(parse({**given, "LIMITS": {name: least}}).limits, name) == least
    with pytest.raises(ConfigurationError) as raised:
        parse({**given, "LIMITS": {name: least - 0.1}})
    message = str(raised.value)
    assert message.startswith(f"CELERY_HEALTH['LIMITS'][{name!r}] is {least - 0.1:g}, and up to ")
    assert message.endswith(f" Set {least:g} or more, or leave it out.")


def test_parse__knows_how_heartbeats_spread() -> None:
    assert HEARTBEAT_SPREAD == JITTER
