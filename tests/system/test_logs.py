"""The log relay on a booted host: what containers write arrives once, in order, whatever is killed or stopped.

A container is stood for by a process whose stdout and stderr are pipes handed over exactly as the launcher does it
(`supervisor.logs.handover`), so these claims hold with nothing but the relay installed.
"""

from __future__ import annotations

import fcntl
import json
import os
import pty
import signal
import socket
import subprocess
import sys
import termios
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from random import Random

import pytest
from hostkit import JOURNALD, Entry, message, run, show, systemctl, wait_until

from supervisor.logs import handover

SOCKET = "/run/ctr/log.sock"
RELAY = "ctr-log.service"

#: Writes argv[1] numbered lines to stdout, every tenth to stderr instead. SIGPIPE is fatal, as in most programs.
PRODUCER = """
import signal, sys
signal.signal(signal.SIGPIPE, signal.SIG_DFL)
streams = [open(2, "wb")] + [open(1, "wb")] * 9
for number in range(int(sys.argv[1])):
    streams[number % 10].write(b"%07d the quick brown fox jumps over the lazy dog\\n" % number)
"""


@pytest.fixture(scope="module", autouse=True)
def roomy_journal() -> Iterator[None]:
    """A journal that neither vacuums nor flushes under the load of these tests."""
    conf = Path("/run/systemd/journald.conf.d/test-logs.conf")
    conf.parent.mkdir(parents=True, exist_ok=True)
    conf.write_text("[Journal]\nSystemMaxUse=4G\nSystemKeepFree=1M\nRuntimeMaxUse=4G\nRuntimeKeepFree=1M\n")
    systemctl("restart", "systemd-journald.service")
    systemctl("start", "ctr-log.socket")
    yield
    conf.unlink()
    systemctl("restart", "systemd-journald.service")


@pytest.fixture
def name() -> str:
    """A container name that no other test's lines are under."""
    return f"log-{uuid.uuid4().hex[:8]}"


def offer(name: str, fds: list[int], *, invocation: str = "", tty: bool = False) -> str:
    """Hand *fds* over; the relay's answer."""
    datagram = handover.message(
        name=name, unit=f"ctr@{name}.service", invocation=invocation or uuid.uuid4().hex, identifier=name, tty=tty
    )
    return handover.offer(SOCKET, datagram, fds, timeout=60)


def pipes(name: str) -> tuple[int, int]:
    """The writing ends of the stdout and stderr of a new container."""
    (out, out_writer), (err, err_writer) = os.pipe(), os.pipe()
    try:
        assert offer(name, [out, err]) == "OK"
    finally:
        os.close(out)
        os.close(err)
    return out_writer, err_writer


def write(name: str, *texts: bytes) -> None:
    """A container that writes *texts* to its stdout and is gone."""
    out, err = pipes(name)
    os.close(err)
    with open(out, "wb") as stdout:
        for text in texts:
            stdout.write(text)


def spawn(name: str, *argv: str) -> subprocess.Popen[bytes]:
    """A container that runs *argv*."""
    out, err = pipes(name)
    try:
        return subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=err)
    finally:
        os.close(out)
        os.close(err)


def relay_pid() -> int:
    return int(show(RELAY, "MainPID")["MainPID"])


def kill_relay() -> None:
    """SIGKILL to the relay; returns when another one is up: it has a pid before it has its sandbox, or its streams."""
    before = relay_pid()
    if before:
        os.kill(before, signal.SIGKILL)

    def is_back() -> bool:
        unit = show(RELAY, "MainPID", "ActiveState")
        return unit["ActiveState"] == "active" and unit["MainPID"] != str(before)

    wait_until(is_back, what="the relay is back")


def settle() -> None:
    """Wait until every stream has ended and the journal has everything: only the outbox is left in the fd store."""
    wait_until(lambda: show(RELAY, "NFileDescriptorStore")["NFileDescriptorStore"] == "2", 600, "the fd store is empty")
    run("journalctl", "--sync", timeout=600)


def lines(name: str, *matches: str) -> list[str]:
    """The text of the container's lines, as `journalctl -u` shows them."""
    return run("journalctl", "-q", "-o", "cat", "-u", f"ctr@{name}.service", *matches, timeout=600).stdout.splitlines()


