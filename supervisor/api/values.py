"""The values of our properties and signals: the model in D-Bus's types. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from supervisor.api.wire import clean
from supervisor.events.event import Event
from supervisor.lifecycle.model import Container, Exit, Run
from supervisor.names import scope_unit, service_unit
from supervisor.spec.card import Card

Values = Mapping[str, Any]
_U32, _U64 = (1 << 32) - 1, (1 << 64) - 1
_NO_EXIT = Exit("", 0, 0)


def container_values(container: Container, dependencies: Mapping[str, tuple[str, ...]]) -> dict[str, Any]:
    """The properties of io.ctr.Supervisor1.Container. *dependencies*: units, and in which ways it depends on each."""
    unit = container.unit
    card = container.card or Card(container.name)
    run = container.run or Run(unit.invocation, starting_at=unit.starting_at, ready_at=unit.ready_at)
    last = container.last or _NO_EXIT
    return {
        "Name": container.name,
        "Unit": service_unit(container.name),
        "Scope": scope_unit(container.name),
        "Definition": clean(card.definition),
        "Image": clean(card.image),
        "ImageDigest": clean(card.image_digest),
        "Project": clean(card.project),
        "Phase": container.phase.value,
        "Health": clean(container.health),
        "InvocationID": clean(run.invocation),
        "MainPID": _natural(unit.main_pid, _U32),
        "Restarts": _natural(container.restarted),
        "StartingAt": _natural(run.starting_at),
        "StartedAt": _natural(run.started_at),
        "ReadyAt": _natural(run.ready_at),
        "LastExitCode": clean(last.code),
        "LastExitStatus": last.status,
        "LastExitAt": _natural(last.at),
        "Result": clean(unit.result),
        "OutOfMemory": _natural(run.ooms),
        "LastProbeUSec": _natural(container.probe_usec),
        "Exits": {clean(reason): _natural(times) for reason, times in container.exits},
        "JobId": _natural(unit.job, _U32),
        "JobType": clean(unit.job_type),
        "Dependencies": {clean(other): list(ways) for other, ways in dependencies.items()},
    }


def event_details(event: Event) -> dict[str, tuple[str, Any]]:
    """The last argument of the signal Event: pairs of type and value; what an event does not have is left out."""
    details: dict[str, tuple[str, Any]] = {
        "At": ("t", _natural(event.at)),
        "Invocation": ("s", clean(event.invocation)),
        "Code": ("s", clean(event.code)),
        "Detail": ("s", clean(event.detail)),
        "Project": ("s", clean(event.project)),
        "JobId": ("u", _natural(event.job.id, _U32)),
        "JobType": ("s", clean(event.job.type)),
        "JobResult": ("s", clean(event.job.result)),
        "Cursor": ("s", clean(event.source)),
    }
    found = {name: pair for name, pair in details.items() if pair[1]}
    return found | {"Status": ("i", event.status)} if event.code else found


def counter_values(counters: Mapping[str, int]) -> dict[str, int]:
    """The property Counters."""
    return {clean(name): _natural(value) for name, value in counters.items()}


def _natural(number: int, largest: int = _U64) -> int:
    return min(max(number, 0), largest)
