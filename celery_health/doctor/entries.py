"""Entries of the settings beside those that beat keeps in tables or in Redis: each is judged once. Pure.

Where beat keeps its schedule outside, it writes the entries of the settings there when it starts, over those
of the same name (``setup_schedule`` of ``DatabaseScheduler`` and ``RedBeatScheduler``); what it sends is what
stands there. So a copy that says the same is no second entry; of two that differ, the kept one counts now,
and that of the settings from beat's next start on.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace

from celery_health.doctor.facts import EntryFacts
from celery_health.doctor.findings import Finding, Kind


def each_once(
    configured: Sequence[EntryFacts],
    kept: Sequence[EntryFacts],
    *,
    read_from: Collection[str],
    switched_off: Collection[str],
) -> tuple[EntryFacts, ...]:
    """Return all entries, those of the settings first.

    `read_from` are the stores that beat is known to read; `switched_off` the names of entries that stand
    there and are not sent.
    """
    copies = {entry.name: entry for entry in kept}
    names = {entry.name for entry in configured}
    copied: dict[str, str] = {}
    once: list[EntryFacts] = []
    for entry in configured:
        copy = copies.get(entry.name)
        if copy is None:
            if entry.name not in switched_off:
                once.append(entry)
        elif _says(entry) == _says(copy):
            once.append(replace(entry, copied_to=copy.source))
            copied[entry.name] = copies.pop(entry.name).source
        else:
            is_other = (entry.task, entry.destination) != (copy.task, copy.destination)
            is_waiting = is_other and copy.source in read_from
            once.append(replace(entry, differs_in=copy.source if is_waiting else None))
    for one in kept:
        if copies.get(one.name) is one and one.name in names:
            once.append(replace(one, is_overwritten=True))
        elif one.name not in names or one.source != copied.get(one.name):
            once.append(one)
    return tuple(once)


def _says(entry: EntryFacts) -> EntryFacts:
    """Return what is judged of an entry, wherever it stands."""
    # Its options and its schedule's words differ by what a table can hold; what comes of them is compared.
    return replace(entry, source="", schedule="", option_names=(), options={}, queue_declaration=None)


def told_once(findings: Sequence[Finding], entries: Sequence[EntryFacts]) -> Iterator[Finding]:
    """Yield `findings`, each thing that is wrong with an entry once, with the place where to put it right."""
    by_name: dict[str, list[EntryFacts]] = {}
    for entry in entries:
        if entry.copied_to or entry.differs_in or entry.is_overwritten:
            by_name.setdefault(entry.name, []).append(entry)
    seen: set[tuple[str, str, str]] = set()
    for finding in findings:
        found = by_name.get(finding.subject.name) if finding.subject.kind is Kind.BEAT_ENTRY else None
        if found is None:
            yield finding
            continue
        key = (finding.code, finding.subject.name, finding.message)
        same = [
            one
            for one in findings
            if (one.code, one.subject, one.message) == (key[0], finding.subject, key[2])
        ]
        if key not in seen:
            seen.add(key)
            yield _placed(finding, found, is_in_both=len(same) > 1)


def _placed(finding: Finding, entries: Sequence[EntryFacts], *, is_in_both: bool) -> Finding:
    store = next((entry.copied_to or entry.source for entry in entries if _store(entry)), "")
    source = finding.evidence.get("source")
    if is_in_both or any(entry.copied_to for entry in entries):
        fix = (
            f"{finding.fix} Do so in the settings, and restart beat: when it starts, it writes them over its "
            f"copy ({store})."
        )
        return replace(finding, fix=fix, evidence={**finding.evidence, "copied_to": store})
    if source == store:
        fix = (
            f"Restart beat: the settings have another entry '{finding.subject.name}', which it writes over "
            f"this one ({store}) when it starts."
        )
    elif source is not None:
        fix = (
            f"{finding.fix} Beat has another entry of that name ({store}), and writes this one over it when "
            "it starts."
        )
    else:
        fix = (
            f"{finding.fix} Beat has two of that name: when it starts, it writes that of the settings over "
            f"the other ({store})."
        )
    return replace(finding, fix=fix)


def _store(entry: EntryFacts) -> bool:
    return entry.copied_to is not None or entry.is_overwritten