def entries(name: str) -> list[Entry]:
    out = run("journalctl", "-q", "-o", "json", "--all", "-u", f"ctr@{name}.service").stdout
    return [json.loads(line) for line in out.splitlines()]


def test_ten_kills_during_400000_lines_lose_and_double_nothing(name: str) -> None:
    """SIGKILL to the relay ten times during 400,000 lines of three containers: each line once, in order per stream, and
    the containers never notice."""
    count = 133_334
    dice = Random(20240501)
    producers = [spawn(f"{name}-{i}", sys.executable, "-c", PRODUCER, str(count)) for i in range(3)]
    kills = 0
    while kills < 10:
        time.sleep(dice.uniform(0.05, 0.4))  # the moment of death is the point here, not a race to win
        kill_relay()
        kills += 1
        assert kills < 10 or any(producer.poll() is None for producer in producers), "all kills were during the flood"
    assert [producer.wait(600) for producer in producers] == [0, 0, 0]
    settle()
    text = "the quick brown fox jumps over the lazy dog"
    for i in range(3):
        out, err = (lines(f"{name}-{i}", f"CTR_STREAM={stream}") for stream in ("stdout", "stderr"))
        assert out == [f"{number:07d} {text}" for number in range(count) if number % 10]
        assert err == [f"{number:07d} {text}" for number in range(0, count, 10)]


def test_the_container_s_unit_shows_its_lines(name: str) -> None:
    """journalctl -u ctr@NAME has them, with identifier, level and stream; <N> prefixes count as for any service."""
    with spawn(name, "sh", "-c", "echo out; echo err >&2; echo '<4>warn'; echo") as producer:
        assert producer.wait(60) == 0
    settle()
    seen = {
        (e["MESSAGE"], e["PRIORITY"], e["CTR_STREAM"], e["SYSLOG_IDENTIFIER"], e["CONTAINER_NAME"])
        for e in entries(name)
    }
    assert seen == {
        ("out", "6", "stdout", name, name),
        ("err", "3", "stderr", name, name),
        ("warn", "4", "stdout", name, name),
        ("", "6", "stdout", name, name),
    }


def test_a_restarted_journald_loses_nothing(name: str) -> None:
    """journald stops in the middle of a flood and comes back five seconds later: each line once, in order."""
    dropin = Path("/run/systemd/system/systemd-journald.service.d/test-logs.conf")
    dropin.parent.mkdir(exist_ok=True)
    dropin.write_text("[Service]\nExecStartPre=/usr/bin/sleep 5\n")
    systemctl("daemon-reload")
    try:
        producer = spawn(name, sys.executable, "-c", PRODUCER, "100000")
        systemctl("restart", "systemd-journald.service")
    finally:
        dropin.unlink()
        systemctl("daemon-reload")
    assert producer.wait(300) == 0
    settle()
    assert [int(line[:7]) for line in lines(name, "CTR_STREAM=stdout")] == [n for n in range(100_000) if n % 10]


def test_without_any_journald_the_door_stays_open_and_containers_wait(name: str) -> None:
    """journald's sockets gone, too: containers are still taken over, a relay that dies comes back, and once there is a
    journald again, it gets everything."""
    systemctl("stop", *JOURNALD)
    try:
        producer = spawn(name, sys.executable, "-c", PRODUCER, "20000")
        assert spawn(f"{name}-late", "echo", "late").wait(60) == 0
        kill_relay()
        assert spawn(f"{name}-later", "echo", "later").wait(60) == 0
        assert producer.poll() is None, "the producer waits for room in its pipe"
    finally:
        systemctl("start", *JOURNALD)
    assert producer.wait(300) == 0
    settle()
    assert sorted(int(line[:7]) for line in lines(name)) == list(range(20_000))
    assert lines(f"{name}-late") == ["late"] and lines(f"{name}-later") == ["later"]


def test_a_frozen_journald_holds_the_container_back_until_it_thaws(name: str) -> None:
    """A journald that reads nothing fills its queue; nothing is dropped then either."""
    systemctl("kill", "--signal=STOP", "systemd-journald.service")
    try:
        producer = spawn(name, sys.executable, "-c", PRODUCER, "20000")
        assert spawn(f"{name}-b", "true").wait(60) == 0
        kill_relay()
        assert producer.poll() is None, "the producer waits for room in its pipe"
    finally:
        systemctl("kill", "--signal=CONT", "systemd-journald.service")
    assert producer.wait(300) == 0
    settle()
    assert sorted(int(line[:7]) for line in lines(name)) == list(range(20_000))


