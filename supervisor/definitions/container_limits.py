"""What limits a container, wherever it is said: [Service], podman's keys of [Container], PodmanArgs=. Pure."""

from __future__ import annotations

from supervisor.definitions import podman_limits, resources
from supervisor.definitions.findings import Findings
from supervisor.definitions.lines import Lines
from supervisor.definitions.podman_args import Extras
from supervisor.definitions.sections import Sections
from supervisor.definitions.unitfile import Assignment
from supervisor.errors import UserError
from supervisor.spec.container import ScopeProperty

_Found = dict[str, tuple[Assignment, ScopeProperty]]


def limits(lines: Lines, sections: Sections, extras: Extras, findings: Findings) -> tuple[ScopeProperty, ...]:
    """The limits of [Service], then podman's own, which may not contradict them."""
    podman: _Found = {}
    for at, memory in lines.each("Memory", resources.memory):
        podman |= {limit.name: (at, limit) for limit in memory}
    for at, limit in (*lines.each("PidsLimit", resources.pids_limit), *extras.limits):
        podman[limit.name] = (at, limit)
    _with_swap(podman, extras, findings)
    found = dict(sections.limits)
    for name, (at, limit) in podman.items():
        # A percentage is a property of its own.
        taken = sections.limits.get(name) or sections.limits.get(f"{name}Scale")
        if taken is None:
            found[name] = (at, limit)
        elif limit.signature in resources.LISTS:
            found[name] = (at, resources.added(taken[1], limit))
        elif name != "MemorySwapMax" or extras.swap:
            other = taken[0]
            findings.refuse(at, f"{other.key}= in {other.where} of [Service] sets the same; keep one of the two")
    return tuple(limit for _, limit in found.values())


def _with_swap(podman: _Found, extras: Extras, findings: Findings) -> None:
    """``--memory-swap`` counts the memory too, so it has to be known."""
    if extras.swap is None:
        return
    at, text = extras.swap
    memory = podman.get("MemoryMax")
    written = f"the limit for memory in {memory[0].where}" if memory else ""
    try:
        podman["MemorySwapMax"] = (at, podman_limits.swap(text, int(memory[1].value) if memory else 0, written))
    except UserError as error:
        findings.refuse(at, error)
