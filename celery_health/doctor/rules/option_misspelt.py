"""A route or a beat entry has an option that nobody knows, and that is nearly one.

``{'qeue': 'emails'}`` names no queue: the message goes to the default one, with a property that nobody
reads. Celery hands unknown options to the broker's driver, which ignores most of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import ClassVar, Final

from celery_health.doctor.evidence import Evidence
from celery_health.doctor.findings import Finding, Kind
from celery_health.doctor.rules.base import Rule

#: What ``Celery.send_task``, ``AMQP.send_task_message`` and ``kombu.Producer.publish`` take.
KNOWN_OPTIONS: Final = frozenset(
    {
        # These three raise, where the call has them already: another rule's (options-refused).
        "args", "kwargs", "name",
        "queue", "exchange", "exchange_type", "routing_key", "priority", "countdown", "eta", "expires",
        "expiration", "serializer", "compression", "delivery_mode", "mandatory", "immediate", "headers",
        "properties", "retry", "retry_policy", "time_limit", "soft_time_limit", "ignore_result", "link",
        "link_error", "shadow", "task_id", "chain", "chord", "group_id", "group_index", "root_id",
        "parent_id", "reply_to", "correlation_id", "declare", "timeout", "confirm_timeout", "add_to_parent",
        "producer", "connection", "router", "retries", "stamped_headers", "content_type", "content_encoding",
        "message_id", "user_id", "app_id", "timestamp", "type", "cluster_id", "argsrepr", "kwargsrepr",
        "publisher", "result_cls", "route_name", "replaced_task_nesting", "origin",
    }
)  # fmt: skip


class OptionMisspelt(Rule):
    """An option of a route or an entry is nearly one that counts."""

    number: ClassVar = 123
    name: ClassVar = "option-misspelt"
    summary: ClassVar = "A route or beat entry has a misspelt option, which is ignored."

    def find(self, evidence: Evidence) -> Iterable[Finding]:
        """Yield a finding per option."""
        for route in evidence.routes:
            yield from self._judge(Kind.ROUTE, route.key, f"Route '{route.key}'", route.option_names)
        for entry in evidence.all_entries:
            yield from self._judge(
                Kind.BEAT_ENTRY, entry.name, f"Beat entry '{entry.name}'", entry.option_names
            )

    def _judge(self, kind: Kind, subject: str, whose: str, options: Iterable[str]) -> Iterable[Finding]:
        for option in options:
            near = [] if option in KNOWN_OPTIONS else get_close_matches(option, KNOWN_OPTIONS, 1, 0.75)
            if near:
                yield self.finding(
                    kind,
                    subject,
                    f"{whose} has the option '{option}', which nobody reads.",
                    evidence={"option": option, "nearest": near[0]},
                    fix=f"Write '{near[0]}'.",
                )
