"""Sockets that systemd passed (sd_listen_fds(3)), on their way from the unit into the container.

Only containers that have a socket unit import this. The runtime hands descriptors 3 and up to the container's init when
told to (``--preserve-fds``, crun and runc alike); the variables are ours, as neither passes LISTEN_FDNAMES on, and both
always say LISTEN_PID=1, which is the init of `RunInit=`, not the program.
"""

from __future__ import annotations

import _socket
import os
import sys
import time

from supervisor.errors import HostError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from supervisor.idle.record import Listener
    from supervisor.launcher.plan import Plan

FIRST = 3


def receive(environ: Mapping[str, str]) -> int:
    """How many were passed. No program that the launcher runs inherits them; `pass_on` is for the one that shall."""
    count = int(environ["LISTEN_FDS"])
    for fd in range(FIRST, FIRST + count):
        os.set_inheritable(fd, False)
    return count


def variables(environ: Mapping[str, str], count: int, pid: str) -> dict[str, str]:
    """What the container's program is told. *pid*: its number as it sees it itself, empty when nobody can know."""
    found = {"LISTEN_FDS": str(count), "LISTEN_FDNAMES": environ.get("LISTEN_FDNAMES", "")}
    return found | ({"LISTEN_PID": pid} if pid else {})


def bundle(bundle: str, places: str, told: Mapping[str, str]) -> str:
    """The directory of a configuration that differs from that in *bundle* by the variables *told*. It is not the one in
    *places*, where commands that are executed in the container later find their environment."""
    from supervisor.launcher.envfile import merged_config

    own = f"{places}/activated"
    os.makedirs(own, 0o700, exist_ok=True)
    text = merged_config(f"{bundle}/config.json", (), frozenset(), told)
    with open(os.open(f"{own}/config.json", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
    return own


def pass_on(count: int) -> None:
    """In the stub: what is executed next inherits them."""
    for fd in range(FIRST, FIRST + count):
        os.set_inheritable(fd, True)


def close(count: int) -> None:
    """In the launcher, once the stub has them: systemd keeps them, we need not."""
    os.closerange(FIRST, FIRST + count)


def watch(plan: Plan, places: str, count: int) -> None:
    """Have the sockets watched for `StopWhenIdleSec=`; what cannot be is said aloud, and then it is never stopped."""
    from supervisor.idle import arrivals, record

    fds = range(FIRST, FIRST + count)
    listeners = [_listener(fd) for fd in fds]
    known = [listener for listener in listeners if listener]
    if len(known) < count:
        what = "one of its sockets is neither TCP, UDP nor unix, or in another network namespace"
        _warn(plan.name, f"{what}, and cannot be watched; so it is never stopped")
        return
    try:
        counter = arrivals.count(fds)
    except HostError as error:
        _warn(plan.name, f"{error}; connections shorter than the time between two looks are not seen")
        counter = 0
    arrivals.touched(known)
    watched = record.Watched(float(plan.idle), time.monotonic(), counter, known)
    record.write(f"{places}/{record.SOCKETS}", record.dumps(watched))


def _listener(fd: int) -> Listener | None:
    from supervisor.idle.connections import named

    try:
        sock = _socket.socket(fileno=fd)
    except OSError:
        return None  # a FIFO, say
    try:
        return named(sock)
    finally:
        sock.detach()


def _warn(name: str, text: str) -> None:
    print(f"{name}: StopWhenIdleSec=: {text}", file=sys.stderr)
