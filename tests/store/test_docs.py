"""The page about the store says what the code does."""

import re

from celery_health.store import keys as limits
from celery_health.store import minutes
from celery_health.store.keys import COMMANDS, Keys
from tests.support import ROOT

PAGE = (ROOT / "docs/reference/store.md").read_text()


def rows():
    found = re.findall(r"^\| `([^`]+)` \| (\w+) \| .* \| (.*) \|$", PAGE, re.MULTILINE)
    return {key: (kind, lives) for key, kind, lives in found}


def test_docs__list_every_key():
    keys = Keys("")
    assert set(rows()) == {
        keys.totals,
        keys.processes,
        keys.records,
        keys.rows,
        keys.pruned,
        keys.workers,
        keys.starts,
        keys.missing,
        keys.beats,
        keys.entries,
        keys.registered,
        keys.consumed,
        f"{keys.ring}<minute>",
        f"{keys.exceptions}<minute>",
        keys.streaks,
        keys.troubles,
        keys.sequence("<writer>"),
    }


def test_docs__state_the_life_spans():
    day = 86400
    assert {key: lives for key, (_, lives) in rows().items()} == {
        "totals": f"{limits.TOTALS_SECONDS // day} days after the last publication",
        "processes": (
            f"{limits.WORKER_SECONDS // day} day after the last record; one process: "
            f"{limits.WORKER_SECONDS // day} day, goodbyes {limits.GOODBYE_SECONDS // 3600} hour; of those "
            f"of one name that are silent the {limits.MAX_SILENT} youngest, of all "
            f"{limits.MAX_PROCESSES}; of all names some {limits.MAX_ALL_PROCESSES:,}, the silent "
            "for longest go first; pruned in small steps, one whenever one comes"
        ),
        "rows": "as its process",
        "records": "as its process",
        "pruned": f"{limits.WORKER_SECONDS // day} day after one came",
        "workers": f"{limits.WORKER_SECONDS // day} day after the last record",
        "starts": (
            f"{limits.STARTS_SECONDS // 3600} hour after the last start, or the last report of one that is "
            f"not ready; of at most {limits.MAX_STARTED_NAMES:,} names"
        ),
        "missing": f"{limits.MISSING_SECONDS // 60} minutes",
        "beats": f"until replaced: the {limits.MAX_BEATS} youngest stay",
        "entries": (
            f"{limits.ENTRY_SECONDS // day} days after a beat last told its schedule; {limits.MAX_ENTRIES:,} "
            f"entries, begun anew after {limits.ENTRY_ABSENCE_SECONDS // 60} minutes without"
        ),
        "registered": f"{limits.REGISTERED_SECONDS // day} day after a worker last named it",
        "consumed": f"{limits.CONSUMED_SECONDS // day} days",
        "ring:<minute>": f"{limits.RING_SECONDS // 60} minutes",
        "exceptions:<minute>": "as its minute of the ring",
        "streaks": (
            f"until a run ends well; at most {limits.STREAK_SECONDS // day} days, {limits.MAX_STREAKS:,} "
            "tasks: the oldest go first"
        ),
        "troubles": f"{limits.TROUBLE_SECONDS // 3600} hour",
        "seq:<writer>": (
            f"{limits.SEQUENCE_SECONDS // day} days of silence; "
            f"of producers {limits.PRODUCER_SEQUENCE_SECONDS // 3600} hour"
        ),
    }


def test_docs__name_the_commands_and_the_bounds():
    rule = re.search(r"^ACL SETUSER .*$", PAGE, re.MULTILINE)
    assert rule is not None
    assert re.findall(r"\+(\w+)", rule[0]) == list(COMMANDS)
    assert f"(the {limits.MAX_STARTS} youngest)" in PAGE
    assert f"{limits.MAX_FIELDS:,} fields" in PAGE
    assert f"{limits.MAX_RING_FIELDS:,}" in PAGE
    assert f"its exceptions\n{limits.MAX_RING_EXCEPTIONS:,}" in PAGE
    assert f"calls of {minutes.STEP_FIELDS:,} counts" in PAGE
    assert f"at most {minutes.MAX_BYTES // 10**6} MB" in PAGE
