"""The rules, one module each; `RULES` is all of them, by number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from celery_health.doctor.rules.always_eager import AlwaysEager
from celery_health.doctor.rules.app_unwatched import AppUnwatched
from celery_health.doctor.rules.arguments_misfit import ArgumentsMisfit
from celery_health.doctor.rules.base import Rule
from celery_health.doctor.rules.beat_empty import BeatEmpty
from celery_health.doctor.rules.beat_forgets import BeatForgets
from celery_health.doctor.rules.beat_lacks_entry import BeatLacksEntry
from celery_health.doctor.rules.beat_task_unregistered import BeatTaskUnregistered
from celery_health.doctor.rules.beats_doubled import BeatsDoubled
from celery_health.doctor.rules.broadcast_leftover import BroadcastLeftover
from celery_health.doctor.rules.broadcast_misrouted import BroadcastMisrouted
from celery_health.doctor.rules.broker_differs import BrokerDiffers
from celery_health.doctor.rules.broker_unset import BrokerUnset
from celery_health.doctor.rules.cache_clears_broker import CacheClearsBroker
from celery_health.doctor.rules.celery_6_changes import Celery6Changes
from celery_health.doctor.rules.chord_without_backend import ChordWithoutBackend
from celery_health.doctor.rules.clock_skew import ClockSkew
from celery_health.doctor.rules.configuration_skew import ConfigurationSkew
from celery_health.doctor.rules.crontab_every_minute import CrontabEveryMinute
from celery_health.doctor.rules.current_app_differs import CurrentAppDiffers
from celery_health.doctor.rules.dead_letters_forgotten import DeadLettersForgotten
from celery_health.doctor.rules.dead_letters_full import DeadLettersFull
from celery_health.doctor.rules.delivery_ack_timeout import DeliveryAckTimeout
from celery_health.doctor.rules.destination_ignored import DestinationIgnored
from celery_health.doctor.rules.everything_taken import EverythingTaken
from celery_health.doctor.rules.exchange_undeclared import ExchangeUndeclared
from celery_health.doctor.rules.late_option_alone import LateOptionAlone
from celery_health.doctor.rules.limits_unkept import LimitsUnkept
from celery_health.doctor.rules.lost_with_worker import LostWithWorker
from celery_health.doctor.rules.message_duplicated import MessageDuplicated
from celery_health.doctor.rules.message_unbound import MessageUnbound
from celery_health.doctor.rules.message_unreadable import MessageUnreadable
from celery_health.doctor.rules.module_imported_twice import ModuleImportedTwice
from celery_health.doctor.rules.no_time_limits import NoTimeLimits
from celery_health.doctor.rules.option_misspelt import OptionMisspelt
from celery_health.doctor.rules.options_refused import OptionsRefused
from celery_health.doctor.rules.pickle_accepted import PickleAccepted
from celery_health.doctor.rules.prefetch_hoards import PrefetchHoards
from celery_health.doctor.rules.priority_ignored import PriorityIgnored
from celery_health.doctor.rules.queue_abandoned import QueueAbandoned
from celery_health.doctor.rules.queue_arguments_ignored import QueueArgumentsIgnored
from celery_health.doctor.rules.queue_declared_twice import QueueDeclaredTwice
from celery_health.doctor.rules.queue_misspelt import QueueMisspelt
from celery_health.doctor.rules.queue_no_list import QueueNoList
from celery_health.doctor.rules.queue_shared import QueueShared
from celery_health.doctor.rules.queue_unconsumed import QueueUnconsumed
from celery_health.doctor.rules.queue_undeclared import QueueUndeclared
from celery_health.doctor.rules.quorum_unconfirmed import QuorumUnconfirmed
from celery_health.doctor.rules.redis_evicts import RedisEvicts
from celery_health.doctor.rules.reply_queues_leaked import ReplyQueuesLeaked
from celery_health.doctor.rules.results_evicted import ResultsEvicted
from celery_health.doctor.rules.results_kept_forever import ResultsKeptForever
from celery_health.doctor.rules.results_unkept import ResultsUnkept
from celery_health.doctor.rules.results_unreadable import ResultsUnreadable
from celery_health.doctor.rules.retry_expired import RetryExpired
from celery_health.doctor.rules.route_matches_nothing import RouteMatchesNothing
from celery_health.doctor.rules.route_misspelt import RouteMisspelt
from celery_health.doctor.rules.route_shadowed import RouteShadowed
from celery_health.doctor.rules.schedule_masked import ScheduleMasked
from celery_health.doctor.rules.schedule_too_fast import ScheduleTooFast
from celery_health.doctor.rules.sent_elsewhere import SentElsewhere
from celery_health.doctor.rules.serializer_refused import SerializerRefused
from celery_health.doctor.rules.setting_ignored import SettingIgnored
from celery_health.doctor.rules.setting_misspelt import SettingMisspelt
from celery_health.doctor.rules.silenced_unknown import SilencedUnknown
from celery_health.doctor.rules.socket_timeout_missing import SocketTimeoutMissing
from celery_health.doctor.rules.soft_limit_unreached import SoftLimitUnreached
from celery_health.doctor.rules.task_name_taken import TaskNameTaken
from celery_health.doctor.rules.task_unroutable import TaskUnroutable
from celery_health.doctor.rules.tasks_unimported import TasksUnimported
from celery_health.doctor.rules.timeout_repeated import TimeoutRepeated
from celery_health.doctor.rules.timezone_differs import TimezoneDiffers
from celery_health.doctor.rules.timezone_unchosen import TimezoneUnchosen
from celery_health.doctor.rules.unacked_orphaned import UnackedOrphaned
from celery_health.doctor.rules.unknown_received import UnknownReceived
from celery_health.doctor.rules.version_skew import VersionSkew
from celery_health.doctor.rules.visibility_timeout import VisibilityTimeout
from celery_health.doctor.rules.waiting_unregistered import WaitingUnregistered
from celery_health.doctor.rules.workers_disagree import WorkersDisagree
from celery_health.doctor.rules.workers_doubled import WorkersDoubled
from celery_health.doctor.rules.workers_elsewhere import WorkersElsewhere

__all__ = ["RULES", "Rule"]

_RULES: Final[Sequence[Rule]] = (
    # Work is lost, or never done.
    BeatTaskUnregistered(),
    RouteMisspelt(),
    RouteShadowed(),
    QueueUnconsumed(),
    TaskUnroutable(),
    MessageUnbound(),
    ExchangeUndeclared(),
    MessageDuplicated(),
    QueueDeclaredTwice(),
    WaitingUnregistered(),
    WorkersDisagree(),
    TaskNameTaken(),
    UnknownReceived(),
    TasksUnimported(),
    ScheduleMasked(),
    SettingIgnored(),
    SettingMisspelt(),
    BrokerUnset(),
    SerializerRefused(),
    ModuleImportedTwice(),
    BrokerDiffers(),
    BeatLacksEntry(),
    OptionMisspelt(),
    UnackedOrphaned(),
    DeadLettersFull(),
    QueueShared(),
    DestinationIgnored(),
    OptionsRefused(),
    CurrentAppDiffers(),
    AppUnwatched(),
    BroadcastMisrouted(),
    MessageUnreadable(),
    QueueNoList(),
    # It will bite.
    ArgumentsMisfit(),
    TimezoneUnchosen(),
    QueueArgumentsIgnored(),
    VisibilityTimeout(),
    ScheduleTooFast(),
    PrefetchHoards(),
    ConfigurationSkew(),
    RedisEvicts(),
    ChordWithoutBackend(),
    ResultsKeptForever(),
    AlwaysEager(),
    PickleAccepted(),
    QuorumUnconfirmed(),
    PriorityIgnored(),
    ClockSkew(),
    BeatEmpty(),
    BeatsDoubled(),
    WorkersDoubled(),
    SoftLimitUnreached(),
    LimitsUnkept(),
    ResultsUnkept(),
    EverythingTaken(),
    CacheClearsBroker(),
    BroadcastLeftover(),
    BeatForgets(),
    SentElsewhere(),
    TimeoutRepeated(),
    RetryExpired(),
    LateOptionAlone(),
    # Hints.
    RouteMatchesNothing(),
    QueueUndeclared(),
    LostWithWorker(),
    NoTimeLimits(),
    SocketTimeoutMissing(),
    TimezoneDiffers(),
    CrontabEveryMinute(),
    ResultsUnreadable(),
    DeliveryAckTimeout(),
    VersionSkew(),
    ReplyQueuesLeaked(),
    QueueAbandoned(),
    QueueMisspelt(),
    ResultsEvicted(),
    WorkersElsewhere(),
    DeadLettersForgotten(),
    Celery6Changes(),
)

#: Every rule, by number.
RULES: Final[Sequence[Rule]] = tuple(
    sorted(
        (*_RULES, SilencedUnknown(code for rule in _RULES for code in rule.codes())),
        key=lambda rule: rule.number,
    )
)
