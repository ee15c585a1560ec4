"""The frozen records that cross from one room to another: what was read, and what was judged of it.

None means unknown or unset; zero is a value. Ages and last-seen are seconds on one clock: the store's, or
elapsed seconds measured by whoever reports them.
"""

from __future__ import annotations

from celery_health.records.beats import Beat, BeatState, ScheduleEntryState
from celery_health.records.hour import HOUR_MINUTES, Hour, TaskHour
from celery_health.records.lost import Losses, LostRun, LostRuns, Orphans
from celery_health.records.options import OptionNames
from celery_health.records.queues import QueueState, SharedQueue, Sharer
from celery_health.records.results import ResultsState, SharedServer
from celery_health.records.snapshot import (
    AppFacts,
    BrokerState,
    InspectionState,
    LettersLack,
    ObservedRuntime,
    Outage,
    Snapshot,
    StoreState,
    TaskOutcomes,
)
from celery_health.records.streaks import Streak, TaskStreak
from celery_health.records.troubles import Blocked, Hanging, LastError, Refused, SentElsewhere, StoredResults
from celery_health.records.verdict import CheckResult, CheckStatus, HealthReport, Status
from celery_health.records.workers import (
    DueTasks,
    Exit,
    Hold,
    ReservedTask,
    RunningTask,
    ScheduledTask,
    Source,
    Starts,
    Worker,
    WorkerState,
)
from celery_health.records.writes import NearLimit, Writes

__all__ = [
    "HOUR_MINUTES",
    "AppFacts",
    "Beat",
    "BeatState",
    "Blocked",
    "BrokerState",
    "CheckResult",
    "CheckStatus",
    "DueTasks",
    "Exit",
    "Hanging",
    "HealthReport",
    "Hold",
    "Hour",
    "InspectionState",
    "LastError",
    "LettersLack",
    "Losses",
    "LostRun",
    "LostRuns",
    "NearLimit",
    "ObservedRuntime",
    "OptionNames",
    "Outage",
    "Orphans",
    "QueueState",
    "Refused",
    "SentElsewhere",
    "ReservedTask",
    "ResultsState",
    "RunningTask",
    "ScheduleEntryState",
    "ScheduledTask",
    "SharedQueue",
    "SharedServer",
    "Sharer",
    "Snapshot",
    "Source",
    "Starts",
    "Status",
    "StoreState",
    "Streak",
    "StoredResults",
    "TaskHour",
    "TaskOutcomes",
    "TaskStreak",
    "Worker",
    "WorkerState",
    "Writes",
]
