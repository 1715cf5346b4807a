"""What a system test may ask about events and the supervisor, from outside: the journal, D-Bus and systemd.

Owns no claims. PID 1's own record of exits is read here too, so that a test can hold the two against each other.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from hostkit import ctrctl, is_active, journal, run, show, systemctl, wait_until

SUPERVISOR = "ctr-supervisor.service"
#: PID 1: "main process exited" (systemd's catalog).
PROCESS_EXIT = "98e322203f7a4ed290d09fe03c09fe15"
_BUS, _ROOT = "io.ctr.Supervisor1", "/io/ctr/Supervisor1"

Event = dict[str, Any]


def events(*arguments: str, since: float) -> list[Event]:
    """What ``ctrctl events`` tells since a time.time(), oldest first."""
    run("journalctl", "--sync")
    lines = ctrctl("events", "--json", "--since", f"{since:.6f}", *arguments).stdout.splitlines()
    return [json.loads(line) for line in lines]


def kinds(name: str, since: float) -> list[str]:
    """The kinds of a container's events, in order."""
    return [event["event"] for event in events("--filter", f"name={name}", since=since)]


def wait_for_story(name: str, since: float, expected: list[str], timeout: float = 60.0) -> None:
    """Return when exactly these kinds of events were told of a container, in this order."""
    try:
        wait_until(lambda: kinds(name, since) == expected, timeout)
    except AssertionError:
        raise AssertionError(f"{name}: told {kinds(name, since)}, not {expected}") from None


def exits_told(since: float) -> list[tuple[str, str, int]]:
    """Every exit that was told: invocation, code, status."""
    told = events("--filter", "event=exited", since=since)
    return [(event["invocation"], event["exit"]["code"], event["exit"]["status"]) for event in told]


def exits_logged(since: float) -> list[tuple[str, str, int]]:
    """Every main process of a container whose failure PID 1 has logged (it does not log clean exits)."""
    entries = journal(f"MESSAGE_ID={PROCESS_EXIT}", "_PID=1", "COMMAND=ExecStart", since=since)
    return [
        (str(entry["INVOCATION_ID"]), str(entry["EXIT_CODE"]), int(str(entry["EXIT_STATUS"])))
        for entry in entries
        if str(entry.get("UNIT", "")).startswith("ctr@")
    ]


def supervisor_pid() -> int:
    """Main process of the supervisor, as soon as there is one: never 0, which to kill(2) is the test's own group."""
    return wait_until(lambda: int(show(SUPERVISOR, "MainPID")["MainPID"]), what="the supervisor runs")


def resident(pid: int, field: str = "VmRSS") -> int:
    """Memory of a process in kB, as proc_pid_status(5) has it; *field* 'VmHWM': the most it ever had."""
    return int(Path(f"/proc/{pid}/status").read_text().partition(f"{field}:")[2].split()[0])


def settled() -> None:
    """Return when the supervisor is up and answers on the bus."""
    wait_until(lambda: is_active(SUPERVISOR), what="the supervisor is up")
    wait_until(lambda: _call("org.freedesktop.DBus.Peer", "Ping", check=False) is not None, what="it answers")


def restart() -> None:
    """Stop and start it."""
    systemctl("restart", SUPERVISOR)
    settled()


def model() -> dict[str, dict[str, Any]]:
    """Every container as the supervisor shows it on the bus: property name to value."""
    answer = _call("org.freedesktop.DBus.ObjectManager", "GetManagedObjects")
    assert answer is not None
    found = {}
    for interfaces in answer["data"][0].values():
        properties = interfaces.get(f"{_BUS}.Container")
        if properties:
            values = {key: value["data"] for key, value in properties.items()}
            found[values["Name"]] = values
    return found


def state() -> str:
    """Its property State; empty while it cannot be asked."""
    return str(_property("State") or "")


def counter(name: str) -> int:
    """One of its Counters (io.ctr.Supervisor1(5)), as soon as it can be asked."""
    return int(wait_until(lambda: _property("Counters"), what="it answers")[name])


def _property(name: str) -> Any:
    command = ["busctl", "--json=short", "get-property", _BUS, _ROOT, _BUS, name]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=180)
    return None if done.returncode else json.loads(done.stdout)["data"]


def _call(interface: str, member: str, check: bool = True) -> dict[str, Any] | None:
    command = ["busctl", "--json=short", "call", _BUS, _ROOT, interface, member]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=180)
    assert not check or done.returncode == 0, done.stderr
    if done.returncode:
        return None
    return dict(json.loads(done.stdout)) if done.stdout.strip() else {}
