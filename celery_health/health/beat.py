"""Whether somebody sends the schedule, and sends it in time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from itertools import combinations
from typing import ClassVar, Final

from celery_health.conf import Limits, Settings
from celery_health.health.base import Check
from celery_health.health.needs import Need, beats_are_seen, tasks_are_sent
from celery_health.reading.schedules import last_beat, schedule_entries, sending_beats
from celery_health.records import Beat, BeatState, CheckResult, CheckStatus, ScheduleEntryState, Snapshot
from celery_health.text.commands import beat_command

#: Entries that are named one by one; a beat that died leaves all of them late.
_MOST_NAMED: Final = 20
_NOT_EXPECTED: Final = "No beat is expected (EXPECT_BEAT)."


class BeatAlive(Check):
    """Warn when a beat should be there and none is, or when two send the same schedule."""

    id: ClassVar[str] = "beat.alive"
    needs: ClassVar[Sequence[Need]] = (tasks_are_sent,)

    def run(self, snapshot: Snapshot, settings: Settings) -> Iterable[CheckResult]:
        """Yield one result for the whole, and one for beats that are one too many."""
        if _is_off(snapshot, settings):
            yield self.result(CheckStatus.OFF, _NOT_EXPECTED)
        elif lack := beats_are_seen(snapshot):
            yield self.lacks(lack)
        else:
            yield self._whole(snapshot, settings)
            yield from self._doubled(snapshot.beats, settings.limits)

    def _whole(self, snapshot: Snapshot, settings: Settings) -> CheckResult:
        by_state: dict[BeatState, list[Beat]] = {state: [] for state in BeatState}
        for beat in snapshot.beats:
            by_state[beat.state].append(beat)
        if sending := by_state[BeatState.OK]:
            return self.result(CheckStatus.PASS, f"{_named(sending)} the schedule.")
        if silent := by_state[BeatState.UNKNOWN]:
            return self._silent(_latest(silent), settings.limits)
        if stuck := by_state[BeatState.STUCK]:
            return self._stuck(_latest(stuck), settings.limits)
        last = last_beat(snapshot.beats)
        if last is not None:
            return self._ended(last, snapshot, settings)
        return self._never_seen(snapshot, settings, standby=by_state[BeatState.STANDBY])

    def _silent(self, beat: Beat, limits: Limits) -> CheckResult:
        return self.result(
            CheckStatus.UNKNOWN,
            f"Beat {beat.name!r} has said nothing for {beat.last_seen_seconds:.0f} s.",
            subject=beat.name,
            observed=round(beat.last_seen_seconds, 1),
            limit=limits.beat_lost_seconds,
            unit="seconds",
        )

    def _stuck(self, beat: Beat, limits: Limits) -> CheckResult:
        late = beat.late_seconds or 0.0
        what = f"Beat {beat.name!r} is stuck: its scheduler was to wake {late:.0f} s ago."
        return self.result(
            CheckStatus.WARN,
            what,
            subject=beat.name,
            observed=round(late, 1),
            limit=limits.beat_lost_seconds,
            unit="seconds",
            recommendation=f"{what} Restart it; give its broker and database connections socket timeouts.",
        )

    def _ended(self, beat: Beat, snapshot: Snapshot, settings: Settings) -> CheckResult:
        limit = settings.limits.beat_lost_seconds
        gone = beat.last_seen_seconds
        said = "stopped" if beat.state is BeatState.STOPPED else "fell silent"
        what = f"Beat {beat.name!r} {said} {_ago(gone)} ago, and no other sends the schedule."
        result = partial(self.result, subject=beat.name, observed=round(gone, 1), limit=limit, unit="seconds")
        if not _is_missed(beat, snapshot, settings):
            return result(CheckStatus.PASS, f"Beat {beat.name!r} {said} {_ago(gone)} ago; none is expected.")
        if gone <= limit:
            return result(CheckStatus.PASS, f"{what} It may be restarting.")
        return result(
            CheckStatus.WARN, what, recommendation=f"{what} Start one: {beat_command(snapshot.app.name)}"
        )

    def _never_seen(self, snapshot: Snapshot, settings: Settings, *, standby: list[Beat]) -> CheckResult:
        expected = settings.expect_beat or (True if standby else snapshot.schedule_exists)
        if expected is False:
            return self.result(CheckStatus.PASS, "There is no schedule in the settings, and no beat.")
        if expected is None:
            return self.result(
                CheckStatus.UNKNOWN,
                "No beat was ever seen, and whether there is a schedule cannot be known without one.",
            )
        watched, limit = snapshot.store_age_seconds, settings.limits.beat_unseen_seconds
        what = "There is a schedule, and no beat was ever seen."
        if standby:
            what = f"{_named(standby, 'stands by for', 'stand by for')} the schedule, and no beat sends it."
        elif settings.expect_beat:
            what = "A beat is expected (EXPECT_BEAT), and none was ever seen."
        if watched is None or watched <= limit:
            return self.result(CheckStatus.UNKNOWN, what, observed=watched, limit=limit, unit="seconds")
        return self.result(
            CheckStatus.WARN,
            what,
            observed=round(watched, 1),
            limit=limit,
            unit="seconds",
            recommendation=(
                f"{what} Start one: {beat_command(snapshot.app.name)}. One that runs without celery_health "
                "in its INSTALLED_APPS is not seen; if none should run, set EXPECT_BEAT to False."
            ),
        )

    def _doubled(self, beats: Iterable[Beat], limits: Limits) -> Iterable[CheckResult]:
        within = limits.beat_doubled_seconds
        doubled = {
            beat.name: beat
            for pair in combinations(beats, 2)
            if _send_the_same(*pair, within)
            for beat in pair
        }
        if doubled:
            names = ", ".join(sorted(doubled))
            what = f"{len(doubled)} beats send the same schedule: {names}. Tasks are sent more than once."
            yield self.result(
                CheckStatus.WARN,
                what,
                subject=names,
                observed=len(doubled),
                limit=1,
                unit="beats",
                recommendation=(
                    f"{what} Stop all but one, and let deployments replace it instead of adding another "
                    "(Kubernetes: replicas 1, strategy Recreate); or use a scheduler with a lock."
                ),
            )


class BeatOnTime(Check):
    """Warn when an entry of the schedule is overdue."""

    id: ClassVar[str] = "beat.on_time"
    needs: ClassVar[Sequence[Need]] = (tasks_are_sent,)

    def run(self, snapshot: Snapshot, settings: Settings) -> Iterable[CheckResult]:
        """Yield one result per entry that is overdue, else one for all."""
        if _is_off(snapshot, settings):
            yield self.result(CheckStatus.OFF, _NOT_EXPECTED)
            return
        if lack := beats_are_seen(snapshot):
            yield self.lacks(lack)
            return
        last = last_beat(snapshot.beats)
        if (
            not sending_beats(snapshot.beats)
            and last is not None
            and not _is_missed(last, snapshot, settings)
        ):
            yield self.result(CheckStatus.PASS, "No beat runs, and none is expected.")
            return
        entries = schedule_entries(snapshot.beats)
        if entries is None:
            yield self._nothing_told(snapshot, settings)
            return
        overdue = sorted(
            (entry for entry in entries if _is_overdue(entry, settings.limits)),
            key=lambda entry: -(entry.overdue_seconds or 0.0),
        )
        ended = {beat.name for beat in snapshot.beats if beat.state.has_ended}
        for entry in overdue[:_MOST_NAMED]:
            yield self._late(entry, settings.limits, snapshot.app.name, ended)
        if more := len(overdue) - _MOST_NAMED:
            yield from self._rest(more)
        if not overdue:
            latest = max((entry.overdue_seconds or 0.0 for entry in entries), default=0.0)
            yield self.result(
                CheckStatus.PASS,
                "No entry of the schedule is overdue." if entries else "The schedule is empty.",
                observed=round(latest, 1),
                limit=settings.limits.overdue_seconds,
                unit="seconds",
            )

    def _nothing_told(self, snapshot: Snapshot, settings: Settings) -> CheckResult:
        if not snapshot.beats and snapshot.schedule_exists is False:
            return self.result(CheckStatus.PASS, "There is no beat, and no schedule that one should send.")
        return self.result(CheckStatus.UNKNOWN, "No beat says what its schedule holds.")

    def _rest(self, more: int) -> Iterable[CheckResult]:
        if more > 0:
            yield self.result(
                CheckStatus.WARN, f"{more} more entries are overdue.", observed=more, unit="entries"
            )

    def _late(self, entry: ScheduleEntryState, limits: Limits, app_name: str, ended: set[str]) -> CheckResult:
        late = entry.overdue_seconds or 0.0
        what = f"Entry {entry.entry!r} ({entry.task}) is overdue by {_ago(late)}."
        if entry.last_error:
            cause, fix = f" It could not be sent: {entry.last_error}", "See why, in beat's log as well."
        elif entry.missed:
            cause = " It was due while no beat ran, and beat has forgotten it."
            fix = "Run it by hand if it matters, and keep beat's schedule file (-s) where it outlives beat."
        elif entry.restarts:
            cause = (
                f" Beat has started {entry.restarts} times since it was last sent, or appeared, and "
                f"counted its interval of {entry.interval_seconds:g} s anew each time."
            )
            fix = (
                "Keep beat's schedule file (-s, beat_schedule_filename) where it outlives beat, and see in "
                "its log why it ends."
            )
        elif entry.beat in ended:
            cause, fix = "", f"Start a beat: {beat_command(app_name)}"
        else:
            cause, fix = "", f"Beat {entry.beat!r} is stuck or overloaded: see its log, and restart it."
        return self.result(
            CheckStatus.WARN,
            what + cause,
            subject=entry.entry,
            observed=round(late, 1),
            limit=overdue_limit(entry, limits),
            unit="seconds",
            recommendation=f"{what} {fix}",
        )


def overdue_limit(entry: ScheduleEntryState, limits: Limits) -> float:
    """Return after how many seconds an entry is overdue: its interval, within the bounds that are set."""
    interval = limits.overdue_seconds if entry.interval_seconds is None else entry.interval_seconds
    return min(max(interval, limits.overdue_floor_seconds), limits.overdue_seconds)


def _is_overdue(entry: ScheduleEntryState, limits: Limits) -> bool:
    late = entry.overdue_seconds
    return entry.enabled and late is not None and late > overdue_limit(entry, limits)


def _is_off(snapshot: Snapshot, settings: Settings) -> bool:
    """Say whether nobody wants to know of a beat, with a store or without: none is to run, and none does."""
    return settings.expect_beat is False and not sending_beats(snapshot.beats)


def _is_missed(beat: Beat, snapshot: Snapshot, settings: Settings) -> bool:
    """Say whether a beat that has ended, the last one, should have gone on or been replaced."""
    if settings.expect_beat is not None:
        return settings.expect_beat
    if beat.state is BeatState.GONE or snapshot.schedule_exists:
        return True
    # It went politely. A schedule in a table outlives it; one in the settings is there, or was taken out.
    return beat.stored_outside and bool(beat.entries_total)


def _send_the_same(one: Beat, other: Beat, within_seconds: float) -> bool:
    """Say whether two beats both sent lately, each after the other had started: no replacement of one."""
    if one.state is not BeatState.OK or other.state is not BeatState.OK:
        return False
    for beat, rival in ((one, other), (other, one)):
        sent, rival_up = beat.last_sent_seconds, rival.uptime_seconds
        if sent is None or rival_up is None or sent > min(within_seconds, rival_up):
            return False
    if one.entries is None or other.entries is None:
        return True
    # Each with a schedule of its own is no mistake.
    return bool({entry.entry for entry in one.entries} & {entry.entry for entry in other.entries})


def _latest(beats: list[Beat]) -> Beat:
    return min(beats, key=lambda beat: beat.last_seen_seconds)


def _named(beats: list[Beat], one: str = "sends", many: str = "send") -> str:
    names = ", ".join(repr(beat.name) for beat in beats)
    return f"Beat {names} {one}" if len(beats) == 1 else f"Beats {names} {many}"


def _ago(seconds: float) -> str:
    for size, unit in ((86400.0, "days"), (3600.0, "hours"), (60.0, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} seconds"
