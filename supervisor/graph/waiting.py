"""What a unit waits for now: the way through systemd's job queue to the jobs that are being worked on. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from supervisor.graph.build import fold, project_of_unit
from supervisor.graph.model import Relation
from supervisor.names import name_of_service


@dataclass(frozen=True, slots=True)
class Job:
    """One queued job: systemd's number for it, its unit, type ('start', 'stop' …), and 'waiting' or 'running'."""

    id: int
    unit: str
    type: str
    state: str


def queue(unit: str, jobs: Mapping[int, Job], before: Mapping[int, tuple[int, ...]]) -> tuple[tuple[int, Job], ...]:
    """The job of *unit* and what it waits for, as (depth, job), in the order of a tree; empty without a job.

    *before*: by number, the jobs that have to end before that one may run. A job met twice is told once, so a cycle
    ends.
    """
    own = [job for job in jobs.values() if job.unit == unit]
    return tuple(_below(own[0], 0, jobs, before, set())) if own else ()


def _below(
    job: Job, depth: int, jobs: Mapping[int, Job], before: Mapping[int, tuple[int, ...]], seen: set[int]
) -> Iterator[tuple[int, Job]]:
    waiting = [(depth, job)]
    while waiting:
        level, now = waiting.pop()
        if now.id in seen:
            continue
        seen.add(now.id)
        yield level, now
        others = [jobs[number] for number in before.get(now.id, ()) if number in jobs]
        waiting += [(level + 1, other) for other in sorted(others, key=lambda one: one.unit, reverse=True)]


def why(job: Job) -> str:
    """What *job* is about, in words."""
    if job.state == "waiting":
        return "is queued"
    verb = {"start": "starting", "stop": "stopping", "restart": "stopping"}.get(job.type, f"{job.type} runs")
    container, relation = fold(job.unit)
    name = name_of_service(container)
    if relation is Relation.HEALTHY and job.type == "start":
        return "it is probed until it is healthy"
    if relation is Relation.NETWORK:
        return f"{verb} the network of {name}"
    if name and container == job.unit and job.type == "start":
        return "it is not ready yet"
    return verb


def label(unit: str) -> str:
    """How people call *unit*: a container's name, its health or its network."""
    container, relation = fold(unit)
    name = name_of_service(container)
    if name is None:
        project = project_of_unit(unit)
        return f"project {project}" if project else unit
    if container == unit:
        return name
    parts = {Relation.HEALTHY: f"{name} (health)", Relation.NETWORK: f"{name} (network)"}
    return parts[relation] if relation else unit
