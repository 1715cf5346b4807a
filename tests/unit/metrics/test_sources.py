"""Who is asked for a scrape, and what is made of the answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from supervisor.api.tables import CONTAINER
from supervisor.api.values import container_values
from supervisor.errors import HostError
from supervisor.lifecycle.model import Container, Exit, Run
from supervisor.lifecycle.observation import UnitState
from supervisor.metrics.families import REASONS
from supervisor.metrics.snapshot import Facts
from supervisor.metrics.sources import _resident, listed, running, told
from supervisor.paths import Layout
from supervisor.spec.card import Card
from supervisor.systemd.manager import UnitStatus

OWN = {"Version": "1", "Counters": {"signals": 3}, "State": "running", "Containers": 1}
CARD = Card("web", "nginx", "sha256:1", "/etc/ctr/web.container", "shop", 10.0)


def objects(*containers: Container) -> dict[str, dict[str, Any]]:
    """As GetManagedObjects answers."""
    return {f"/c/{one.name}": {CONTAINER.name: container_values(one, {})} for one in containers}


def unit(name: str, active: str, sub: str = "", job: int = 0) -> UnitStatus:
    return UnitStatus(name, "", "loaded", active, sub, job)


def test_the_supervisors_word_for_a_container() -> None:
    """Every fact of the API that is a metric arrives in it."""
    web = Container(
        "web",
        card=CARD,
        unit=UnitState("web", "active", "running"),
        health="healthy",
        runs=(Run("0" * 32, 1, 2, 3),),
        last=Exit("killed", 9, 5),
        exits=(("signal", 2),),
        restarts=1,
    )
    (found,), version, counters = told(OWN, {"/p": {"io.ctr.Supervisor1.Project": {}}, **objects(web)})
    assert (version, counters) == ("1", {"signals": 3})
    assert found == Facts(
        "web",
        "shop",
        "nginx",
        "sha256:1",
        active=True,
        failed=False,
        phase="running",
        health="healthy",
        starting_at=1,
        started_at=2,
        ready_at=3,
        restarts=1,
        exits={"signal": 2},
        last_exit_code=137,
        last_exit_at=5,
    )
    assert set(found.exits or ()) <= set(REASONS)


@pytest.mark.parametrize(
    ("result", "active", "failed"), [("success", "inactive", False), ("exit-code", "failed", True)]
)
def test_down_and_failed_are_two_things(result: str, active: str, failed: bool) -> None:
    """A container that somebody stopped is down; one that ended badly is failed too."""
    web = Container("web", unit=UnitState("web", active, active, result=result), last=Exit("exited", int(failed), 1))
    (found,), _, _ = told(OWN, objects(web))
    assert (found.active, found.failed, found.phase) == (False, failed, "exited")


@pytest.mark.parametrize(
    ("code", "status", "number"), [("exited", 3, 3), ("killed", 9, 137), ("dumped", 11, 139), ("unknown", 0, None)]
)
def test_exit_codes_are_a_shells(code: str, status: int, number: int | None) -> None:
    """One that nobody has seen is not 0."""
    (found,), _, _ = told(OWN, objects(Container("web", last=Exit(code, status, 1))))
    assert found.last_exit_code == number


@pytest.mark.parametrize("own", [{}, {"Version": "1"}, {"Version": "1", "Counters": 3}])
def test_an_answer_that_is_none(own: dict[str, Any]) -> None:
    """It is an error of ours to report, which makes the page fall back, not a traceback."""
    with pytest.raises(HostError, match=r"io\.ctr\.Supervisor1"):
        told(own, {})
    with pytest.raises(HostError):
        told(OWN, {"/c": {CONTAINER.name: {"Name": "web"}}})


def test_systemds_word_for_containers() -> None:
    """What its list tells: phase and health of what is up, failed or not of all; nothing is made up."""
    deployed = {name: Card(name) for name in ("web", "sick", "new", "done", "broken", "ice")}
    deployed["job"] = Card("job", oneshot=True)
    units = [
        unit("ctr@web.service", "active", "running"),
        unit("ctr-healthy@web.service", "active", "exited"),
        unit("ctr-health@web.timer", "active", "waiting"),
        unit("ctr@sick.service", "active", "running"),
        unit("ctr-health@sick.timer", "active", "waiting"),
        unit("ctr@new.service", "activating", "start"),
        unit("ctr@job.service", "activating", "start"),
        unit("ctr@broken.service", "failed", "failed"),
        unit("ctr@ice.service", "active", "running"),
    ]
    found = {one.name: one for one in listed({one.name: one for one in units}, deployed, frozenset({"ice"}))}
    assert {one.name: (one.active, one.failed, one.phase, one.health) for one in found.values()} == {
        "web": (True, False, "running", "healthy"),
        "sick": (True, False, "running", "unhealthy"),
        "new": (False, False, "starting", ""),
        "job": (True, False, "running", ""),
        "done": (False, False, "", ""),
        "broken": (False, True, "", ""),
        "ice": (True, False, "paused", ""),
    }


def test_the_kernels_word_for_containers() -> None:
    """Without any bus: who has processes runs, and no more is known."""
    assert running({"web": CARD, "db": Card("db")}, frozenset({"web"})) == (
        Facts("db", active=False),
        Facts("web", "shop", "nginx", "sha256:1", active=True),
    )


def test_resident_memory_is_that_of_all_processes(tmp_path: Path) -> None:
    """In bytes; one that has ended takes nothing with it but itself."""
    group = tmp_path / "group"
    for path, text in (("group/cgroup.procs", "1\n2\n3\n"), ("proc/1/statm", "9 3 1"), ("proc/3/statm", "9 4 1")):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    assert _resident(str(group), Layout(str(tmp_path))) in (7 * 4096, 7 * 16384, 7 * 65536)
