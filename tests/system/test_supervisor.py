"""The supervisor as a service of this host: systemd's watchdog, reload and status, and a bus that others flood.

What it does with hostile messages of every kind is in tests/bus/test_api_flood.py.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from conftest import Define
from eventkit import SUPERVISOR, kinds, model, resident, settled, supervisor_pid, wait_for_story
from hostkit import background, journal, main_pid, service, show, systemctl, wait_until

DROP_IN = Path(f"/run/systemd/system/{SUPERVISOR}.d/90-test.conf")
#: PID 1: "Failed with result" (systemd's catalog).
UNIT_FAILED = "d9b373ed55a64feb8242e02dbe79a49c"
CHECKOUT = Path(__file__).resolve().parents[2]
FLOOD_SECONDS = 3.0
CONTAINER = """
    [Unit]
    StartLimitIntervalSec=0
    [Container]
    Image={image}
    Network=none
    Exec=sleep 1000000
    StopSignal=SIGKILL
    [Service]
    {service}
"""


@pytest.fixture
def now() -> float:
    """When the test began."""
    settled()
    return time.time()


@pytest.fixture
def container(define: Define, busybox: str) -> Callable[..., str]:
    """Define a container and start it; its name."""

    def make(name: str, service: str = "") -> str:
        systemctl("start", define(name, CONTAINER.format(image=busybox, service=service)))
        return name

    return make


@pytest.fixture
def short_watchdog() -> Iterator[None]:
    """systemd wants to hear of the supervisor every 5 s, not 30."""
    DROP_IN.parent.mkdir()
    DROP_IN.write_text("[Service]\nWatchdogSec=5s\n")
    systemctl("daemon-reload")
    systemctl("restart", SUPERVISOR)
    settled()
    yield
    DROP_IN.unlink()
    DROP_IN.parent.rmdir()
    systemctl("daemon-reload")


@pytest.mark.usefixtures("short_watchdog")
def test_one_that_hangs_is_ended_and_begun_anew(container: Callable[..., str], now: float) -> None:
    """By systemd's watchdog. Containers run on; what happened meanwhile is told, once; the state is right; while all is
    well, systemd hears of it, and its status says how many there are."""
    steady, killed = container("hang-a"), container("hang-b")
    wait_until(lambda: status_is_the_models(2), what="the status says what runs")
    wait_for_story(killed, now, ["created", "starting", "started", "ready"])
    pids = {name: main_pid(name) for name in (steady, killed)}
    hung = supervisor_pid()
    os.kill(hung, signal.SIGSTOP)
    os.kill(pids[killed], signal.SIGKILL)
    wait_until(lambda: supervisor_pid() != hung, what="another one is there")
    settled()
    results = {e["UNIT_RESULT"] for e in journal(f"MESSAGE_ID={UNIT_FAILED}", f"UNIT={SUPERVISOR}", since=now)}
    assert results == {"watchdog"}
    assert main_pid(steady) == pids[steady]
    wait_for_story(killed, now, ["created", "starting", "started", "ready", "exited"])
    wait_for_story(steady, now, ["created", "starting", "started", "ready"])
    wait_until(lambda: shown(steady, "Phase", "MainPID") == ("running", pids[steady]), what="it is known to run")
    wait_until(lambda: shown(killed, "Phase", "LastExitStatus") == ("exited", 9), what="its end is known")
    wait_until(lambda: status_is_the_models(1), what="the status says what runs")


def shown(name: str, *properties: str) -> tuple[object, ...]:
    """Properties of a container on the bus."""
    known = model()[name]
    return tuple(known[one] for one in properties)


def status_is_the_models(up: int) -> bool:
    """Whether `systemctl status` says how many containers there are, and that *up* of them are up."""
    return show(SUPERVISOR, "StatusText")["StatusText"] == f"{len(model())} containers, {up} up"


def test_a_reload_reads_everything_anew(container: Callable[..., str], now: float) -> None:
    """systemd is told when it begins and when it is over; it is the same process, and what had changed without a word
    of systemd's is known."""
    name = container("reloaded")
    settled()
    pid = supervisor_pid()
    wait_until(lambda: model().get(name, {}).get("Phase") == "running", what="it is known")
    card = Path(f"/etc/systemd/system/{service(name)}.d/50-ctr.conf")
    card.write_text(re.sub("(?m)^Image=.*", "Image=localhost/another:1", card.read_text()))
    assert model()[name]["Image"] != "localhost/another:1"
    with silent_bus():  # without it, nothing can be read
        systemctl("reload", "--no-block", SUPERVISOR)
        wait_until(is_reloading, what="systemd knows of the reload, which goes on when ExecReload= is over")
    wait_until(lambda: show(SUPERVISOR, "ActiveState")["ActiveState"] == "active", what="the reload is over")
    wait_until(lambda: model()[name]["Image"] == "localhost/another:1", what="what it has read is shown")
    systemctl("reload", SUPERVISOR)
    assert supervisor_pid() == pid
    wait_for_story(name, now, ["created", "starting", "started", "ready"])


