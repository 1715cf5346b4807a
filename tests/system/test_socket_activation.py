"""Socket activation, and stopping when idle: systemd listens, the container serves, and only while somebody wants it.

The server knows nothing but sd_listen_fds(3). It answers each connection with the name of the socket it came in by,
and keeps it open until the other end closes it.
"""

from __future__ import annotations

import os
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest
from conftest import Define
from hostkit import (
    DEFINITIONS,
    RUNTIME,
    ctrctl,
    journal,
    main_pid,
    message,
    read_lines,
    run,
    service,
    show,
    systemctl,
    wait_until,
)

UNITS = Path("/etc/systemd/system")
PROXY = Path(__file__).parents[1] / "examples" / "socket"
LOOK = "/usr/lib/ctr/ctr-idle"
HOST = "127.0.0.1"
TCP, UNIX = (HOST, 8080), "/run/web.sock"
SERVER = """
import os, selectors, signal, socket, sys, threading, time

signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
assert os.environ["LISTEN_PID"] == str(os.getpid()), os.environ["LISTEN_PID"]
names = os.environ["LISTEN_FDNAMES"].split(":")

def serve(connection, name):
    time.sleep(float(os.environ.get("PAUSE", "0")))
    try:
        connection.sendall(name.encode() + b"\\n")
        connection.recv(1)
    except ConnectionError:
        pass
    connection.close()

while os.path.exists("/srv/slow"):
    time.sleep(0.02)
selector = selectors.DefaultSelector()
for number in range(int(os.environ["LISTEN_FDS"])):
    selector.register(socket.socket(fileno=3 + number), selectors.EVENT_READ, names[number])
while True:
    for key, _ in selector.select():
        if key.fileobj.type == socket.SOCK_DGRAM:
            _, sender = key.fileobj.recvfrom(9)
            key.fileobj.sendto(key.data.encode(), sender)
        else:
            connection, _ = key.fileobj.accept()
            threading.Thread(target=serve, args=(connection, key.data), daemon=True).start()
"""
WEB = """
[Container]
Image={image}
Network=none
Volume={directory}:/srv:ro
Exec=python3 /srv/server.py
{extra}
"""
LISTEN = f"""
[Socket]
ListenStream={HOST}:8080
"""

BOTH = f"{LISTEN}ListenStream={UNIX}\nRemoveOnStop=yes\n"
SELDOM = "[X-Ctr]\nStopWhenIdleSec=1h"

Serve = Callable[..., str]


@pytest.fixture
def listen() -> Iterator[Callable[[str, str], None]]:
    """``listen(unit, text)``: write a socket unit, or what goes with one, and start it; it is gone after the test."""
    written: list[str] = []

    def start(unit: str, text: str) -> None:
        written.append(unit)
        (UNITS / unit).write_text(text)
        systemctl("daemon-reload")
        if unit.endswith(".socket"):
            systemctl("start", unit)

    yield start
    for unit in written:
        systemctl("stop", unit, check=False)
        systemctl("reset-failed", unit, check=False)
        (UNITS / unit).unlink(missing_ok=True)
    systemctl("daemon-reload")


@pytest.fixture
def serve(define: Define, image: Callable[[str], str], tmp_path: Path) -> Serve:
    """``serve(name, extra)``: deploy a container with the server; its unit."""

    def deploy(name: str, extra: str = "") -> str:
        tmp_path.chmod(0o755)
        (tmp_path / "server.py").write_text(SERVER)
        return define(name, WEB.format(image=image("python"), directory=tmp_path, extra=extra))

    return deploy


def connect(address: tuple[str, int] | str = TCP) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET)
    sock.settimeout(60)
    sock.connect(address)
    return sock


def ask(address: tuple[str, int] | str = TCP) -> str:
    """The name of the socket that *address* is inside the container."""
    with connect(address) as sock, sock.makefile() as answer:
        return answer.readline().strip()


def state(unit: str) -> str:
    return show(unit, "ActiveState")["ActiveState"]


@pytest.fixture
def prefer() -> Iterator[Callable[[str], None]]:
    """``prefer("runc")``: containers that are deployed in this test have that runtime."""
    settings = DEFINITIONS / "ctr.conf"

    def write(runtime: str) -> None:
        settings.write_text(f"[ctr]\nruntime={runtime}\n")

    yield write
    settings.unlink(missing_ok=True)


