"""Events: told by the supervisor, once, in order, also of the time in which it was not there."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from conftest import Define
from eventkit import (
    SUPERVISOR,
    events,
    exits_told,
    kinds,
    model,
    resident,
    restart,
    settled,
    supervisor_pid,
    wait_for_story,
)
from hostkit import (
    background,
    ctrctl,
    is_active,
    journal,
    main_pid,
    message,
    messages,
    run,
    scope,
    show,
    systemctl,
    wait_until,
)

from supervisor.events.event import MESSAGE_IDS, Kind

ONCE = ["starting", "started", "ready", "exited"]
#: Bytes of a line.
LONG = 10_000_000

CONTAINER = """
    [Container]
    Image={image}
    Network=none
    Exec={command}
    StopSignal=SIGKILL
    [Service]
    {service}
"""


@pytest.fixture
def now() -> float:
    """When the test began."""
    return settled_at()


def settled_at() -> float:
    """When all that has happened was told."""
    settled()
    return time.time()


@pytest.fixture
def container(define: Define, busybox: str) -> Callable[..., str]:
    """Define a container of busybox; its unit."""

    def make(name: str, command: str, service: str = "") -> str:
        return define(name, CONTAINER.format(image=busybox, command=command, service=service))

    return make


def test_a_life_is_in_the_journal(container: Callable[..., str], now: float) -> None:
    """Each event has a MESSAGE_ID with an explanation, and fields that a query can use."""
    unit = container("ev-life", "sh -c 'exit 7'")
    systemctl("start", unit)
    wait_for_story("ev-life", now, ["created", *ONCE])
    (exit,) = journal("CTR_CONTAINER=ev-life", "CTR_EVENT=exited", since=now)
    assert (exit["CTR_EXIT_CODE"], exit["CTR_EXIT_STATUS"], exit["_SYSTEMD_UNIT"]) == ("exited", "7", SUPERVISOR)
    shown = run("journalctl", "-x", "--no-pager", f"MESSAGE_ID={exit['MESSAGE_ID']}", "CTR_CONTAINER=ev-life").stdout
    assert "'ctrctl diagnose ev-life' the likely cause" in shown


def test_a_job_is_behind_a_start(container: Callable[..., str]) -> None:
    """Its number and type. On a busy host systemd's signal may come before its words, and the job be over when its type
    is asked for; but not each time."""
    unit = container("ev-job", "sleep 1000", "[Unit]\n    After=ev-slow.service")
    seen: list[tuple[str, bool]] = []
    while ("start", True) not in seen and len(seen) < 4:  # five are too many for systemd's start limit
        since = settled_at()
        # The job waits in the queue so long, which is time to ask for its type.
        run("systemd-run", "--no-block", "--unit=ev-slow", "--property=Type=oneshot", "sleep", "1")
        systemctl("start", unit)
        seen.append(job_of_start("ev-job", since))
        systemctl("stop", unit)
    assert ("start", True) in seen


def job_of_start(name: str, since: float) -> tuple[str, bool]:
    """Type of the job behind the container's start, and whether it has a number."""
    wait_until(lambda: "starting" in kinds(name, since), what="the start is told")
    (starting,) = events("--filter", f"name={name}", "--filter", "event=starting", since=since)
    return starting["job"]["type"], starting["job"]["id"] > 0


def test_events_are_followed_as_they_come(container: Callable[..., str], now: float) -> None:
    """``ctrctl events -f`` prints what was told since the time it was given, then each event while it is the latest,
    until it is interrupted; of the container that was asked for."""
    unit = container("ev-live", "sleep 1000")
    words = ("--follow", "--json", "--since", f"{now:.6f}", "--filter", "name=ev-live")
    with background("ctrctl", "events", *words, stdout=subprocess.PIPE) as follower:
        assert follower.stdout is not None
        told = (json.loads(line)["event"] for line in follower.stdout)
        assert next(told) == "created"
        systemctl("start", container("ev-other", "sleep 1000"), unit)
        assert [next(told) for _ in range(3)] == ONCE[:3]
        os.kill(main_pid("ev-live"), signal.SIGKILL)
        assert next(told) == "exited"
        assert follower.poll() is None
        follower.send_signal(signal.SIGINT)
        assert list(told) == []
    assert follower.returncode == 130


