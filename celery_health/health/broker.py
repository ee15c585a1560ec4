"""Whether the broker can be reached, and takes messages."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar, Final

from celery_health.conf import Settings
from celery_health.health.base import Check
from celery_health.health.needs import Need, tasks_are_sent, the_broker_answers
from celery_health.health.refused import evidence_of
from celery_health.records import CheckResult, CheckStatus, NearLimit, Snapshot
from celery_health.text.formats import number

#: What a broker that lets nobody in says, in lower case, and what to do about that.
_FULL_HOUSE: Final = (
    (
        "max number of clients reached",
        "It has as many connections as it allows. Close those that nobody needs, or raise maxclients in its "
        "configuration.",
    ),
    (
        "connection limit",
        "It has as many connections as its virtual host, or this user, may have. Close those that nobody "
        "needs, or raise the limit.",
    ),
    (
        "maximum allowed",
        "It has as many channels as this user, or its node, may have. Close connections that nobody needs, "
        "or raise the limit.",
    ),
    ("loading the dataset", "It has just started, and is reading its data: wait until it has."),
)


class BrokerReachable(Check):
    """Fail when the broker did not answer within the deadline."""

    id: ClassVar[str] = "broker.reachable"

    def run(self, snapshot: Snapshot, settings: Settings) -> Iterable[CheckResult]:
        """Yield one result."""
        broker = snapshot.broker
        if broker.late:
            yield self.result(
                CheckStatus.UNKNOWN, f"Whether the broker at {broker.url} answers is not known. {broker.late}"
            )
        elif broker.reachable is None and broker.error:
            yield self.result(CheckStatus.UNSUPPORTED, broker.error)
        elif broker.reachable is None:
            yield self.result(CheckStatus.UNKNOWN, f"The broker at {broker.url} was not asked.")
        elif broker.reachable:
            took = broker.latency_seconds
            yield self.result(
                CheckStatus.PASS,
                f"The broker at {broker.url} answers.",
                observed=None if took is None else round(took, 4),
                limit=settings.deadline,
                unit="seconds",
            )
        else:
            yield self.result(
                CheckStatus.FAIL,
                f"The broker at {broker.url} cannot be reached: {broker.error}",
                limit=settings.deadline,
                unit="seconds",
                recommendation=f"The broker at {broker.url} cannot be reached. {_what_to_do(snapshot)}",
            )


def _what_to_do(snapshot: Snapshot) -> str:
    app, said = snapshot.app, (snapshot.broker.error or "").lower()
    if not app.broker_is_set:
        return (
            "broker_url is not set; this is Celery's default. "
            f"{app.options.line('broker_url', 'redis://localhost:6379/0')}, with the address of your broker."
        )
    for sign, fix in _FULL_HOUSE:
        if sign in said:
            return fix
    return (
        f"Check that it runs, and that {app.options.in_words('broker_url')} names its address and password."
    )


def _named(fix: str, snapshot: Snapshot) -> str:
    """Return a fix with the project's names: who read it knows nothing of how settings are written here."""
    for option in ("broker_url", "broker_transport_options"):
        fix = fix.replace(option, snapshot.app.options.in_words(option))
    return fix


class BrokerWritable(Check):
    """Fail when the broker answers and refuses writes; warn when it comes near to that."""

    id: ClassVar[str] = "broker.writable"
    needs: ClassVar[Sequence[Need]] = (tasks_are_sent, the_broker_answers)

    def run(self, snapshot: Snapshot, settings: Settings) -> Iterable[CheckResult]:
        """Yield one result for the whole, and one for each limit that is near."""
        broker, writes = snapshot.broker, snapshot.broker.writes
        why = f"The broker at {broker.url} answers and refuses writes: {writes.refusal}."
        todo = f"{why} {_named(writes.fix or '', snapshot)}".rstrip()
        evidence = evidence_of(snapshot.refused, settings.limits.recent_seconds, writes.alarm_over_seconds)
        if writes.accepted is False:
            what = "Nobody new can send." if writes.serves_connected else "Nothing can be sent."
            yield self.result(CheckStatus.FAIL, f"{why} {what}", recommendation=todo)
        elif writes.denied and evidence is not None and evidence.denial:
            # Two users, or one, by two witnesses.
            why = f"The broker at {broker.url} answers and refuses what its users send: {evidence.denial}."
            fix = f"{why} {evidence.fix}"
            yield self.result(CheckStatus.FAIL, f"{why} Nothing can be sent.", recommendation=fix)
        elif evidence is not None:
            yield self.result(
                evidence.status,
                evidence.message,
                observed=evidence.observed,
                limit=0,
                unit=evidence.unit,
                recommendation=f"{evidence.message} {_named(evidence.fix, snapshot)}",
            )
        elif writes.may_be_failover and snapshot.is_one_shot:
            # It will not look again.
            yield self.result(CheckStatus.WARN, why, recommendation=todo)
        elif writes.may_be_failover:
            yield self.result(
                CheckStatus.UNKNOWN,
                f"Whether the broker at {broker.url} takes messages is not known yet: {writes.refusal}, as a "
                "master is that another has just replaced.",
            )
        elif writes.unknown:
            yield self.result(CheckStatus.UNKNOWN, writes.unknown)
        elif writes.accepted is None:
            why = f"The {broker.transport} transport does not say whether it takes messages."
            yield self.result(CheckStatus.UNSUPPORTED, why)
        elif not writes.near:
            yield self.result(CheckStatus.PASS, f"The broker at {broker.url} takes messages.")
        for one in writes.near:
            yield self._near(broker.url, one)

    def _near(self, url: str, one: NearLimit) -> CheckResult:
        what = (
            f"The broker at {url} has used {one.used / one.limit:.0%} of its {one.name} "
            f"({number(one.used)} of {number(one.limit)} {one.unit})"
        )
        return self.result(
            CheckStatus.WARN,
            f"{what}. At the limit it refuses {one.refuses}.",
            subject=one.name,
            observed=one.used,
            limit=one.limit,
            unit=one.unit,
            recommendation=f"{what}. {one.fix}",
        )
