"""``ctrctl plot``: the last start-up of containers as a picture: what took how long, and who waited for whom.

Owns where the times come from: systemd's own properties, and for fetched images the journal. `supervisor.graph` draws.
Works for anybody; who may not read the journal sees no images.
"""

from __future__ import annotations

import time
from collections.abc import Container, Iterable, Mapping

from supervisor.cli import units
from supervisor.cli.console import Console
from supervisor.cli.containers import check_deployed, is_deployed
from supervisor.cli.graph import instead, project_members, write
from supervisor.errors import HostError, NotFoundError, UserError
from supervisor.events import records
from supervisor.graph.build import fold
from supervisor.graph.model import Relation
from supervisor.graph.timeline import Times, timeline
from supervisor.graph.timeline_svg import svg
from supervisor.names import check_name, healthy_unit, name_of_service, namespace_unit, scope_unit, service_unit
from supervisor.spec.card import Card
from supervisor.systemd.manager import Manager

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

EXAMPLES = {
    "plot": (
        "ctrctl plot shop --output shop.svg         the start of a project",
        "ctrctl plot web db > start.svg             of some containers",
        "ctrctl plot -o host.svg                    of all that run",
    )
}

#: The units of containers that have times to tell.
_SEEN = (service_unit("*"), scope_unit("*"), namespace_unit("*"), healthy_unit("*"))
_BEGIN, _END, _OVER = (
    "InactiveExitTimestampMonotonic",
    "ActiveEnterTimestampMonotonic",
    "InactiveEnterTimestampMonotonic",
)
#: So long after a fetch the next one, or the start, has nothing to do with it (microseconds). ctrctl apply fetches the
#: images of all containers, one after the other, then writes their units.
_APART = 10_000_000
#: systemd's catalog: "A start job for unit $UNIT has begun execution".
_STARTING = "MESSAGE_ID=7d4958e842da4a758f6c1cdc7b36dcc5"


def configure(verb: str, parser: argparse.ArgumentParser) -> None:
    """Options of ``plot``."""
    parser.add_argument(
        "names", nargs="*", metavar="PROJECT|NAME", help="a project, or containers (default: all that run)"
    )
    parser.add_argument("-o", "--output", metavar="FILE", help="write to FILE instead of standard output")


def run(verb: str, args: argparse.Namespace, console: Console) -> int:
    """Draw it."""
    known = units.deployed(console.layout)
    with Manager.open() as manager:
        title, names = chosen(args.names, manager, known, console)
        loaded = frozenset(unit.name for unit in manager.units(*_SEEN)) if names else frozenset()
        found = [times(name, manager, loaded) for name in names if service_unit(name) in loaded or args.names]
    now = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    found = with_images(found, known)
    drawn = timeline(found, now)
    when = time.localtime(time.time() - (now - drawn.start) / 1e6)
    write(svg(drawn, f"{title}: start-up", time.strftime("%Y-%m-%d %H:%M:%S", when)), args.output, console)
    return 0


def chosen(
    words: list[str], manager: Manager, known: Mapping[str, Card], console: Console
) -> tuple[str, tuple[str, ...]]:
    """A title, and the containers that *words* name: a project's, or the words themselves.

    Raises `UserError` when there is nothing to draw, `NotFoundError` for a word that names nothing.
    """
    if not words:
        if not known:
            raise UserError("plot: no containers; 'ctrctl ps -a' lists them")
        return "containers", tuple(known)
    if len(words) == 1 and words[0] not in known and units.is_project(words[0], known):
        return words[0], project_members(words[0], manager, known, console.layout)
    if len(words) == 1 and not is_deployed(check_name(words[0]), console.layout):
        raise NotFoundError(f"no container or project '{words[0]}'; {instead(words[0], known, containers=True)}")
    check_deployed(words, console.layout)
    names = tuple(dict.fromkeys(words))
    return (names[0] if len(names) == 1 else f"{len(names)} containers"), names


def times(name: str, manager: Manager, loaded: Container[str]) -> Times:
    """What systemd knows of the last start of container *name*; of units that are not *loaded*, it knows nothing."""
    unit = service_unit(name)
    if unit not in loaded:
        return Times(name)
    own = manager.properties(unit, "Unit", _BEGIN, _END, _OVER, "ActiveState", "SubState", "After")
    service = manager.properties(unit, "Service", "ExecStartPre", "ExecStart", "ExecMainExitTimestampMonotonic")
    # Each with its path, arguments, whether failure is ignored, and the times of its start: by two clocks.
    spawned = [int(command[4]) for key in ("ExecStartPre", "ExecStart") for command in service[key]]
    is_waiting = "auto-restart" in own["SubState"]
    starting = began(own[_BEGIN], spawned, is_waiting=is_waiting)
    gate = _times(healthy_unit(name), manager, loaded)
    return Times(
        name,
        network=_network(namespace_unit(name), manager, loaded),
        starting=starting,
        launched=_times(scope_unit(name), manager, loaded)[1],
        ready=own[_END],
        gate=gate[:2],
        gate_ended=gate[2],
        ended=max(own[_OVER], service["ExecMainExitTimestampMonotonic"]) if is_waiting else own[_OVER],
        failed=own["ActiveState"] == "failed" or (is_waiting and own[_END] < starting),
        after=tuple(_after(name, own["After"])),
    )


