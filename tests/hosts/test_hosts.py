"""Of sound applications nothing is said; each fault is named first, and is gone when its fix was followed."""

from __future__ import annotations

import pytest

from tests.hosts.application import Application, Fault
from tests.hosts.conftest import FAULTS, SOUND
from tests.hosts.deployment import Deployment, Found, id_of
from tests.hosts.following import command_in, follow
from tests.hosts.mayan import MAYAN
from tests.hosts.pretix import PRETIX
from tests.hosts.weblate import WEBLATE
from tests.support import eventually

pytestmark = [pytest.mark.soak, pytest.mark.live, pytest.mark.redis, pytest.mark.timeout(0)]

APPLICATIONS = (PRETIX, MAYAN, WEBLATE)
#: A fault may show another when it is gone: an entry under a right name has its route tried.
MOST_STEPS = 4


CASES = [
    pytest.param(one, fault, id=f"{one.name}-{fault.name.replace(' ', '-')}")
    for one in APPLICATIONS
    for fault in one.faults
]


@pytest.mark.parametrize("application", APPLICATIONS, ids=lambda one: one.name)
def test_sound__is_healthy_and_the_doctor_says_nothing(host: Deployment, application: Application) -> None:
    host.configure()
    host.start(host.all_commands)
    verdict = eventually(lambda: host.verdict_if("healthy"), 120)
    live, static = host.doctor(), host.doctor("--static")
    checked = host.run(f"{application.manage} check")
    plain, ours = host.seconds_of_check()
    tasks, entries = host.counts()
    said = ", ".join(live.ids) or "nothing"
    SOUND.append(
        (application.name, str(tasks), str(entries), str(len(verdict["queues"])), f"{plain:.2f} s",
         f"{ours - plain:+.2f} s", verdict["status"], said)
    )  # fmt: skip

    assert tasks >= 20
    assert not live.ids, str(live)
    assert not static.ids, str(static)
    assert "celery_health" not in checked
    assert not live.notes


@pytest.mark.parametrize(("application", "fault"), CASES)
def test_fault__is_named_first_and_its_fix_works(
    host: Deployment, application: Application, fault: Fault
) -> None:
    row = [application.name, fault.name, "-", "-", fault.verdict]
    try:
        host.configure(fault.settings)
        host.start(host.few_commands)
        if fault.sends is not None:
            host.send(fault.sends)
        found = eventually(lambda: _names(host, fault), 120)
        row[2] = found.ids[0]
        if fault.verdict != "healthy":
            eventually(lambda: host.verdict_if(fault.verdict), 120)
        steps = _follow_all(host, fault, found)
        row[3] = ", ".join(steps)
        row[4] += f" → {eventually(lambda: host.verdict_if('healthy'), 120)['status']}"
    finally:
        FAULTS.append(tuple(row))


def _names(host: Deployment, fault: Fault) -> Found:
    found = host.doctor()
    assert found.ids[:1] == [fault.finds], str(found)
    assert set(found.ids) <= {fault.finds, *fault.follows}, str(found)
    assert fault.fix in found.findings[0]["fix"], str(found)
    return found


def _follow_all(host: Deployment, fault: Fault, found: Found) -> list[str]:
    """Follow the first fix again and again until nothing is left."""
    steps = []
    for _ in range(MOST_STEPS + 1):
        left = found.findings
        if not left:
            return steps
        steps.append(left[0]["code"])
        if (command := command_in(left[0]["fix"])) is not None:
            host.start([command], wait=False)  # without -l info it says nothing
        else:
            settings = follow(left[0], host.extra, fault.mend)
            assert settings != host.extra, f"The fix changes nothing: {left[0]['fix']}"
            host.stop()
            host.configure(settings)
            host.start(host.few_commands)
        found = _doctor_without(host, id_of(left[0]))
    raise AssertionError(f"After {steps} there is still {found}")


def _doctor_without(host: Deployment, gone: str) -> Found:
    def look() -> Found:
        found = host.doctor()
        assert gone not in found.ids, str(found)
        return found

    return eventually(look, 120)


def test_applications__are_of_three_kinds_with_five_faults_each() -> None:
    assert len({one.kind for one in APPLICATIONS}) == len(APPLICATIONS) == 3
    assert all(len(one.faults) == 5 for one in APPLICATIONS)
    assert len({fault.finds[:4] for one in APPLICATIONS for fault in one.faults}) >= 10