def is_reloading() -> bool:
    """By the supervisor's own word: the command that asked it for that has ended."""
    found = show(SUPERVISOR, "ActiveState", "ControlPID")
    return (found["ActiveState"], found["ControlPID"]) == ("reloading", "0")


@contextmanager
def silent_bus() -> Iterator[None]:
    """The bus takes messages and delivers none."""
    systemctl("kill", "--signal=STOP", "dbus.service")
    try:
        yield
    finally:
        systemctl("kill", "--signal=CONT", "dbus.service")


#: Pings the supervisor as fast as the bus takes it, and reads the answers or does not. argv: anything to not read.
FLOOD = """
import os, socket, sys, time
from supervisor.api import wire

bus = "org.freedesktop.DBus"
sock = socket.socket(socket.AF_UNIX)
sock.connect("/run/dbus/system_bus_socket")
sock.sendall(b"\\0AUTH EXTERNAL " + str(os.getuid()).encode().hex().encode() + b"\\r\\n")
sock.recv(1000)
sock.sendall(b"BEGIN\\r\\n")
sock.sendall(wire.message(wire.CALL, 1, destination=bus, path="/org/freedesktop/DBus", interface=bus, member="Hello"))
sock.recv(1000)
sock.setblocking(False)
name, path = "io.ctr.Supervisor1", "/io/ctr/Supervisor1"
ping = {"destination": name, "path": path, "interface": "org.freedesktop.DBus.Peer", "member": "Ping"}
flood = b"".join(wire.message(wire.CALL, 2 + number, **ping) for number in range(100))
sent = at = 0
while True:
    try:
        at = (at + sock.send(flood[at:])) % len(flood)
        if not sent:
            print("it has begun", flush=True)
        sent = 1
    except BlockingIOError:
        time.sleep(0.001)
    try:
        while len(sys.argv) < 2 and sock.recv(1 << 16):
            pass
    except BlockingIOError:
        pass
"""


@contextmanager
def flood(*words: str) -> Iterator[subprocess.Popen[str]]:
    """As nobody."""
    command, nobody = [sys.executable, "-c", FLOOD, *words], 65534
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    with background(
        *command, stdout=subprocess.PIPE, env=environment, user=nobody, group=nobody, extra_groups=()
    ) as process:
        assert process.stdout is not None and process.stdout.readline() == "it has begun\n"
        yield process


def test_a_flood_of_calls_delays_nobody_for_long(container: Callable[..., str], now: float) -> None:
    """One client reads the answers, another does not. A container that is restarted all the while has each of its ends
    told, as they come, and the supervisor stays small."""
    name = container("flooded", "Restart=always\n    RestartSec=100ms")
    wait_for_story(name, now, ["created", "starting", "started", "ready"])
    pid, kills, began = supervisor_pid(), 0, time.monotonic()

    def all_told() -> bool:
        return kinds(name, now).count("exited") == kills

    with flood() as reader, flood("unread") as other:
        while not kills or time.monotonic() < began + FLOOD_SECONDS:
            kills += 1
            os.kill(wait_until(lambda: main_pid(name), what="it runs again"), signal.SIGKILL)
            wait_until(all_told, what="its end is told")
        assert (reader.poll(), other.poll()) == (None, None)
    most = resident(pid, "VmHWM")
    print(f"{kills} ends told during a flood of {time.monotonic() - began:.1f} s; at most {most} kB")
    assert supervisor_pid() == pid
    assert most < int(show(SUPERVISOR, "MemoryHigh")["MemoryHigh"]) >> 10
    wait_until(lambda: model()[name]["Phase"] == "running", what="it is answered for")
