"""Reading a tree of files that looks like the kernel's."""

from __future__ import annotations

from pathlib import Path

import pytest

from supervisor.paths import Layout
from supervisor.stats import reader
from supervisor.stats.scopes import scope_directories, slice_directories
from supervisor.stats.usage import Interface, Pids

NET_DEV = b"\n\n    lo: 8 1 0 0 0 0 0 0 8 1 0 0 0 0 0 0\n  eth0: 1442 17 1 2 0 0 0 0 558 7 3 4 0 0 0 0\n"


@pytest.fixture
def host(tmp_path: Path) -> Path:
    """A host with two containers, one with every controller, one with none."""
    group(tmp_path / "sys/fs/cgroup/ctr.slice/ctr-shop.slice/ctr-db.scope", "7", memory="4096", pids="3")
    group(tmp_path / "sys/fs/cgroup/ctr.slice/ctr-web.scope", "8")
    group(tmp_path / "sys/fs/cgroup/system.slice/ctr-log.service", "9")
    for pid in ("7", "8", "self"):
        directory = tmp_path / "proc" / pid / "net"
        directory.mkdir(parents=True)
        (directory / "dev").write_bytes(NET_DEV)
    return tmp_path


def group(path: Path, pid: str, *, memory: str = "", pids: str = "") -> None:
    """A control group."""
    path.mkdir(parents=True)
    (path / "cgroup.procs").write_text(f"{pid}\n99\n")
    (path / "cpu.stat").write_text("usage_usec 30\nuser_usec 20\nsystem_usec 10\n")
    if memory:
        (path / "memory.current").write_text(memory)
        (path / "memory.max").write_text("max\n")
        (path / "memory.stat").write_text("anon 1000\nfile 96\ninactive_file 90\n")
        (path / "memory.events").write_text("low 0\nhigh 0\nmax 5\noom 1\noom_kill 2\n")
        (path / "io.stat").write_text("")
    if pids:
        (path / "pids.current").write_text(pids)
        (path / "pids.max").write_text("100\n")


def test_scopes_and_slices_are_found(host: Path) -> None:
    """By the name of the container and of the unit, wherever a slice puts them."""
    assert set(scope_directories(Layout(str(host)))) == {"db", "web"}
    assert set(slice_directories(Layout(str(host)))) == {"ctr.slice", "ctr-shop.slice"}


def test_a_container_with_controllers(host: Path) -> None:
    """Everything the files tell."""
    usage = reader.containers(Layout(str(host)))["db"]
    assert usage.memory is not None
    assert (usage.memory.current, usage.memory.working_set, usage.memory.limit) == (4096, 4006, None)
    assert (usage.memory.oom_kills, usage.memory.limit_hits, usage.memory.peak) == (2, 5, None)
    assert usage.pids == Pids(3, 100)
    assert usage.io is not None
    assert usage.interfaces == (Interface("eth0", 1442, 17, 1, 2, 558, 7, 3, 4),)


def test_a_container_without_controllers(host: Path) -> None:
    """Absent is None, not zero."""
    usage = reader.containers(Layout(str(host)), ["web", "nothing"])["web"]
    assert usage.cpu is not None
    assert (usage.memory, usage.io, usage.pids, usage.cpu_pressure) == (None, None, None, None)


def test_the_hosts_own_network_is_no_containers(host: Path) -> None:
    """With Network=host the counters are everybody's, and so nobody's."""
    (host / "proc/8/net/dev").unlink()
    (host / "proc/8/net/dev").hardlink_to(host / "proc/self/net/dev")
    found = reader.containers(Layout(str(host)))
    assert found["web"].interfaces is None
    assert found["db"].interfaces


def test_a_container_that_ends_meanwhile(host: Path) -> None:
    """No process, no network; no directory, no usage."""
    (host / "sys/fs/cgroup/ctr.slice/ctr-web.scope/cgroup.procs").write_text("")
    layout = Layout(str(host))
    assert reader.containers(layout)["web"].interfaces is None
    assert reader.read(str(host / "sys/fs/cgroup/ctr.slice/ctr-gone.scope"), layout) is None


def test_processes_in_groups_below(host: Path) -> None:
    """An init system inside keeps its processes in groups of its own; an endless tree of empty ones is given up."""
    scope = host / "sys/fs/cgroup/ctr.slice/ctr-web.scope"
    (scope / "cgroup.procs").write_text("")
    group(scope / "init.scope", "8")
    assert reader.containers(Layout(str(host)))["web"].interfaces
    (scope / "init.scope/cgroup.procs").write_text("")
    deep = scope.joinpath(*["x"] * 300)
    group(deep, "8")
    assert reader.containers(Layout(str(host)))["web"].interfaces is None


def test_slices_have_no_network(host: Path) -> None:
    """Usage of a project is its slice's."""
    found = reader.slices(Layout(str(host)))
    assert set(found) == set()  # no cpu.stat in these
    (host / "sys/fs/cgroup/ctr.slice/ctr-shop.slice/cpu.stat").write_text("usage_usec 30\n")
    assert reader.slices(Layout(str(host)))["ctr-shop.slice"].interfaces is None
