"""Keep aardvark-dns (ctr-dns.service) telling the truth: write its configuration, then reload or start it."""

from __future__ import annotations

# The C half of `signal`, which makes enums of it in 3 ms.
import _signal  # type: ignore[import-not-found]
import os
import select

from supervisor.errors import HostError
from supervisor.network import dns

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from supervisor.network.record import Record
    from supervisor.paths import Layout

UNIT = "ctr-dns.service"
_START_SECONDS = 20.0
_END_SECONDS = 5
_SIGHUP = 1


def update(layout: Layout, records: Iterable[Record]) -> None:
    """Make the names those of *records*. Raises `HostError` when the server does not start.

    It ends by itself when there is nothing to serve, and that is waited for: told so a moment later, it would not hear
    of new names.
    """
    directory = layout.dns
    os.makedirs(directory, 0o755, exist_ok=True)
    wanted = dns.files(records)
    present = {name: _content(f"{directory}/{name}") for name in os.listdir(directory) if name != dns.PID_FILE}
    for name in present.keys() - wanted.keys():
        os.unlink(f"{directory}/{name}")
    for name, text in wanted.items():
        if present.get(name) != text:
            # Every file in the directory is taken for a network's, so the new one is written outside of it.
            beside = f"{layout.runtime}/dns.new"
            with open(beside, "w", encoding="utf-8") as file:
                file.write(text)
            os.rename(beside, f"{directory}/{name}")
    if present != wanted and not _reload(f"{directory}/{dns.PID_FILE}", ends=not wanted) and wanted:
        _start()


def _content(path: str) -> str:
    with open(path, encoding="utf-8") as file:
        return file.read()


def _reload(pid_file: str, *, ends: bool) -> bool:
    """Tell the server to read its files again; whether there is one. Through a pidfd, as its number may be reused.

    *ends*: wait until it has ended."""
    try:
        with open(pid_file, encoding="ascii") as file:
            pid = int(file.read())
        process = os.pidfd_open(pid)
    except (FileNotFoundError, ProcessLookupError, ValueError):
        return False
    try:
        with open(f"/proc/{pid}/cgroup", encoding="utf-8") as file:
            if f"/{UNIT}" not in file.read():
                return False
        _signal.pidfd_send_signal(process, _SIGHUP)
        if ends:
            poll = select.poll()
            poll.register(process, select.POLLIN)
            poll.poll(_END_SECONDS * 1000)
        return True
    except (FileNotFoundError, ProcessLookupError):
        return False
    finally:
        os.close(process)


def _start() -> None:
    """Without effect when it runs. Only the first container of a host pays for this."""
    from supervisor.systemd.manager import Manager

    with Manager.open() as manager:
        result = manager.wait([manager.enqueue("start", UNIT)], _START_SECONDS).get(UNIT, "timeout")
    if result != "done":
        raise HostError(f"{UNIT}: did not start ({result}), so no names resolve; see 'journalctl -u {UNIT}'")
