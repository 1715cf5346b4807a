"""What state every container is in, read the cheapest way that is still the truth.

Owns the join of three sources: systemd's unit list (one D-Bus call for all containers), the deployed files below
/var/lib/ctr and /run, and the cgroup tree. Changes nothing, prints nothing. A file the caller may not read degrades the
answer (``-`` for the image), it never fails it: systemd tells anyone which containers run.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

from supervisor.cli.ports import published
from supervisor.errors import NotFoundError, UserError
from supervisor.lifecycle import phase as lifecycle
from supervisor.lifecycle.phase import IDLE, Phase, phase
from supervisor.names import check_name, health_timer, healthy_unit, is_name, name_of_service, service_unit
from supervisor.paths import Layout
from supervisor.stats.scopes import scope_directories

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from supervisor.cli.ports import Published
    from supervisor.systemd.manager import Manager, UnitStatus

PATTERN = service_unit("*")
_HEALTH = (healthy_unit("*"), health_timer("*"))

#: Enough of a config.json to hold the command; the seccomp profile behind it is many times larger.
_HEAD = 8192


class Exit:
    """How the last run ended, as cleanup wrote it down (``last-exit``). *time* is seconds since the epoch, *oom* how
    often at least the OOM killer ended a process of it."""

    __slots__ = ("code", "invocation", "oom", "result", "status", "time")

    def __init__(self, invocation: str, result: str, code: str, status: int, time: float, oom: int = 0) -> None:
        self.invocation = invocation
        self.result = result
        self.code = code
        self.status = status
        self.time = time
        self.oom = oom

    @property
    def number(self) -> int:
        """The exit code a shell would report: the status, or 128 plus the signal."""
        return self.status if self.code in ("exited", "") else 128 + self.status

    @property
    def is_an_end(self) -> bool:
        """Whether its program ran, and ended; otherwise it never came to that."""
        return bool(self.code) and self.result not in ("protocol", "resources")


class Details:
    """The deployed facts that ``ps`` shows. Empty members: not deployed, or not readable by this caller."""

    __slots__ = ("command", "created", "image", "labels", "oneshot", "pod", "ports", "readable")

    def __init__(
        self,
        *,
        readable: bool = False,
        image: str = "",
        command: tuple[str, ...] = (),
        labels: tuple[tuple[str, str], ...] = (),
        oneshot: bool = False,
        created: float | None = None,
        ports: tuple[Published, ...] = (),
        pod: str = "",
    ) -> None:
        self.readable = readable
        self.image = image
        self.command = command
        self.labels = labels
        self.oneshot = oneshot
        self.created = created
        self.ports = ports
        self.pod = pod


class Listing:
    """One container in a list: its phase, when it started, how it last ended, and its details; *oom*: how many of its
    processes the OOM killer has ended in the run that goes on; *restarts*: by systemd itself, None: not asked."""

    __slots__ = ("details", "exit", "health", "name", "oom", "phase", "restarts", "started")

    def __init__(
        self,
        name: str,
        phase: Phase,
        started: float | None,
        exit: Exit | None,
        details: Details,
        health: str = "",
        oom: int = 0,
    ) -> None:
        self.name = name
        self.phase = phase
        self.started = started
        self.exit = exit
        self.details = details
        self.health = health
        self.oom = oom
        self.restarts: int | None = None


def listings(manager: Manager, layout: Layout, *, everything: bool, details: bool = True) -> tuple[Listing, ...]:
    """Containers by name: those that are up, or with *everything* all that are deployed.

    Costs one D-Bus call, and per container a few file reads (*details* off: none of spec and command).
    """
    known = {unit.name: unit for unit in manager.units(PATTERN, *_HEALTH)}
    units = {name: unit for unit in known.values() if (name := name_of_service(unit.name))}
    names = {name for name, unit in units.items() if unit.active not in ("inactive", "failed")}
    if everything:
        # A name systemd still remembers after its container was removed is not a container.
        names |= deployed(layout)
    scopes = scope_directories(layout) if names & set(units) else {}
    found = [_listing(name, units.get(name), scopes.get(name), layout, details) for name in sorted(names)]
    for item in found:
        if item.phase is Phase.RUNNING:
            item.health = health(known.get(healthy_unit(item.name)), known.get(health_timer(item.name)))
    return tuple(item for item in found if item.phase.is_up or everything)


def health(gate: UnitStatus | None, timer: UnitStatus | None) -> str:
    """The health of a running container: 'starting', 'healthy', 'unhealthy', or empty when it has no health check that
    repeats. Pure; *gate* is its ctr-healthy@ unit, *timer* its ctr-health@ timer."""
    return lifecycle.health(gate.activity if gate else IDLE, timer.activity if timer else IDLE)


def _listing(name: str, unit: UnitStatus | None, scope: str | None, layout: Layout, details: bool) -> Listing:
    active, sub = (unit.active, unit.sub) if unit else ("inactive", "dead")
    info = (read_details(name, layout) or described(name, unit, layout)) if details else Details()
    frozen = scope is not None and is_frozen(scope)
    oneshot = info.oneshot or (active == "activating" and not info.readable and is_oneshot(name, layout))
    now = phase(active, sub, frozen=frozen, oneshot=oneshot)
    if now in (Phase.RUNNING, Phase.PAUSED):
        return Listing(name, now, started_at(name, layout), None, info, oom=oom_kills(scope))
    # A oneshot that ended well stays active, and nothing is cleaned up or written down yet.
    ended_well = (active, sub) == ("active", "exited")
    last = Exit("", "success", "exited", 0, 0.0) if ended_well else read_exit(name, layout)
    ended = last is not None and last.is_an_end
    return Listing(name, phase(active, sub, frozen=frozen, oneshot=oneshot, ended=ended), None, last, info)


def deployed(layout: Layout) -> set[str]:
    """Names of all deployed containers.

    Where /var/lib/ctr is not readable, the drop-ins tell: systemd's own directory is everyone's to read.
    """
    try:
        return {name for name in os.listdir(layout.containers) if is_name(name) and not is_pod(name, layout)}
    except FileNotFoundError:
        return set()
    except PermissionError:
        pass
    try:
        entries = os.listdir(layout.units)
    except OSError:
        return set()
    units = (entry.removesuffix(".d") for entry in entries if entry.endswith(".service.d"))
    return {name for unit in units if (name := name_of_service(unit))}


def is_deployed(name: str, layout: Layout) -> bool:
    """Whether the container *name* exists, running or not."""
    if is_pod(name, layout):
        return False
    return os.path.isdir(layout.container(name)) or os.path.isdir(f"{layout.units}/{service_unit(name)}.d")


def pods(layout: Layout) -> set[str]:
    """Names of all deployed pods; empty where the caller may not see them."""
    try:
        return {name for name in os.listdir(layout.containers) if is_name(name) and is_pod(name, layout)}
    except OSError:
        return set()


def is_pod(name: str, layout: Layout) -> bool:
    """Whether *name* is a pod, as far as the caller may see: its directory lies among the containers'."""
    return os.path.lexists(f"{layout.container(name)}/pod.json")


