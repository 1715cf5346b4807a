"""The caller's end of ``attach.sock``: how a container started in the foreground gets the caller's streams.

Owns the socket and its two exchanges (SOCK_SEQPACKET; the launcher connects before the container's program runs):

* no terminal: the launcher sends ``FDS`` and is answered ``FDS`` with three descriptors (SCM_RIGHTS), which become
  stdin, stdout and stderr of the container's init, so no byte passes through us;
* a terminal: the launcher sends ``TTY`` with the pty's master and is answered ``OK``.

Without a listener the launcher uses the log relay, so a restart after we are gone needs nothing from here.
"""

from __future__ import annotations

import os
import socket
from contextlib import suppress

from supervisor.errors import HostError

_LONGEST_REQUEST = 64


class AttachPoint:
    """A listening ``attach.sock`` in *directory* (made 0700 when missing); a context manager that removes it."""

    def __init__(self, directory: str) -> None:
        os.makedirs(directory, mode=0o700, exist_ok=True)
        self._path = f"{directory}/attach.sock"
        self._remove()
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        # By way of a descriptor: a long name's path does not fit into the 107 bytes of unix(7).
        place = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            self._listener.bind(f"/proc/self/fd/{place}/attach.sock")
        finally:
            os.close(place)
        self._listener.listen(1)

    def __enter__(self) -> AttachPoint:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def fileno(self) -> int:
        return self._listener.fileno()

    def accept(self) -> socket.socket:
        """The launcher that is connecting; the only one, whoever comes later is refused."""
        connection, _ = self._listener.accept()
        self.close()
        return connection

    def close(self) -> None:
        """Refuse launchers from now on."""
        if self._listener.fileno() >= 0:
            self._listener.close()
            self._remove()

    def _remove(self) -> None:
        with suppress(FileNotFoundError):
            os.unlink(self._path)


def answer(launcher: socket.socket, streams: tuple[int, int, int]) -> int | None:
    """Answer the request that has arrived; the pty master, or None when the launcher was given *streams* or went away.

    Raises `HostError` for a request we do not know.
    """
    request, descriptors, _, _ = socket.recv_fds(launcher, _LONGEST_REQUEST, 1)
    with suppress(BrokenPipeError):
        if request == b"TTY" and descriptors:
            launcher.send(b"OK")
            return descriptors[0]
        if request == b"FDS":
            socket.send_fds(launcher, [b"FDS"], streams)
    for descriptor in descriptors:
        os.close(descriptor)
    if request not in (b"", b"FDS", b"TTY"):
        raise HostError(f"attach.sock: the launcher sent {request!r}; FDS or TTY was expected")
    return None


def lend(interactive: bool) -> tuple[int, int, int]:
    """Descriptors of our stdin (with *interactive*, else /dev/null), stdout and stderr for a container to have.

    A terminal is opened anew, each stream in its one direction: a shell's are open for both, and a container that holds
    such a stdout could read what is typed. Whose terminal it is, it can still set the modes of (tty_ioctl(4)).
    """
    stdin = _one_way(0, os.O_RDONLY) if interactive else os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    return stdin, _one_way(1, os.O_WRONLY), _one_way(2, os.O_WRONLY)


def _one_way(fd: int, mode: int) -> int:
    return os.open(f"/proc/self/fd/{fd}", mode | os.O_NOCTTY | os.O_CLOEXEC) if os.isatty(fd) else os.dup(fd)