def test_a_pause_a_stop_and_a_removal(container: Callable[..., str], now: float) -> None:
    """A pause by systemctl is one as well, where systemd signals it; a stop job is behind the stop."""
    unit = container("ev-pause", "sleep 1000")
    systemctl("start", unit)
    main_pid("ev-pause")
    ctrctl("pause", "ev-pause")
    wait_until(lambda: kinds("ev-pause", now)[-1] == "paused", what="ctrctl's pause is told")
    ctrctl("unpause", "ev-pause")
    wait_until(lambda: kinds("ev-pause", now)[-2:] == ["paused", "unpaused"], what="ctrctl's pause is told")
    by_systemctl = systemd_version() >= 257
    if by_systemctl:
        systemctl("freeze", "ctr-ev-pause.scope")
        wait_until(lambda: kinds("ev-pause", now)[-1] == "paused", what="systemctl's pause is told")
        systemctl("thaw", "ctr-ev-pause.scope")
        wait_until(lambda: kinds("ev-pause", now)[-1] == "unpaused", what="systemctl's is told")
    systemctl("stop", unit)
    ctrctl("rm", "ev-pause")
    pauses = ["paused", "unpaused"] * (1 + by_systemctl)
    wait_for_story("ev-pause", now, ["created", *ONCE[:3], *pauses, "exited", "stopped", "removed"])
    (stop,) = events("--filter", "name=ev-pause", "--filter", "event=stopped", since=now)
    assert stop["job"]["type"] == "stop" and stop["job"]["id"] > 0


def test_a_pause_that_is_heard_of_late_is_told_once(container: Callable[..., str], now: float) -> None:
    """The journal tells of it, and when it is long over systemd's signals do: no second pause."""
    unit = container("ev-late", "sleep 1000")
    systemctl("start", unit)
    main_pid("ev-late")
    supervisor = supervisor_pid()
    os.kill(supervisor, signal.SIGSTOP)
    try:
        ctrctl("pause", "ev-late")
        ctrctl("unpause", "ev-late")
    finally:
        os.kill(supervisor, signal.SIGCONT)
    wait_until(lambda: "unpaused" in kinds("ev-late", now), what="both are told")
    systemctl("stop", unit)
    wait_for_story("ev-late", now, ["created", *ONCE[:3], "paused", "unpaused", "exited", "stopped"])


def test_what_is_true_of_a_run_that_went_on(container: Callable[..., str]) -> None:
    """The supervisor tells it as soon as it is ready, a pause and a restart while it was down included: what it
    remembers of a run is not taken for another's."""
    kept, again = container("ev-kept", "sleep 1000"), container("ev-again", "sleep 1000")
    systemctl("start", kept, again)
    wait_until(lambda: [model().get(name, {}).get("Phase") for name in ("ev-kept", "ev-again")] == ["running"] * 2)
    systemctl("stop", SUPERVISOR)
    systemctl("freeze", scope("ev-kept"))
    systemctl("restart", again)
    systemctl("start", SUPERVISOR)
    settled()
    found = model()
    assert (found["ev-kept"]["Phase"], found["ev-again"]["Phase"]) == ("paused", "running")
    assert {found[name]["MainPID"] for name in ("ev-kept", "ev-again")} == {main_pid("ev-kept"), main_pid("ev-again")}
    systemctl("thaw", scope("ev-kept"))


def test_a_container_that_removes_itself(busybox: str, now: float) -> None:
    """Its life is told once, also when systemd goes on speaking of its unit, and by a supervisor that slept."""
    run_rm = ("run", "--rm", "--network=none", busybox, "sh", "-c", "exit 5")
    story = ["created", *ONCE, "removed"]
    assert ctrctl(*run_rm[:1], "--name=ev-rm", *run_rm[1:], check=False).returncode == 5
    wait_for_story("ev-rm", now, story)
    os.kill(supervisor_pid(), signal.SIGSTOP)
    ctrctl(*run_rm[:1], "--name=ev-asleep", *run_rm[1:], check=False)
    os.kill(supervisor_pid(), signal.SIGCONT)
    wait_for_story("ev-asleep", now, story)
    systemctl("daemon-reload")
    restart()
    systemctl("daemon-reload")
    settled()
    for name in ("ev-rm", "ev-asleep"):
        wait_for_story(name, now, story)
    assert not {"ev-rm", "ev-asleep"} & set(model())


def test_restarts_until_systemd_gives_up(container: Callable[..., str], now: float) -> None:
    """Every restart is told, and the last word is that there will be none."""
    # However long five starts take here.
    limit = "[Unit]\n    StartLimitIntervalSec=1h\n    StartLimitBurst=5"
    unit = container("ev-loop", "sh -c 'exit 4'", f"Restart=always\n    RestartSec=50ms\n    {limit}")
    systemctl("start", unit, check=False)
    wait_until(lambda: "given-up" in kinds("ev-loop", now), 120, "it gives up")
    told = kinds("ev-loop", now)
    assert told.count("exited") == 5 and told[-1] == "given-up"
    assert told.count("starting") == 5 and told.count("restarting") == 5