def test_long_lines_are_split_and_marked_and_nothing_is_altered(name: str) -> None:
    """100,000 bytes in one line come in parts of at most 48 KiB, numbered; binary stays binary."""
    binary = bytes(byte for byte in range(256) if byte != 10)
    write(name, b"x" * 100_000 + b"\n", binary + b"\n", b"\r\n", b"no newline at the end")
    settle()
    got = entries(name)
    assert [
        (len(str(e["MESSAGE"])), e.get("CONTAINER_PARTIAL_ORDINAL"), e.get("CONTAINER_PARTIAL_MESSAGE"))
        for e in got[:3]
    ] == [
        (49152, "1", "true"),
        (49152, "2", "true"),
        (1696, "3", None),
    ]
    assert [message(entry) for entry in got[3:]] == [binary, b"\r", b"no newline at the end"]


def _has_lines(name: str, number: int) -> bool:
    return len(lines(name)) >= number


def test_a_flood_does_not_starve_a_quiet_stream(name: str) -> None:
    """While a container writes as fast as it can, another one's line is in the journal soon, not when that is done."""
    flood = spawn(f"{name}-flood", "yes", "flood")
    try:
        out, err = pipes(name)
        delays = []
        for number in range(5):
            start = time.monotonic()
            os.write(out, b"quiet %d\n" % number)
            wait_until(partial(_has_lines, name, number + 1), what="the quiet line is in the journal")
            delays.append(time.monotonic() - start)
        os.close(out)
        os.close(err)
    finally:
        flood.kill()
        flood.wait()
    settle()
    assert sorted(delays)[2] < 10.0, delays
    assert lines(name) == [f"quiet {number}" for number in range(5)]


def test_a_terminal_is_one_stream(name: str) -> None:
    """A pty master is read until its last slave is closed; CR LF is a line end, and a killed relay loses nothing."""
    master, slave = pty.openpty()
    assert offer(name, [master], tty=True) == "OK"
    os.close(master)
    os.write(slave, b"one\n\ntwo\n")
    kill_relay()
    os.write(slave, b"three\nfour")
    fcntl.ioctl(slave, termios.TCSBRK, 1)
    wait_until(lambda: lines(name)[-1:] == ["three"], what="the lines are in the journal")
    os.close(slave)
    settle()
    assert lines(name) == ["one", "", "two", "three", "four"]


def test_asked_twice_the_relay_takes_a_pipe_once(name: str) -> None:
    """A launcher whose relay died before the answer asks again with the same pipes: one stream, no line torn."""
    (out, out_writer), (err, err_writer) = os.pipe(), os.pipe()
    invocation = uuid.uuid4().hex
    assert offer(name, [out, err], invocation=invocation) == "OK"
    kill_relay()
    assert offer(name, [out, err], invocation=invocation) == "OK"
    wait_until(lambda: show(RELAY, "NFileDescriptorStore")["NFileDescriptorStore"] == "6", what="one stream each")
    for fd in (out, err, err_writer):
        os.close(fd)
    with open(out_writer, "wb") as stdout:
        stdout.writelines(b"%d\n" % number for number in range(5000))
    settle()
    assert lines(name) == [str(number) for number in range(5000)]


def _connection() -> socket.socket:
    client = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    client.settimeout(60)
    client.connect(SOCKET)
    return client


def _garbage(client: socket.socket) -> None:
    client.send(os.urandom(1000))


def _no_fds(client: socket.socket) -> None:
    client.send(handover.message(name="x", unit="u", invocation="0" * 32, identifier="x"))


def _too_many_fds(client: socket.socket) -> None:
    socket.send_fds(client, [handover.message(name="x", unit="u", invocation="0" * 32, identifier="x")], [0] * 100)


def _not_a_pipe(client: socket.socket) -> None:
    with open("/dev/null") as null:
        fds = [null.fileno()] * 2
        socket.send_fds(client, [handover.message(name="x", unit="u", invocation="0" * 32, identifier="x")], fds)


def _too_long(client: socket.socket) -> None:
    client.send(b"NAME=x\n" * 20_000)


