"""``ctrctl monitor`` on a terminal: what is seen, what keys do, and that the terminal is always given back."""

from __future__ import annotations

import re
import signal
import struct
from collections.abc import Callable, Iterator

import pytest
from hostkit import ctrctl, is_active, service, wait_until
from terminal import Terminal

Tidy = Callable[[str], str]

SLEEPER = "trap 'exit 0' TERM; sleep 1000 & wait"
#: Everything the monitor writes that is not text: the screens, the cursor, wrapping, colours.
OURS = re.compile(rb"\x1b\[(\?1049[hl]|\?25[hl]|\?7[hl]|2J|[0-9]+;1H|[0-9;]*m)")
LEFT = b"\x1b[?1049l"


@pytest.fixture
def monitor(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Terminal]]:
    """Start it on a terminal of its own."""
    monkeypatch.setenv("TERM", "xterm-256color")
    started: list[Terminal] = []

    def start(*words: str, rows: int = 24, columns: int = 80) -> Terminal:
        started.append(Terminal("ctrctl", "monitor", *words, rows=rows, columns=columns).__enter__())
        return started[-1]

    yield start
    for terminal in started:
        terminal.__exit__()


def _web(tidy: Tidy, image: str, command: str = SLEEPER) -> str:
    ctrctl("run", "--detach", "--network", "none", "--name", tidy("web"), image, "sh", "-c", command)
    return "web"


def _is_left(terminal: Terminal) -> bool:
    return terminal.is_as_before and terminal.screen.rstrip().endswith(LEFT)


def test_a_person_stops_and_starts_a_container(monitor: Callable[..., Terminal], tidy: Tidy, busybox: str) -> None:
    """Seen, asked, done, said; q leaves the terminal as it was."""
    _web(tidy, busybox, "trap 'exit 0' TERM; echo hello from inside; sleep 1000 & wait")
    terminal = monitor()
    terminal.expect("ctr monitor")
    terminal.expect("hello from inside")
    terminal.type("t")
    terminal.expect("stop web? y: yes")
    terminal.type("y")
    terminal.expect("stopped web", 60)
    assert not is_active(service("web"))
    terminal.expect("Exited (0)")
    terminal.type("s")
    terminal.expect("started web", 60)
    assert is_active(service("web"))
    terminal.type("q")
    assert terminal.wait() == 0
    assert _is_left(terminal)


def test_a_shell_and_back(monitor: Callable[..., Terminal], tidy: Tidy, busybox: str) -> None:
    """The shell has the terminal as any program has it; afterwards the screen is there again, in the window's size."""
    _web(tidy, busybox)
    terminal = monitor("web")
    terminal.expect("Up ")
    terminal.type("e")
    terminal.expect("\x1b[?1049l")
    terminal.expect("/ # ")
    terminal.type("echo in$((1+1))side\r")
    terminal.expect("in2side")
    terminal.resize(50, 150)
    terminal.type("exit\r")
    terminal.expect("\x1b[?1049h")
    terminal.expect("\x1b[50;1H")
    terminal.type("q")
    assert terminal.wait() == 0
    assert _is_left(terminal)


@pytest.mark.parametrize(
    ("end", "status"),
    [
        (lambda terminal: terminal.type("\x03"), 0),
        (lambda terminal: terminal.program.terminate(), 143),
        (lambda terminal: terminal.program.send_signal(signal.SIGHUP), 129),
    ],
    ids=["ctrl-c", "sigterm", "sighup"],
)
def test_the_terminal_is_given_back(
    monitor: Callable[..., Terminal], end: Callable[[Terminal], None], status: int
) -> None:
    """On every way out, with no container at all to show."""
    terminal = monitor()
    terminal.expect(" quit")
    assert not terminal.is_as_before
    end(terminal)
    assert terminal.wait() == status
    assert _is_left(terminal)


def test_a_window_that_shrinks(monitor: Callable[..., Terminal]) -> None:
    """The next frame has the new size, and draws no line below it."""
    terminal = monitor(rows=40, columns=160)
    terminal.expect("\x1b[40;1H")
    terminal.resize(10, 40)
    # Cleared and drawn anew, in one go.
    terminal.expect("\x1b[2J\x1b[1;1H")
    terminal.expect("\x1b[10;1H")
    terminal.type("q")
    assert terminal.wait() == 0
    assert b"\x1b[11;1H" not in terminal.screen


def test_hostile_output_stays_in_its_lines(monitor: Callable[..., Terminal], tidy: Tidy, busybox: str) -> None:
    """Escape sequences, wrong UTF-8 and a long line in a log: nothing but our own sequences reaches the terminal."""
    hostile = "printf '\\033[2J\\033]0;title\\007\\377\\n'; head -c 200000 /dev/zero | tr '\\0' x; echo; echo the end"
    _web(tidy, busybox, f"{hostile}; {SLEEPER}")
    terminal = monitor()
    seen = terminal.expect("the end").encode("utf-8", "replace")
    terminal.type("q")
    assert terminal.wait() == 0
    assert b"\\x1b[2J\\x1b]0;title\\x07" in seen
    rest = OURS.sub(b"", seen + terminal.screen)
    assert not re.search(rb"[\x00-\x09\x0b\x0c\x0e-\x1f\x7f]", rest)
    assert len(max(rest.split(b"\r\n"), key=len)) < 200_000, "no line as long as it was written"


def test_a_terminal_that_takes_nothing_is_not_waited_for(
    monitor: Callable[..., Terminal], tidy: Tidy, busybox: str
) -> None:
    """Nobody reads the screen: the monitor neither hangs nor piles frames up, and SIGTERM still ends it."""
    _web(tidy, busybox, "trap 'exit 0' TERM; while :; do echo $RANDOM$RANDOM$RANDOM; usleep 20000; done")
    terminal = monitor("--interval", "0.25", rows=200, columns=400)
    terminal.expect(" quit")

    def blocked() -> bool:
        import fcntl
        import termios

        waiting = struct.unpack("i", fcntl.ioctl(terminal.master, termios.FIONREAD, bytes(4)))[0]
        return bool(waiting >= 4095)

    wait_until(blocked)
    terminal.program.terminate()
    # It gives up after half a second; what it then still had to say is lost, the terminal's settings are not.
    wait_until(lambda: terminal.program.poll() is not None)
    assert terminal.program.returncode == 143
    assert terminal.is_as_before