def check_deployed(names: Iterable[str], layout: Layout) -> None:
    """Raise `NotFoundError` for the first of *names* that is no container, with the names that come near."""
    for name in names:
        check_name(name)
        if is_pod(name, layout):
            raise NotFoundError(f"no container '{name}': it is a pod; use 'ctrctl pod'")
        if not is_deployed(name, layout):
            raise NotFoundError(f"no container '{name}'; {suggestion(name, deployed(layout))}")


def suggestion(name: str, known: Iterable[str]) -> str:
    """What to do about an unknown *name*: the nearest known ones, or where to look."""
    from difflib import get_close_matches

    near = get_close_matches(name, sorted(known), n=2, cutoff=0.6)
    return f"did you mean {' or '.join(repr(n) for n in near)}?" if near else "'ctrctl ps -a' lists all"


def read_exit(name: str, layout: Layout) -> Exit | None:
    """How the last run ended; None when there was none, or its record is not for us to read."""
    raw = read_json(f"{layout.container(name)}/last-exit")
    if not raw:
        return None
    return Exit(
        str(raw.get("invocation", "")),
        str(raw.get("result", "")),
        str(raw.get("code", "")),
        int(raw.get("status", 0)),
        float(raw.get("time", 0.0)),
        int(raw.get("oom", 0)),
    )


def described(name: str, unit: UnitStatus | None, layout: Layout) -> Details:
    """What everyone may read: the image, in the unit's description 'Container NAME (IMAGE)' (`render.dropins`), or in
    its card, where systemd has not loaded it or it describes itself otherwise."""
    words = unit.description.split(" ", 2) if unit else []
    if len(words) == 3 and words[0] == "Container" and words[2].startswith("(") and words[2].endswith(")"):
        return Details(image=words[2][1:-1])
    from supervisor.inventory import cards

    card = cards.read(name, layout)
    return Details(image=card.image) if card else Details()


def is_oneshot(name: str, layout: Layout) -> bool:
    """Whether it runs to completion, by its card: for whom may not read the spec, or has no use for the rest."""
    from supervisor.inventory import cards

    card = cards.read(name, layout)
    return card is not None and card.oneshot


