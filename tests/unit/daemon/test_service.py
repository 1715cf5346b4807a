"""What systemd hears of the supervisor, at a real socket of sd_notify(3)'s kind."""

from __future__ import annotations

import socket
import threading
import time
from pathlib import Path

import anyio
import pytest

from supervisor.daemon.service import Service

#: 30 ms: the watchdog is fed every 10.
WATCHDOG_USEC = "30000"


class Manager:
    """The one who listens, all the time: such a socket holds ten messages, and then the sender waits."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._heard: list[str] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(address)
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        while (text := self._socket.recv(4096).decode()) != "stop":
            self._heard.append(text)

    def heard(self) -> list[str]:
        """All that was said until now."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as last:
            last.sendto(b"stop", self.address)
        self._thread.join(20)
        self._socket.close()
        return self._heard


@pytest.fixture
def manager(tmp_path: Path) -> Manager:
    return Manager(str(tmp_path / "notify"))


def beat(service: Service, statuses: list[str], turned: float) -> None:
    """Have it report once with each of *statuses*. *turned*: as of `beat`."""

    async def stage() -> None:
        with anyio.CancelScope() as scope:

            def status() -> str:
                if len(statuses) == 1:
                    scope.cancel()  # it ends with the pause that follows
                return statuses.pop(0)

            await service.beat(status, lambda: turned)

    anyio.run(stage)


def test_it_is_ready_with_a_status(manager: Manager) -> None:
    """sd_notify(3): READY=1 ends both a start and a reload, which begins with a time."""
    service = Service({"NOTIFY_SOCKET": manager.address})
    service.ready("3 containers, 2 up")
    service.reloading()
    service.stopping()
    ready, reloading, stopping = manager.heard()
    assert ready == "READY=1\nSTATUS=3 containers, 2 up"
    first, _, usec = reloading.rpartition("=")
    assert first == "RELOADING=1\nMONOTONIC_USEC" and 0 <= time.monotonic() - int(usec) / 1e6 < 20
    assert stopping == "STOPPING=1"


def test_a_status_is_said_when_it_changes(manager: Manager) -> None:
    """Not again and again; the watchdog is fed all the time."""
    service = Service({"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": WATCHDOG_USEC})
    beat(service, ["one", "one", "two", "two"], time.monotonic())
    heard = manager.heard()
    assert [text for text in heard if text != "WATCHDOG=1"] == ["STATUS=one", "STATUS=two"]
    assert heard.count("WATCHDOG=1") == 4


def test_a_model_that_stands_still_feeds_no_watchdog(manager: Manager) -> None:
    """The loop goes round, but what it is for hangs: systemd is to end it."""
    service = Service({"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": WATCHDOG_USEC})
    beat(service, ["one"] * 4, time.monotonic() - 60)
    assert manager.heard() == ["STATUS=one"]


def test_without_a_watchdog_none_is_fed(manager: Manager) -> None:
    """WatchdogSec=0."""
    beat(Service({"NOTIFY_SOCKET": manager.address}), ["one"], time.monotonic())
    assert manager.heard() == ["STATUS=one"]


def test_nobody_needs_to_listen(tmp_path: Path) -> None:
    """Started by hand, or while systemd executes itself anew."""
    for environ in ({}, {"NOTIFY_SOCKET": str(tmp_path / "nobody")}):
        service = Service(environ)
        service.ready("none")
        beat(service, ["one"], time.monotonic())