def test_the_time_in_which_nobody_looked(container: Callable[..., str], now: float) -> None:
    """What happened while the supervisor was down is told once, in order, with the right codes; then nothing more."""
    units = {number: container(f"ev-dead{number}", f"sh -c 'exit {number}'") for number in (0, 1, 2, 3)}
    long = container("ev-long", "sleep 1000")
    systemctl("start", long)
    wait_until(lambda: kinds("ev-long", now)[-1:] == ["ready"], what="the long one is ready")
    systemctl("stop", SUPERVISOR)
    down = time.time()
    for unit in units.values():
        systemctl("start", unit)
        wait_until(partial(is_down, unit), what=f"{unit} is down")
    os.kill(main_pid("ev-long"), signal.SIGTERM)
    os.kill(main_pid("ev-long"), signal.SIGKILL)
    wait_until(partial(is_down, long), what="the long one is down")
    assert events(since=down) == []
    systemctl("start", SUPERVISOR)
    expected = {f"ev-dead{number}": [*ONCE] for number in units} | {"ev-long": ["exited"]}
    for name, story in expected.items():
        wait_for_story(name, down, story)
    told = events("--filter", "event=exited", since=down)
    assert [event["exit"]["exit_code"] for event in told] == [0, 1, 2, 3, 137]
    assert [event["time"] for event in told] == sorted(event["time"] for event in told)
    systemctl("restart", SUPERVISOR)
    settled()
    assert len(exits_told(down)) == 5


def test_a_journal_that_is_gone_is_said_aloud(container: Callable[..., str], now: float) -> None:
    """Vacuumed past the cursor: one event says that something is missing; the state is right all the same."""
    unit = container("ev-gone", "sleep 1000")
    systemctl("start", unit)
    wait_until(lambda: kinds("ev-gone", now)[-1:] == ["ready"], what="it is ready")
    systemctl("stop", SUPERVISOR)
    down = time.time()
    os.kill(main_pid("ev-gone"), signal.SIGKILL)
    wait_until(lambda: show(unit, "ActiveState")["ActiveState"] == "failed")
    run("journalctl", "--rotate", "--vacuum-time=1us")
    systemctl("start", SUPERVISOR)
    settled()
    wait_until(lambda: events("--filter", "event=lost", since=down), what="the gap is told")
    assert model()["ev-gone"]["Phase"] == "exited"
    exited = ("--filter", "name=ev-gone", "--filter", "event=exited")
    told = wait_until(lambda: events(*exited, since=down), what="its end is told")
    assert [event["exit"]["status"] for event in told] == [9]


def test_hostile_output_makes_no_events(container: Callable[..., str], now: float, tmp_path: Path) -> None:
    """Fields, control characters, broken text and a line of 10 MB are output, whatever they look like, and all of it is
    there; neither supervisor nor relay grows, and what another container says meanwhile arrives."""
    fake = ("CTR_EVENT=exited", f"MESSAGE_ID={MESSAGE_IDS[Kind.EXITED]}", f"_SYSTEMD_UNIT={SUPERVISOR}")
    hostile = [*map(str.encode, fake), b"\033[2J\377", b"\r"]
    (tmp_path / "text").write_bytes(b"\n".join(hostile) + b"\n")
    script = tmp_path / "script"
    script.write_text(f"cat /text; head -c {LONG} /dev/zero | tr '\\0' x; echo; sleep 1000\n")
    volumes = "".join(f"\n    Volume={path}:/{path.name}:ro" for path in (script, tmp_path / "text"))
    units = [container("ev-hostile", f"sh /script{volumes}")]
    units += [container("ev-polite", "sh -c 'echo one; echo two; sleep 1000'")]
    systemctl("start", "ctr-log.service")
    before, relay = resident(supervisor_pid()), relay_pid()
    relay_before = resident(relay)
    systemctl("start", *units)

    def text() -> list[bytes]:
        found = journal("CONTAINER_NAME=ev-hostile", since=now)
        assert {entry["_SYSTEMD_UNIT"] for entry in found} <= {"ctr-log.service"}
        return [message(entry) for entry in found]

    wait_until(lambda: sum(map(len, text())) >= LONG + len(b"".join(hostile)), 300, "the long line is logged")
    for name in ("ev-hostile", "ev-polite"):
        wait_for_story(name, now, ["created", *ONCE[:3]])
    assert text()[: len(hostile)] == hostile
    assert set(b"".join(text()[len(hostile) :])) == set(b"x") and sum(map(len, text()[len(hostile) :])) == LONG
    wait_until(lambda: len(messages("CONTAINER_NAME=ev-polite", since=now)) > 1, what="the polite one's lines")
    assert messages("CONTAINER_NAME=ev-polite", since=now) == ["one", "two"]
    assert [found for field in fake[:2] for found in journal(field, since=now)] == []
    assert resident(supervisor_pid()) < before + 20_000
    assert relay_pid() == relay and resident(relay) < relay_before + 20_000
    assert is_active(SUPERVISOR) and {event["name"] for event in events(since=now)} == {"ev-hostile", "ev-polite"}


def relay_pid() -> int:
    """Main process of the relay."""
    return int(show("ctr-log.service", "MainPID")["MainPID"])


def is_down(unit: str) -> bool:
    """Whether the unit has come to its end."""
    return show(unit, "ActiveState")["ActiveState"] in ("inactive", "failed")


def systemd_version() -> int:
    """The number in ``systemctl --version``."""
    return int(systemctl("--version").stdout.split()[1])
