"""Execute one probe's command in the container, as ``ctrctl exec`` would, with a limit on its time and its output.

It gets a control group of its own inside the container's scope: it counts against the container's limits, ends with it,
is frozen with it, and whatever it started can be killed at once. Judges nothing.
"""

from __future__ import annotations

import os
import select
import time

from supervisor.health.plan import PROCESS, STARTUP_PROCESS
from supervisor.health.record import TIMED_OUT, Result
from supervisor.probe.run import Run
from supervisor.runtime import argv, entry, failure, group

_GROUP, _LOG, _MERGED = "ctr-probe", "health.log", "health-process.json"
#: Of an output without limit.
_LONGEST = 1 << 20


def execute(run: Run, *, startup: bool) -> Result:
    """Run the health check's command, or the startup probe's. Raises `HostError`, OSError when it cannot be tried."""
    plan = run.plan
    timeout = plan.startup.timeout if startup and plan.startup else plan.timeout
    command = argv.exec_(
        plan.runtime,
        run.layout.runtime_state(plan.runtime),
        run.name,
        _document(run, STARTUP_PROCESS if startup else PROCESS),
        log=f"{run.places}/{_LOG}",
    )
    own = f"{run.scope}/{_GROUP}"
    group.remove(own)  # what a probe left that was killed
    os.mkdir(own)  # not its parents: a scope that has just ended stays ended
    _forget(f"{run.places}/{_LOG}")
    began, start = time.monotonic(), time.time()
    reader, writer = os.pipe()
    null = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    try:
        child = entry.spawn(command, own, (null, writer, writer))
    finally:
        os.close(writer)
        os.close(null)
    most = plan.log_size or _LONGEST
    try:
        output = _Output(reader, most)
        in_time = output.collect(child, began + timeout if timeout else None)
        if not in_time:
            group.kill(own, child)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        output.take()
    finally:
        os.close(reader)
        group.remove(own)
    if not in_time:
        text = f"no answer within {timeout:g} s"
        return Result(start, time.time(), TIMED_OUT, (f"{text}\n{output.text}" if output.text else text)[:most])
    if code and (said := failure.message(_read(f"{run.places}/{_LOG}"))):
        return Result(start, time.time(), failure.exit_code(said), said[:most])
    return Result(start, time.time(), code if code >= 0 else 128 - code, output.text)


class _Output:
    """What the command writes: the first *most* characters of it, the rest is read and dropped."""

    def __init__(self, reader: int, most: int) -> None:
        self._reader = reader
        self._most = most
        self._data = b""
        os.set_blocking(reader, False)

    @property
    def text(self) -> str:
        return self._data.decode(errors="replace")[: self._most].rstrip("\n")

    def collect(self, child: int, deadline: float | None) -> bool:
        """Read until *child* ends; False when it did not by *deadline* (monotonic)."""
        handle = os.pidfd_open(child)
        poll = select.poll()
        poll.register(handle, select.POLLIN)
        poll.register(self._reader, select.POLLIN)
        try:
            while True:
                left = None if deadline is None else max(0.0, deadline - time.monotonic())
                ready = dict(poll.poll(None if left is None else left * 1000))
                if self._reader in ready and not self.take():
                    poll.unregister(self._reader)
                if handle in ready:
                    return True
                if left == 0:
                    return False
        finally:
            os.close(handle)

    def take(self) -> bool:
        """Read what is there; False at end of file."""
        try:
            while data := os.read(self._reader, 65536):
                if len(self._data) < 4 * self._most:
                    self._data += data
            return False
        except BlockingIOError:
            return True


def _document(run: Run, name: str) -> str:
    """The file with the command's OCI process object.

    What deploy wrote, unless the container has environment files: these are read at every start, so the launcher's own
    configuration knows the environment. Only such containers pay for the JSON.
    """
    path = f"{run.version}/{name}"
    if not os.path.exists(f"{run.places}/config.json"):
        return path
    import json

    with open(path, encoding="utf-8") as file, open(f"{run.places}/config.json", encoding="utf-8") as launched:
        document = json.load(file) | {"env": json.load(launched)["process"]["env"]}
    merged = f"{run.places}/{_MERGED}"
    with open(os.open(merged, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "w") as file:
        json.dump(document, file)
    return merged


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(_LONGEST)
    except OSError:
        return ""


def _forget(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        return