def read_details(name: str, layout: Layout) -> Details | None:
    """Image, command and labels from the deployed spec; None when it is not for us to read.

    The codec is not used: its imports cost more than all of ps.
    """
    path = f"{layout.container(name)}/spec.json"
    spec = read_json(path)
    if spec is None:
        return None
    try:
        created = os.stat(path).st_mtime
    except OSError:
        created = None
    command = spec.get("command")
    entrypoint = spec.get("entrypoint")
    if entrypoint is None or (command is None and not entrypoint):
        words = deployed_command(f"{layout.container(name)}/config.json", init=bool(spec.get("run_init")))
    else:
        words = (*entrypoint, *(command or ()))
    # A pod's ports lead to each of its containers.
    publishes = spec.get("ports") or spec.get("publish_all") or spec.get("pod")
    record = read_json(f"{layout.container(spec.get('pod') or name)}/deployed.json") if publishes else None
    return Details(
        readable=True,
        image=spec.get("image") or spec.get("rootfs") or "",
        command=words,
        labels=tuple((key, value) for key, value in spec.get("labels", ())),
        oneshot=spec.get("oneshot", False),
        created=created,
        ports=published(record or {}),
        pod=spec.get("pod") or "",
    )


def deployed_command(path: str, *, init: bool = False) -> tuple[str, ...]:
    """``process.args`` of the OCI configuration at *path*: what runs when the image has a say in the command.

    Finds the member (render writes it near the start) instead of parsing the document: with the seccomp profile in it,
    parsing 100 of them would take longer than the rest of ``ps``. A key's quotes cannot occur unescaped inside a JSON
    string. With *init*, the words up to ``--`` are ours.
    """
    words = _arguments(read_text(path, _HEAD)) or _arguments(read_text(path))
    if init and "--" in words:
        words = words[words.index("--") + 1 :]
    return words


def _arguments(text: str) -> tuple[str, ...]:
    """The first member "args" after "process" in the beginning of a document; empty when it is not all there."""
    from json import JSONDecoder

    process = text.find('"process":')
    start = text.find('"args":', process)
    if process < 0 or start < 0:
        return ()
    try:
        return tuple(JSONDecoder().raw_decode(text, text.index("[", start))[0])
    except ValueError:
        return ()


def started_at(name: str, layout: Layout) -> float | None:
    """When the current run began, in seconds since the epoch.

    systemd makes the link /run/systemd/units/invocation:UNIT anew with every invocation (journald reads it), so its
    time is the run's; the property ActiveEnterTimestamp says the same, but costs a round trip for every container.
    """
    try:
        return os.lstat(_invocation_link(name, layout)).st_mtime
    except OSError:
        return None


def invocation_of(name: str, layout: Layout) -> str:
    """The invocation ID (32 hex digits) of the current run, empty when systemd has no run of it in mind."""
    try:
        return os.readlink(_invocation_link(name, layout))
    except OSError:
        return ""


def _invocation_link(name: str, layout: Layout) -> str:
    return f"{layout.root}/run/systemd/units/invocation:{service_unit(name)}"


def oom_kills(scope: str | None) -> int:
    """How many processes in the cgroup at *scope* the OOM killer has ended so far."""
    found = read_text(f"{scope}/memory.events", _HEAD).partition("\noom_kill ")[2].partition("\n")[0] if scope else ""
    return int(found or 0)


def is_frozen(scope: str) -> bool:
    """Whether the cgroup at *scope* is frozen (cgroup.freeze, cgroups(7)): paused."""
    return read_text(f"{scope}/cgroup.freeze", 1) == "1"


def signal_number(text: str) -> int:
    """The number of the signal 'KILL', 'SIGKILL', 'kill' or '9'. Raises `UserError`."""
    import signal

    if text.isdigit() and 0 < int(text) < signal.NSIG:
        return int(text)
    name = text.upper().removeprefix("SIG")
    number = getattr(signal, f"SIG{name}", None)
    if not isinstance(number, signal.Signals):
        raise UserError(f"signal '{text}': no such signal; use a name such as TERM, or a number")
    return int(number)


def signal_words(number: int) -> str:
    """'signal 9 (SIGKILL)'; without a name where it has none."""
    import signal

    try:
        return f"signal {number} ({signal.Signals(number).name})"
    except ValueError:
        return f"signal {number}"


def read_json(path: str) -> dict[str, Any] | None:
    """The object in the file at *path*; None when it is missing, not ours to read, or no JSON object."""
    import json

    try:
        value = json.loads(read_text(path))
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def read_text(path: str, size: int = 0) -> str:
    """The first *size* bytes of the file at *path* as text, or all of it; empty when it cannot be read.

    Three system calls; `open` makes eight, and ps reads three files for every container.
    """
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        data = os.read(file, size or os.fstat(file).st_size)
    except OSError:
        return ""
    finally:
        os.close(file)
    return data.decode("utf-8", "surrogateescape")