@pytest.mark.parametrize(("runtime", "init"), [("crun", ""), ("runc", ""), ("crun", "RunInit=yes")])
def test_the_first_connection_starts_it(
    serve: Serve, listen: Callable[[str, str], None], prefer: Callable[[str], None], runtime: str, init: str
) -> None:
    """TCP, UDP and unix sockets of two units, each known by its name inside a container that has no network; the
    program is told that they are meant for it, with either runtime and also below an init."""
    prefer(runtime)
    unit = serve("web", f"{init}\n[Service]\nSockets=other.socket")
    listen("ctr@web.socket", f"{LISTEN}ListenDatagram={HOST}:8080\nFileDescriptorName=http\n")
    other = "ListenStream=/run/other.sock\nRemoveOnStop=yes\nFileDescriptorName=local\nService=ctr@web.service"
    listen("other.socket", f"[Socket]\n{other}\n")
    assert state(unit) == "inactive"
    assert ask() == "http"
    assert state(unit) == "active"
    assert ask("/run/other.sock") == "local"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(60)
        sock.sendto(b"?", (HOST, 8080))
        assert sock.recv(99) == b"http"
    interfaces = ctrctl("exec", "web", "cat", "/proc/net/dev").stdout
    assert [line.split(":")[0].strip() for line in interfaces.splitlines()[2:]] == ["lo"]


def test_the_sockets_are_the_containers_alone(serve: Serve, listen: Callable[[str, str], None]) -> None:
    """Its program has exactly what was passed; what is executed in it later has neither them nor the variables; a
    container without a socket unit has none."""
    serve("web")
    listen("ctr@web.socket", LISTEN)
    assert ask() == "ctr@web.socket"
    passed = os.readlink(f"/proc/{main_pid('web')}/fd/3")
    assert passed.startswith("socket:")
    assert not [fd for fd in descriptors(main_pid("web")) if fd.startswith("/")], "nothing of the host's is open"
    inside = ctrctl("exec", "web", "sh", "-c", "ls -l /proc/self/fd; env").stdout
    assert passed not in inside
    assert "LISTEN_" not in inside


def descriptors(pid: int) -> list[str]:
    found = []
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # a connection that it has just closed
            found.append(os.readlink(entry))
    return [target for target in found if target != "/dev/null"]


def test_stopping_keeps_listening(serve: Serve, listen: Callable[[str, str], None]) -> None:
    """A stopped container is started by the next connection; a killed one by Restart=, with its sockets."""
    unit = serve("web", "[Service]\nRestart=always\nRestartSec=100ms")
    listen("ctr@web.socket", LISTEN)
    assert ask() == "ctr@web.socket"
    systemctl("stop", unit)
    assert (state(unit), state("ctr@web.socket")) == ("inactive", "active")
    assert ask() == "ctr@web.socket"
    before = main_pid("web")
    systemctl("kill", "--signal=KILL", "--kill-whom=main", unit)
    wait_until(lambda: show(unit, "NRestarts")["NRestarts"] == "1", what="Restart=always restarts it")
    assert ask() == "ctr@web.socket"
    assert main_pid("web") != before


def test_idle_stops_it_and_the_next_connection_starts_it(serve: Serve, listen: Callable[[str, str], None]) -> None:
    """It stays for as long as a connection is open, of TCP or unix, however silent; ends when none has been for the
    time, as with an ordinary stop, also under Restart=always; and is there again for the next."""
    unit = serve("web", "[Service]\nRestart=always\n[X-Ctr]\nStopWhenIdleSec=1s")
    listen("ctr@web.socket", BOTH)
    for address in (TCP, UNIX):
        with connect(address) as sock, sock.makefile() as answer:
            assert answer.readline() == "ctr@web.socket\n"
            wait_until(partial(seen_after, time.monotonic() + 1.2), what="it is seen in use")
            assert state(unit) in ("activating", "active"), "a connection is open"
    wait_until(lambda: state(unit) == "inactive", what="nobody uses it any more")
    assert show(unit, "Result", "NRestarts") == {"Result": "success", "NRestarts": "0"}
    wait_until(lambda: state("ctr-idle@web.timer") == "inactive", what="the timer goes with it")
    told = [message(entry).decode() for entry in journal(unit=unit)]
    assert "idle for 1 s: stopping it until the next connection" in told
    assert ask() == "ctr@web.socket"


def last_seen() -> float:
    """When a look last saw the container in use (monotonic clock); 0 before the first."""
    lines = read_lines(RUNTIME / "containers/web/idle")
    return float(lines[0].split()[0]) if lines else 0.0


def seen_after(moment: float) -> bool:
    """Whether a look saw it in use after *moment* (monotonic clock)."""
    return last_seen() > moment


def look() -> None:
    """One look, as the timer has it; those of the timer itself are a minute apart with SELDOM."""
    run(LOOK, "look", "web")


def look_after_hours() -> subprocess.Popen[bytes]:
    """Begin a look that takes the last use to be hours ago, whatever the clock says."""
    look()
    record = RUNTIME / "containers/web/idle"
    arrived = record.read_text().split()[1] if record.exists() else "0"
    record.write_text(f"{time.monotonic() - 7200} {arrived}\n")
    return subprocess.Popen([LOOK, "look", "web"])


def test_short_connections_keep_it(serve: Serve, listen: Callable[[str, str], None]) -> None:
    """Connections that come and go between two looks are use, by TCP and by a unix socket's path."""
    unit = serve("web", SELDOM)
    listen("ctr@web.socket", BOTH)
    assert ask() == "ctr@web.socket"
    look()
    for address in (TCP, UNIX):
        before = time.monotonic()
        assert ask(address) == "ctr@web.socket"
        look()
        assert last_seen() > before
    assert look_after_hours().wait(180) == 0
    wait_until(lambda: state(unit) == "inactive", what="nobody came between two looks")


