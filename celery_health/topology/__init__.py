"""What should be: which queues the project's tasks and schedule go to, by the app's real router. No I/O."""

from __future__ import annotations

from celery_health.topology.django_tasks import Carrier, carriers
from celery_health.topology.imports import (
    find_app_last,
    import_as_checks_do,
    import_tasks,
    unimportable,
    unrun_checks,
)
from celery_health.topology.libraries import is_library
from celery_health.topology.model import Binding, Destination, Topology
from celery_health.topology.ownership import (
    Expectations,
    Owner,
    Ownership,
    is_own_path,
    ownership_of,
    root_package,
)
from celery_health.topology.reading import TopologyCache, read_topology
from celery_health.topology.receivers import import_as_receivers_do, unimported_by_receivers
from celery_health.topology.routing import Resolver, bindings_of
from celery_health.topology.schedule import configured_schedule, entry_fields, entry_options

__all__ = [
    "Binding",
    "Carrier",
    "Destination",
    "Expectations",
    "Owner",
    "Ownership",
    "Resolver",
    "Topology",
    "TopologyCache",
    "bindings_of",
    "carriers",
    "configured_schedule",
    "entry_fields",
    "entry_options",
    "find_app_last",
    "import_as_checks_do",
    "import_as_receivers_do",
    "import_tasks",
    "is_library",
    "is_own_path",
    "ownership_of",
    "read_topology",
    "root_package",
    "unimportable",
    "unimported_by_receivers",
    "unrun_checks",
]