@pytest.mark.parametrize("misbehave", [_garbage, _no_fds, _too_many_fds, _not_a_pipe, _too_long])
def test_a_client_that_talks_nonsense_is_told_so(misbehave: Callable[[socket.socket], None], name: str) -> None:
    """ERROR and the reason, the connection closed, no descriptor kept; the next launcher is served."""
    before = descriptors()
    with closing(_connection()) as client:
        misbehave(client)
        assert client.recv(4096).startswith(b"ERROR ")
        assert client.recv(4096) == b""
    wait_until(lambda: descriptors() <= before, what="nothing is kept open")
    write(name, b"fine\n")
    settle()
    assert lines(name) == ["fine"]


def descriptors() -> int:
    """How many the relay has open, when it has just been so for a moment: it closes what is over on its own time."""
    before = -1
    while (now := len(os.listdir(f"/proc/{relay_pid()}/fd"))) != before:
        before = now
        time.sleep(0.2)
    return now


def test_silent_clients_block_nobody_and_are_dropped(name: str) -> None:
    """Fifty connections that say nothing: a hand-over goes through meanwhile, and after some seconds they are gone."""
    write(name, b"before\n")
    settle()
    before = descriptors()
    silent = [_connection() for _ in range(50)]
    write(name, b"meanwhile\n")
    for client in silent:
        assert b"no hand-over" in client.recv(4096)
        client.close()
    settle()
    assert lines(name) == ["before", "meanwhile"]
    wait_until(lambda: descriptors() <= before, what="nothing is kept open")


def test_nobody_but_root_may_connect() -> None:
    """The socket's mode keeps others out."""
    connect = f"import socket; socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET).connect({SOCKET!r})"
    done = run("setpriv", "--reuid=65534", "--clear-groups", sys.executable, "-c", connect, check=False)
    assert done.returncode and "PermissionError" in done.stderr


def test_many_streams_leave_nothing_behind(name: str) -> None:
    """100 containers come and go across two deaths of the relay: fd store and descriptors are as before."""
    kill_relay()
    write(name, b"first\n")
    settle()
    before = descriptors()
    for _ in range(2):
        writers = [pipes(f"{name}-{number}") for number in range(50)]
        for out, _err in writers:
            os.write(out, b"here\n")
        kill_relay()
        for pair in writers:
            for fd in pair:
                os.close(fd)
        settle()
    write(name, b"last\n")  # the connection to journald is made with the first line
    settle()
    wait_until(lambda: descriptors() <= before, what="nothing is kept open")
    assert [lines(f"{name}-{number}") for number in range(50)] == [["here", "here"]] * 50


def test_a_full_fd_store_is_said_not_suffered(name: str) -> None:
    """Past FileDescriptorStoreMax= systemd would drop pipes silently: the hand-over is refused instead."""
    dropin = Path("/run/systemd/system/ctr-log.service.d/test.conf")
    dropin.parent.mkdir(exist_ok=True)
    dropin.write_text("[Service]\nFileDescriptorStoreMax=8\nEnvironment=FDSTORE=8\n")
    systemctl("daemon-reload")
    try:
        kill_relay()
        writers = pipes(name)
        (out, out_writer), (err, err_writer) = os.pipe(), os.pipe()
        assert offer(f"{name}-2", [out, err]).startswith("ERROR ") and "full" in offer(f"{name}-2", [out, err])
        for fd in (*writers, out, out_writer, err, err_writer):
            os.close(fd)
        settle()
    finally:
        dropin.unlink()
        dropin.parent.rmdir()
        systemctl("daemon-reload")
        kill_relay()


def test_the_sandbox_is_tight() -> None:
    """No capability in any set, and systemd-analyze security finds next to nothing."""
    status = Path(f"/proc/{relay_pid()}/status").read_text()
    sets = [line.split()[1] for line in status.splitlines() if line.startswith("Cap")]
    assert set(sets) == {"0" * 16}
    verdict = run("systemd-analyze", "security", "--no-pager", RELAY).stdout.splitlines()[-1]
    assert float(verdict.split(":")[1].split()[0]) <= 1.5, verdict


def test_it_refuses_to_be_stopped(name: str) -> None:
    """A stop would empty the fd store and break every container's pipes."""
    assert systemctl("stop", RELAY, check=False).returncode
    write(name, b"still here\n")
    settle()
    assert lines(name) == ["still here"]
