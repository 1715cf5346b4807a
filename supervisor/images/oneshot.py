"""A unit that does one job and writes lines of progress into a file: started, followed, waited for, with a time limit
of its own. Knows nothing of what the job is."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator

from supervisor.paths import Layout
from supervisor.systemd.manager import Manager

#: Seconds between two looks at the progress file while the job runs.
_INTERVAL = 0.1

OnLine = Callable[[str], None]


def run(unit: str, manager: Manager, progress: str, on_line: OnLine) -> str:
    """Start *unit*, pass on what is appended to the file *progress*, and wait for its end; an interrupt stops it.

    Returns its Result (systemd.service(5), $SERVICE_RESULT), 'success' when it went well, or that of the job.
    """
    job = manager.enqueue("start", unit)
    lines = _Lines(progress, on_line)
    try:
        while not (ended := manager.wait([job], _INTERVAL)):
            lines.show()
    except BaseException:
        manager.stop(unit)
        manager.reset_failed(unit)
        raise
    lines.show()
    why = str(manager.properties(unit, "Service", "Result")["Result"])
    if ended[unit] == "done":
        return "success"
    manager.reset_failed(unit)
    return why if why != "success" else ended[unit]


def explain(unit: str, result: str, timeout: float) -> str:
    """What to say of a *unit* that ended without a word of its own."""
    if result == "timeout":
        limit = f"more than {timeout:g} s" if timeout else "more time than it has"
        return f"took {limit}; give it more with TimeoutStartSec= in [Service]"
    return f"{unit} ended with {result}; see journalctl -u {unit}"


@contextlib.contextmanager
def limited(unit: str, seconds: float, layout: Layout, *settings: str) -> Iterator[None]:
    """Give *unit*, which is neither running nor failed, so many seconds for its start (0: its own), and further lines
    of [Service].

    It needs no daemon-reload: a unit that is at rest is not in systemd's memory, and is read when it is started.
    """
    directory = f"{layout.runtime_units}/{unit}.d"
    path = f"{directory}/50-limits.conf"
    lines = [*([f"TimeoutStartSec={seconds:g}s"] if seconds else []), *settings]
    try:
        # Also when there is nothing to say: a ctrctl that was killed may have left what it said.
        os.makedirs(directory, exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write("\n".join(["[Service]", *lines, ""]))
        yield
    finally:
        with contextlib.suppress(OSError):
            os.unlink(path)
            os.rmdir(directory)


class _Lines:
    """Passes on complete lines that were appended to a file."""

    def __init__(self, path: str, on_line: OnLine) -> None:
        self._path = path
        self._on_line = on_line
        self._offset = 0

    def show(self) -> None:
        with contextlib.suppress(FileNotFoundError), open(self._path, "rb") as file:
            file.seek(self._offset)
            data = file.read()
            whole = data[: data.rfind(b"\n") + 1]
            self._offset += len(whole)
            for line in whole.decode("utf-8", "replace").splitlines():
                self._on_line(line)