def began(left_inactive: int, spawned: Iterable[int], *, is_waiting: bool) -> int:
    """When the last start began. *left_inactive*: InactiveExitTimestampMonotonic; since systemd 254 that is also when
    a unit begins to wait for its restart (*is_waiting*: it does now). *spawned*: when its commands were, 0: never.

    Not ExecMainStartTimestampMonotonic: that becomes the time at which the launcher names the container's init.
    """
    starts = [at for at in spawned if at]
    if is_waiting:
        return max(starts, default=left_inactive)
    return min((at for at in starts if at >= left_inactive), default=left_inactive)


def with_images(found: list[Times], known: Mapping[str, Card]) -> list[Times]:
    """*found*, with when the images were fetched that were fetched for these starts."""
    from dataclasses import replace

    starts = [one.starting for one in found if one.starting]
    if not starts:
        return found
    pulls = fetched(min(starts))
    completed = []
    for one in found:
        card = known.get(one.name)
        image = card.image_digest if card else ""
        own = min((at for at in (one.network[0], one.starting) if at), default=0)
        completed.append(replace(one, image=pulls[image]) if image in leading(pulls, own) else one)
    return completed


def leading(pulls: Mapping[str, tuple[int, int]], start: int) -> frozenset[str]:
    """Of *pulls*, begin and end by image, those that led to what began at *start*. Pure."""
    found, reach = set(), start
    for end, begin, image in sorted(((end, begin, image) for image, (begin, end) in pulls.items()), reverse=True):
        if reach - _APART < end <= start:
            reach = min(reach, begin)
            found.add(image)
    return frozenset(found)


def fetched(first: int) -> dict[str, tuple[int, int]]:
    """By image id, when the last fetch of this boot began and ended; empty without the right to read the journal.
    *first*: when the first container started; microseconds of the monotonic clock."""
    from supervisor.cli.journal import read

    ago = time.clock_gettime_ns(time.CLOCK_MONOTONIC) / 1e3 - first + 3_600_000_000
    since = f"--since=@{time.time() - ago / 1e6:.0f}"
    fields = ("MESSAGE_ID", "INVOCATION_ID", "_SYSTEMD_INVOCATION_ID", records.DETAIL)
    begins: dict[bytes, int] = {}
    found: dict[str, tuple[int, int]] = {}
    matches = (f"MESSAGE_ID={records.PULLED}", "_UID=0", "+", "_PID=1", _STARTING)
    try:
        for entry in read(("--boot", since, *matches), fields):
            at = int(entry.get("__MONOTONIC_TIMESTAMP", b"0"))
            if run := entry.get("INVOCATION_ID"):
                begins.setdefault(run, at)
            elif entry.get("MESSAGE_ID") == records.PULLED.encode():
                image = entry.get(records.DETAIL, b"").decode(errors="replace").rpartition(" ")[2]
                begin = begins.get(entry.get("_SYSTEMD_INVOCATION_ID", b""), at)
                found[image] = (begin, at)
    except HostError:
        return {}
    return found


def _times(unit: str, manager: Manager, loaded: Container[str]) -> tuple[int, int, int]:
    """When *unit* began to start, was started, and had ended; 0: never."""
    if unit not in loaded:
        return 0, 0, 0
    found = manager.properties(unit, "Unit", _BEGIN, _END, _OVER)
    return int(found[_BEGIN]), int(found[_END]), int(found[_OVER])


def _network(unit: str, manager: Manager, loaded: Container[str]) -> tuple[int, int]:
    """When *unit* began to make a network, and had; 0: never."""
    if unit not in loaded:
        return 0, 0
    ended = manager.properties(unit, "Service", "ExecMainExitTimestampMonotonic")
    return _times(unit, manager, loaded)[0], int(ended["ExecMainExitTimestampMonotonic"])


def _after(name: str, names: Iterable[str]) -> Iterable[tuple[str, bool]]:
    """The containers among *names* of units, and whether it is their health."""
    for unit in names:
        service, relation = fold(unit)
        container = name_of_service(service)
        if container and container != name and (service == unit or relation is Relation.HEALTHY):
            yield container, relation is Relation.HEALTHY
