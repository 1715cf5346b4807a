"""What a scope is made with."""

from __future__ import annotations

import os

import pytest

from supervisor.errors import RetryError
from supervisor.systemd import scope
from supervisor.systemd.sdbus import BusError, BusLostError


def test_scope_properties_have_bus_types() -> None:
    """Each signature becomes the Python value that sd-bus marshalling takes; device lines are collected."""
    lines = (
        "t MemoryMax 18446744073709551615",
        "a(ss) DeviceAllow /dev/null rwm",
        "b MemoryZSwapWriteback false",
        "ay AllowedCPUs 0300",
        "a(ss) DeviceAllow char-pts rw",
        "s DevicePolicy strict",
        "a(st) IOReadBandwidthMax /dev/vda 5000000",
        "a(st) IOReadBandwidthMax /dev/vdb 18446744073709551615",
        "u MemoryMaxScale 2147483648",
    )
    assert dict(scope.typed(lines)) == {
        "MemoryMax": ("t", 2**64 - 1),
        "DeviceAllow": ("a(ss)", [("/dev/null", "rwm"), ("char-pts", "rw")]),
        "MemoryZSwapWriteback": ("b", False),
        "AllowedCPUs": ("ay", b"\x03\x00"),
        "DevicePolicy": ("s", "strict"),
        "IOReadBandwidthMax": ("a(st)", [("/dev/vda", 5_000_000), ("/dev/vdb", 2**64 - 1)]),
        "MemoryMaxScale": ("u", 2**31),
    }


class Busy:
    """A systemd that lost the first connection, has made the scope, and comes to its job with the third question."""

    def __init__(self) -> None:
        self.attempts = 0
        self.questions = 0
        self.stopped: list[str] = []

    def __enter__(self) -> Busy:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def start_transient(self, unit: str, properties: object) -> None:
        self.attempts += 1
        if self.attempts == 1:
            raise BusLostError("connection lost")
        raise BusError("org.freedesktop.systemd1.UnitExists", f"{unit} was already loaded")

    def properties(self, unit: str, interface: str, *names: str) -> dict[str, object]:
        self.questions += 1
        return {"Job": (7, "/job/7")}

    def enqueue(self, verb: str, unit: str) -> str:
        self.stopped.append(unit)
        return unit

    def wait(self, jobs: object, timeout: float) -> None:
        return


def test_a_scope_that_a_busy_systemd_has_not_come_to_is_left_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Made by an attempt whose answer was lost: to stop it would take the process's own place away, again and again."""
    systemd = Busy()
    monkeypatch.setattr(scope.Manager, "open", lambda: systemd)
    monkeypatch.setattr(scope, "_holds", lambda unit, pid: systemd.questions >= 3)
    monkeypatch.setattr(os, "waitid", lambda *_: None)
    scope.create("web", 1, "ctr.slice", [])
    assert systemd.stopped == []
    assert systemd.attempts == 4


def test_who_waits_asks_less_and_less_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """systemd answers before it works: a hundred that ask all the time would wait for ever."""
    systemd = Busy()
    now = 0.0

    def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds

    monkeypatch.setattr(scope.Manager, "open", lambda: systemd)
    monkeypatch.setattr(scope, "_holds", lambda unit, pid: False)
    monkeypatch.setattr(os, "waitid", lambda *_: None)
    monkeypatch.setattr(scope.time, "monotonic", lambda: now)
    monkeypatch.setattr(scope.time, "sleep", sleep)
    with pytest.raises(RetryError, match="a scope of that name still runs"):
        scope.create("web", 1, "ctr.slice", [])
    assert now >= 40
    assert systemd.attempts < 40
