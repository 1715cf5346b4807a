"""Asks for what a scrape tells: the supervisor, else systemd, and in any case the kernel.

Owns the effects, and the rule for who is asked. No source is needed: where the supervisor does not answer, systemd and
the cards of the deployed containers tell less, and without any bus there is still the kernel. Needs no right, and
starts nobody: a supervisor that was stopped stays so.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from supervisor.errors import CtrError, HostError
from supervisor.inventory import cards
from supervisor.lifecycle.phase import IDLE, Phase, health, phase
from supervisor.metrics.snapshot import Facts, Service, Snapshot
from supervisor.names import health_timer, healthy_unit, service_unit
from supervisor.paths import Layout
from supervisor.spec.card import Card
from supervisor.stats import reader
from supervisor.stats.scopes import scope_directories
from supervisor.systemd.manager import Manager, UnitStatus
from supervisor.systemd.sdbus import Bus

NAME = "io.ctr.Supervisor1"
_PATH = "/io/ctr/Supervisor1"
_CONTAINER = f"{NAME}.Container"
#: Our own, but for those that live for moments only.
SERVICES = ("ctr-supervisor.service", "ctr-log.service", "ctr-metrics.service")
#: One that answers at all does so in milliseconds, and Prometheus waits 10 s (scrape_timeout).
_PATIENCE = 4.0
_DOWN = (Phase.EXITED.value, Phase.FAILED.value)

Properties = Mapping[str, Any]
Objects = Mapping[str, Mapping[str, Properties]]
"""By path and interface."""
T = TypeVar("T")


def take(layout: Layout) -> Snapshot:
    """Ask everybody. Raises nothing of ours."""
    seconds: dict[str, float] = {}
    version, systemd = "", True
    counters: dict[str, int] = {}
    usage, slices = _timed(seconds, "kernel", lambda: (reader.containers(layout), reader.slices(layout)))
    try:
        own, objects = _timed(seconds, "supervisor", _ask_supervisor)
        containers, version, counters = told(own, objects)
    except CtrError:
        deployed = cards.read_all(layout)
        try:
            units = _timed(seconds, "systemd", _units)
            containers = listed(units, deployed, frozenset(_frozen(layout)))
        except CtrError:
            systemd = False
            containers = running(deployed, frozenset(usage))
    return Snapshot(containers, usage, slices, _services(layout), version, counters, systemd, seconds)


def told(own: Properties, objects: Objects) -> tuple[tuple[Facts, ...], str, dict[str, int]]:
    """Containers by name, version and counters out of the supervisor's *own* properties and its *objects*. Pure.

    Raises `HostError` when they are not as io.ctr.Supervisor1(5) says.
    """
    try:
        found = (_facts(interfaces[_CONTAINER]) for interfaces in objects.values() if _CONTAINER in interfaces)
        return tuple(sorted(found, key=lambda one: one.name)), str(own["Version"]), dict(own["Counters"])
    except (KeyError, TypeError, ValueError) as error:
        raise HostError(f"{NAME}: not the answer of a supervisor: {error!r}") from error


def _facts(said: Properties) -> Facts:
    code, status = said["LastExitCode"], said["LastExitStatus"]
    known: dict[str, int | None] = {"exited": status, "killed": 128 + status, "dumped": 128 + status}
    now = said["Phase"]
    return Facts(
        name=said["Name"],
        project=said["Project"],
        image=said["Image"],
        image_digest=said["ImageDigest"],
        active=now in (Phase.RUNNING.value, Phase.PAUSED.value),
        failed=now in _DOWN and said["Result"] not in ("", "success"),
        phase=now,
        health=said["Health"],
        starting_at=said["StartingAt"],
        started_at=said["StartedAt"],
        ready_at=said["ReadyAt"],
        restarts=said["Restarts"],
        exits=said["Exits"],
        last_exit_code=known.get(code),
        last_exit_at=said["LastExitAt"],
        probe_time=said.get("LastProbeUSec", 0),
    )


def listed(units: Mapping[str, UnitStatus], deployed: Mapping[str, Card], frozen: frozenset[str]) -> tuple[Facts, ...]:
    """Deployed containers as systemd's list of units tells of them. Pure.

    A unit that is down is not in it, or tells no more than that, so what was before is not known: no phase then.
    """
    found = []
    for name, card in sorted(deployed.items()):
        unit = units.get(service_unit(name))
        is_frozen = name in frozen
        now = phase(unit.active, unit.sub, frozen=is_frozen, oneshot=card.oneshot) if unit else Phase.CREATED
        active = now in (Phase.RUNNING, Phase.PAUSED)
        found.append(
            Facts(
                name,
                card.project,
                card.image,
                card.image_digest,
                active=active,
                failed=unit is not None and unit.active == "failed",
                phase=now.value if now.is_up else "",
                health=_health(units.get(healthy_unit(name)), units.get(health_timer(name))) if active else "",
            )
        )
    return tuple(found)


def running(deployed: Mapping[str, Card], scopes: frozenset[str]) -> tuple[Facts, ...]:
    """Deployed containers when nobody but the kernel answers: those with processes run. Pure."""
    return tuple(
        Facts(name, card.project, card.image, card.image_digest, active=name in scopes)
        for name, card in sorted(deployed.items())
    )


def _health(gate: UnitStatus | None, timer: UnitStatus | None) -> str:
    return health(gate.activity if gate else IDLE, timer.activity if timer else IDLE)


def _ask_supervisor() -> tuple[Properties, Objects]:
    with Bus(None, NAME, autostart=False) as bus:
        own = bus.call(_PATH, "org.freedesktop.DBus.Properties", "GetAll", "s", NAME, timeout=_PATIENCE)
        all = bus.call(_PATH, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects", timeout=_PATIENCE)
    return own[0], all[0]


def _units() -> dict[str, UnitStatus]:
    with Manager.open(timeout=_PATIENCE) as manager:
        rows = manager.units(service_unit("*"), healthy_unit("*"), health_timer("*"))
    return {row.name: row for row in rows}


def _services(layout: Layout) -> dict[str, Service]:
    found = {}
    for unit in SERVICES:
        directory = f"{layout.root}/sys/fs/cgroup/system.slice/{unit}"
        if usage := reader.read(directory, layout, network=False):
            found[unit] = Service(usage.cpu.usage if usage.cpu else 0, _resident(directory, layout))
    return found


def _resident(directory: str, layout: Layout) -> int:
    """Bytes of all processes of a control group (proc_pid_statm(5))."""
    numbers = (_read(f"{layout.root}/proc/{pid}/statm").split() for pid in _read(f"{directory}/cgroup.procs").split())
    return sum(int(words[1]) for words in numbers if words) * os.sysconf("SC_PAGESIZE")


def _frozen(layout: Layout) -> list[str]:
    scopes = scope_directories(layout).items()
    return [name for name, directory in scopes if "frozen 1\n" in _read(f"{directory}/cgroup.events")]


def _read(path: str) -> str:
    """A file of the kernel's; empty when what it is about has ended."""
    try:
        with open(path, encoding="ascii") as file:
            return file.read()
    except OSError:
        return ""


def _timed(seconds: dict[str, float], source: str, ask: Callable[[], T]) -> T:
    began = time.monotonic()
    try:
        return ask()
    finally:
        seconds[source] = time.monotonic() - began
