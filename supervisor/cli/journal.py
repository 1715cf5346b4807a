"""Journal entries through journalctl(1): its export format in, entries out.

Owns the incremental parser (pure) and the child process. journalctl rather than libsystemd's reader because it keeps
rotation, permissions and ``--since`` right; the export format rather than ``-o cat`` because stdout and stderr of a
container have to part again, and because it carries any bytes.
See https://systemd.io/JOURNAL_EXPORT_FORMATS.
"""

from __future__ import annotations

import os
import select
from collections.abc import Callable, Iterator, Sequence

from supervisor.errors import HostError

Entry = dict[str, bytes]

_CHUNK = 1 << 18
_POLL_SECONDS = 1.0


class ExportParser:
    """Bytes in, whole entries out; keeps what is incomplete for the next chunk."""

    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, chunk: bytes) -> list[Entry]:
        """The entries that *chunk* completes, in order."""
        data = self._buffer + chunk
        entries: list[Entry] = []
        entry: Entry = {}
        at = done = 0
        while (end := data.find(b"\n", at)) >= 0:
            line = data[at:end]
            at = end + 1
            if not line:
                if entry:
                    entries.append(entry)
                entry, done = {}, at
            elif (equals := line.find(b"=")) >= 0:
                entry[line[:equals].decode("ascii", "replace")] = line[equals + 1 :]
            else:
                # Only a name: a little-endian 64-bit length, the bytes, a newline.
                start = at + 8
                at = start + int.from_bytes(data[at:start], "little") + 1
                if len(data) < max(at, start):
                    break
                entry[line.decode("ascii", "replace")] = data[start : at - 1]
        self._buffer = data[done:]
        return entries


def read(arguments: Sequence[str], fields: Sequence[str], until: Callable[[], bool] | None = None) -> Iterator[Entry]:
    """Entries that ``journalctl *arguments*`` selects, with *fields* and ``__REALTIME_TIMESTAMP`` (microseconds).

    With ``-f`` among the arguments it goes on until *until*, asked once a second of silence, says so.
    Raises `HostError` with journalctl's words, `advised`.
    """
    import subprocess

    command = ("journalctl", "-q", "--no-pager", "-o", "export", f"--output-fields={','.join(fields)}", *arguments)
    try:
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    except OSError as error:
        raise HostError(f"journalctl: {error.strerror}") from error
    assert child.stdout and child.stderr
    parser = ExportParser()
    with child:
        try:
            while chunk := _chunk(child.stdout.fileno(), until):
                yield from parser.feed(chunk)
            if until and until():
                return
            words = child.stderr.read().decode(errors="replace").strip()
            if child.wait():
                raise HostError(f"journalctl: {advised(words) or f'exit status {child.returncode}'}")
        finally:
            child.terminate()


def advised(words: str) -> str:
    """What journalctl complained of, with who may read the journal where that is what it is about. Pure."""
    if "permission" not in words.lower():
        return words
    return f"{words.removesuffix('.')}; only root and the group systemd-journal may read it"


def _chunk(fd: int, until: Callable[[], bool] | None) -> bytes:
    """The next bytes; empty at the end, or when nothing came and *until* says it is over."""
    while until:
        if select.select([fd], [], [], _POLL_SECONDS)[0]:
            break
        if until():
            return b""
    return os.read(fd, _CHUNK)
