"""``Notify=yes``: what a container says with sd_notify(3) reaches systemd, and nothing that it must not say."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hostkit import background, is_active, main_pid, messages, service, show, systemctl, wait_until

Define = Callable[..., str]

#: Sends each line that comes through /ctl/fifo in a child of its own; 'barrier' and 'quiet' are for itself. Until
#: 'quiet' it keeps the watchdog content, if there is one.
PROGRAM = """
import array, os, select, signal, socket, sys, threading, time

def say(text, fds=()):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        sock.sendmsg([text.encode()], ancillary, 0, os.environ["NOTIFY_SOCKET"])

def barrier():
    reader, writer = os.pipe()
    say("BARRIER=1", (writer,))
    os.close(writer)
    poll = select.poll()
    poll.register(reader, select.POLLHUP)
    print("barrier", "answered" if poll.poll(30000) else "not answered", flush=True)

def keep_alive(seconds):
    beats = 0
    while not quiet.wait(seconds / 10):
        say("WATCHDOG=1")
        beats += 1
        if beats == 20:
            print("outlived", flush=True)

signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
quiet = threading.Event()
if "WATCHDOG_USEC" in os.environ:
    threading.Thread(target=keep_alive, args=(int(os.environ["WATCHDOG_USEC"]) / 1e6,), daemon=True).start()
# Its own end for writing too: it never reads an end of file, and loses nothing that is written.
for line in open(os.open("/ctl/fifo", os.O_RDWR)):
    line = line.rstrip()
    if line == "barrier":
        barrier()
    elif line == "quiet":
        quiet.set()
    elif not os.fork():
        say(line.encode().decode("unicode_escape"))
        os._exit(0)
    else:
        os.wait()
"""


class Speaker:
    """A container that says what it is told to."""

    def __init__(self, directory: Path) -> None:
        self._fifo = directory / "fifo"
        (directory / "program.py").write_text(PROGRAM)
        os.mkfifo(self._fifo)
        self._fifo.chmod(0o666)

    def say(self, line: str) -> None:
        with os.fdopen(wait_until(self._end, what="it listens"), "w") as fifo:
            fifo.write(line + "\n")

    def _end(self) -> int | None:
        """To write to; None as long as nobody has it open to read."""
        try:
            return os.open(self._fifo, os.O_WRONLY | os.O_NONBLOCK)
        except OSError as error:
            assert error.errno == errno.ENXIO
            return None


@pytest.fixture
def speaker(tmp_path: Path) -> Iterator[Speaker]:
    tmp_path.chmod(0o755)
    yield Speaker(tmp_path)


def definition(image: str, directory: Path, *container: str, extra: str = "") -> str:
    lines = ["[Container]", f"Image={image}", "Network=none", "Notify=yes", f"Volume={directory}:/ctl"]
    return "\n".join([*lines, "Exec=python3 /ctl/program.py", *container, extra]) + "\n"


def said(name: str) -> str:
    return show(service(name), "StatusText")["StatusText"]


@pytest.mark.parametrize("init", [False, True], ids=["own-init", "tini"])
def test_the_container_says_when_it_is_ready(
    define: Define, image: Callable[[str], str], speaker: Speaker, tmp_path: Path, init: bool
) -> None:
    """Its unit is active from its own READY=1 on, sent by a child of its program; STATUS= is in systemctl status,
    without escape sequences; the same after a restart."""
    extra = ("RunInit=yes",) if init else ()
    define("app", definition(image("python"), tmp_path, *extra))
    systemctl("start", "--no-block", service("app"))
    speaker.say("STATUS=warming \\x1b[31mup")
    wait_until(lambda: said("app") == "warming \N{REPLACEMENT CHARACTER}[31mup")
    assert show(service("app"), "ActiveState")["ActiveState"] == "activating"
    speaker.say("READY=1\\nSTATUS=at work")
    wait_until(lambda: is_active(service("app")))
    assert said("app") == "at work"
    assert 'Status: "at work"' in systemctl("status", service("app")).stdout
    systemctl("restart", "--no-block", service("app"))
    wait_until(lambda: show(service("app"), "SubState")["SubState"] == "start" and main_pid("app") != 0)
    speaker.say("READY=1")
    wait_until(lambda: is_active(service("app")))


def test_what_it_must_not_say_is_not_heard(
    define: Define, image: Callable[[str], str], speaker: Speaker, tmp_path: Path
) -> None:
    """MAINPID= would make a process of the host the unit's main one; what stands beside it is heard. A barrier is
    answered after everything before it was."""
    define("app", definition(image("python"), tmp_path))
    systemctl("start", "--no-block", service("app"))
    with background("sleep", "1000") as other:
        speaker.say(f"MAINPID={other.pid}\\nREADY=1\\nFDSTORE=1\\nSTATUS=one")
        speaker.say(f"MAINPID={other.pid}")
        speaker.say("STATUS=two")
        speaker.say("barrier")
        wait_until(lambda: "barrier answered" in messages(unit=service("app")))
        assert (is_active(service("app")), said("app")) == (True, "two")
        init = main_pid("app")
    assert init != other.pid
    assert Path(f"/proc/{init}/cgroup").read_text().rstrip().endswith("/ctr-app.scope")


def test_no_other_user_can_speak_for_it(
    define: Define, image: Callable[[str], str], speaker: Speaker, tmp_path: Path
) -> None:
    """Its socket lies where only root comes by; the container's own users may write to it."""
    define("app", definition(image("python"), tmp_path, "User=1234"))
    systemctl("start", "--no-block", service("app"))
    speaker.say("READY=1")
    wait_until(lambda: is_active(service("app")))
    assert stat.S_IMODE(Path("/run/ctr/notify").stat().st_mode) == 0o700
    assert Path("/run/ctr/notify/app/notify.sock").is_socket()
    systemctl("stop", service("app"))
    wait_until(lambda: not Path("/run/ctr/notify/app").exists())