@pytest.mark.parametrize("kind", ["tcp", "udp", "unix"])
def test_what_waits_keeps_it(serve: Serve, listen: Callable[[str, str], None], tmp_path: Path, kind: str) -> None:
    """A program that takes longer to start than its time is not stopped for ever: who waits for it is answered."""
    (tmp_path / "slow").touch()
    unit = serve("web", SELDOM)
    listen("ctr@web.socket", f"{BOTH}ListenDatagram={HOST}:8080\n")
    if kind == "udp":
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.settimeout(120)
        sock.sendto(b"?", TCP)
    else:
        sock = connect(TCP if kind == "tcp" else UNIX)
    with sock:
        wait_until(lambda: state(unit) == "active", what="it is started")
        first = show(unit, "InvocationID")
        assert look_after_hours().wait(180) == 0
        assert (state(unit), show(unit, "InvocationID")) == ("active", first)
        (tmp_path / "slow").unlink()
        assert sock.recv(99).strip() == b"ctr@web.socket"


def test_what_another_unit_requires_is_kept(serve: Serve, listen: Callable[[str, str], None]) -> None:
    """Also one that is only starting, and one with Requisite=: it would be stopped with it."""
    unit = serve("web", SELDOM)
    listen("ctr@web.socket", LISTEN)
    listen("needs-web.service", f"[Unit]\nRequisite={unit}\n[Service]\nType=notify\nExecStart=/bin/sleep 1000\n")
    assert ask() == "ctr@web.socket"
    systemctl("start", "--no-block", "needs-web.service")
    wait_until(lambda: state("needs-web.service") == "activating", what="it is starting")
    assert look_after_hours().wait(180) == 0
    assert (state(unit), state("needs-web.service")) == ("active", "activating")
    systemctl("stop", "needs-web.service")
    assert look_after_hours().wait(180) == 0
    wait_until(lambda: state(unit) == "inactive", what="nobody needs it any more")


@pytest.mark.parametrize("extra", ["", "RunInit=yes", "[Service]\nExecStop=/bin/true"])
def test_no_connection_is_lost_while_it_stops(serve: Serve, listen: Callable[[str, str], None], extra: str) -> None:
    """Whoever connects at the very moment is answered, by this run or the next: none is refused, reset or forgotten,
    though the program takes its time to answer what it has accepted, and is killed when it is told to stop. Also below
    an init, and with a command that is executed before the signal."""
    unit = serve("web", f"Environment=PAUSE=0.2\n{extra}\n{SELDOM}")
    listen("ctr@web.socket", LISTEN)
    frozen = RUNTIME / "containers/web/idle-frozen"
    for _ in range(3):
        assert ask() == "ctr@web.socket"
        # The moment between the last look and the stop is some milliseconds.
        with look_after_hours() as looking:
            while not frozen.exists() and looking.poll() is None:
                time.sleep(0.001)
            assert [ask() for _ in range(2)] == ["ctr@web.socket"] * 2
        assert looking.returncode == 0
    assert show(unit, "Result")["Result"] == "success"


def test_a_program_that_knows_nothing_of_it(
    define: Define, image: Callable[[str], str], listen: Callable[[str, str], None]
) -> None:
    """The example with systemd-socket-proxyd, copied but for its times: nginx answers the first request, ends when
    nobody asks, answers the next."""
    image("nginx")
    unit = define("lazy-web", (PROXY / "lazy-web.container").read_text())
    listen("lazy-proxy.service", (PROXY / "lazy-proxy.service").read_text().replace("=30s", "=5s"))
    listen("lazy-proxy.socket", (PROXY / "lazy-proxy.socket").read_text())
    assert (state(unit), fetch()) == ("inactive", True)
    wait_until(lambda: state(unit) == "inactive", what="it ends with its proxy")
    assert (show(unit, "Result")["Result"], fetch()) == ("success", True)


def fetch() -> bool:
    """Whether nginx answers behind the proxy."""
    with urllib.request.urlopen("http://127.0.0.1:8078/", timeout=60) as answer:
        return b"nginx" in answer.read()


def test_what_cannot_be_is_refused(define: Define, busybox: str) -> None:
    """A time that is none, a misspelt key: the line and what to write instead, and nothing is deployed."""
    text = f"[Container]\nImage={busybox}\n[X-Ctr]\n"
    define("web", f"{text}StopWhenIdleSec=0\nStopWhenIdelSec=5\n", apply=False)
    done = ctrctl("apply", check=False)
    assert done.returncode != 0
    assert "web.container:4: StopWhenIdleSec=: '0' is too short" in done.stderr
    assert "web.container:5: StopWhenIdelSec=: no such key in [X-Ctr]; did you mean StopWhenIdleSec?" in done.stderr
    assert state(service("web")) == "inactive"
