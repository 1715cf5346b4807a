"""What a start leaves for `supervisor.idle.main`: the sockets that activate the container, and what counts on them.

Two small texts in the container's runtime directory, so they end with the run: ``sockets``, written by the launcher,
and ``idle``, what the last look saw. Parses and formats; pure but for `read` and `write`.
"""

from __future__ import annotations

import os

from supervisor.errors import InternalError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

#: In the runtime directory of the run.
SOCKETS, LOOK = "sockets", "idle"


class Listener:
    """A socket that was passed: its family and type (socket(2)), and where it listens.

    *address*: a numeric host, a unix socket's path, or an abstract name behind a NUL; *port* is 0 for unix sockets.
    """

    __slots__ = ("address", "family", "kind", "port")

    def __init__(self, family: int, kind: int, address: str, port: int = 0) -> None:
        self.family = family
        self.kind = kind
        self.address = address
        self.port = port

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Listener) and self._all() == other._all()

    def __hash__(self) -> int:
        return hash(self._all())

    def __repr__(self) -> str:
        return f"Listener{self._all()}"

    def _all(self) -> tuple[int, int, str, int]:
        return self.family, self.kind, self.address, self.port


class Watched:
    """One run's record. *timeout* and *since* in seconds, *since* of the monotonic clock; *counter* is the number of
    the kernel's map that counts packets (`supervisor.idle.arrivals`), 0 when there is none."""

    __slots__ = ("counter", "listeners", "since", "timeout")

    def __init__(self, timeout: float, since: float, counter: int, listeners: Sequence[Listener]) -> None:
        self.timeout = timeout
        self.since = since
        self.counter = counter
        self.listeners = tuple(listeners)


class Look:
    """*last*: when the container was last seen in use (monotonic clock); *arrived*: what the counter said."""

    __slots__ = ("arrived", "last")

    def __init__(self, last: float, arrived: int) -> None:
        self.last = last
        self.arrived = arrived


def dumps(watched: Watched) -> str:
    lines = [f"timeout={watched.timeout!r}", f"since={watched.since!r}", f"counter={watched.counter}"]
    for listener in watched.listeners:
        # In hexadecimal: a unix socket's name may hold anything.
        name = os.fsencode(listener.address).hex() or "-"
        lines.append(f"socket={listener.family} {listener.kind} {listener.port} {name}")
    return "\n".join(lines) + "\n"


def loads(text: str) -> Watched:
    """Raises `InternalError` for a text that `dumps` did not write."""
    values: dict[str, list[str]] = {}
    for line in text.splitlines():
        key, _, value = line.partition("=")
        values.setdefault(key, []).append(value)
    try:
        listeners = []
        for value in values.get("socket", ()):
            family, kind, port, name = value.split(" ")
            address = os.fsdecode(bytes.fromhex(name.removeprefix("-")))
            listeners.append(Listener(int(family), int(kind), address, int(port)))
        return Watched(
            float(values["timeout"][0]), float(values["since"][0]), int(values["counter"][0]), tuple(listeners)
        )
    except (KeyError, ValueError) as error:
        raise InternalError(f"{SOCKETS}: cannot be read ({error}); restart the container") from error


def dump_look(look: Look) -> str:
    return f"{look.last!r} {look.arrived}\n"


def load_look(text: str, watched: Watched) -> Look:
    """The last look, or what is known before the first one."""
    last, _, arrived = text.partition(" ")
    try:
        return Look(float(last), int(arrived))
    except ValueError:
        return Look(watched.since, 0)


def read(path: str) -> str:
    """The text at *path*; empty when there is none."""
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return file.read()
    except FileNotFoundError:
        return ""


def write(path: str, text: str) -> None:
    """Replace the text at *path*. Raises OSError when its directory is gone: the run is over."""
    with open(f"{path}.new", "w", encoding="ascii") as file:
        file.write(text)
    os.rename(f"{path}.new", path)