def test_it_is_heard_while_the_host_shuts_down(
    define: Define, image: Callable[[str], str], speaker: Speaker, tmp_path: Path
) -> None:
    """What a container says then starts the forwarder: neither the socket nor a unit that the forwarder needs, or is
    ordered after, is being stopped then, or waits for the containers to stop."""
    define("app", definition(image("python"), tmp_path))
    systemctl("start", "--no-block", service("app"))
    speaker.say("READY=1")
    wait_until(lambda: is_active(service("app")))
    heard = show("ctr-notify@app.socket", "Requires", "BindsTo", "Conflicts")
    passed = show("ctr-notify@app.service", "Requires", "Wants", "BindsTo", "After", "Conflicts")
    units = {unit for units in (*heard.values(), *passed.values()) for unit in units.split()}
    assert "ctr-notify@app.socket" in units
    for unit in sorted(units):
        assert not {"shutdown.target", "umount.target"} & set(show(unit, "Conflicts")["Conflicts"].split()), unit
    assert "shutdown.target" not in units
    systemctl("stop", service("app"))
    wait_until(lambda: not is_active("ctr-notify@app.socket"))


def test_nothing_stays_resident(define: Define, image: Callable[[str], str], speaker: Speaker, tmp_path: Path) -> None:
    """The forwarder runs while messages come, and a moment longer."""
    define("app", definition(image("python"), tmp_path))
    systemctl("start", "--no-block", service("app"))
    speaker.say("READY=1")
    wait_until(lambda: is_active(service("app")))
    wait_until(lambda: show("ctr-notify@app.service", "MainPID", "Result") == {"MainPID": "0", "Result": "success"})
    speaker.say("STATUS=again")
    wait_until(lambda: said("app") == "again")


def test_the_watchdog(define: Define, image: Callable[[str], str], speaker: Speaker, tmp_path: Path) -> None:
    """WatchdogSec= tells the container its time; it outlives it twice over while it sends keep-alives, and is killed
    when it stops sending them."""
    define("app", definition(image("python"), tmp_path, extra="[Service]\nWatchdogSec=6s"))
    systemctl("start", "--no-block", service("app"))
    speaker.say("READY=1")
    wait_until(lambda: is_active(service("app")))
    run = show(service("app"), "InvocationID")
    wait_until(lambda: "outlived" in messages(unit=service("app")))
    assert is_active(service("app"))
    assert show(service("app"), "InvocationID") == run
    speaker.say("quiet")
    wait_until(lambda: show(service("app"), "Result")["Result"] == "watchdog")
