"""io.ctr.Supervisor1 as programs on the host meet it: systemd's bus, polkit, and the real supervisor.

What it does with every kind of call, and with hostile ones, is in tests/bus/test_api.py and test_api_flood.py.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hostkit import ctrctl, is_active, main_pid, run, show, systemctl, wait_until

NAME, ROOT = "io.ctr.Supervisor1", "/io/ctr/Supervisor1"
CONTAINER = f"{NAME}.Container"
WEB = f"{ROOT}/container/api_2dweb"
RULE = Path("/etc/polkit-1/rules.d/50-test-api.rules")
#: As in io.ctr.Supervisor1(5). 'daemon' is a user that every Debian has.
ALLOWED = """
polkit.addRule(function (action, subject) {
    if (action.id == "io.ctr.manage-containers" && subject.user == "daemon" &&
        action.lookup("container") == "api-web" && action.lookup("verb") == "restart") {
        return polkit.Result.YES;
    }
});
"""


def busctl(*words: str, user: str = "root", check: bool = True) -> subprocess.CompletedProcess[str]:
    return run("runuser", "-u", user, "--", "busctl", "--allow-interactive-authorization=no", *words, check=check)


def call(member: str, name: str, user: str = "root") -> subprocess.CompletedProcess[str]:
    """Call one of the root's methods; the caller looks at what came of it."""
    return busctl("call", NAME, ROOT, NAME, member, "s", name, user=user, check=False)


def properties(path: str = WEB) -> dict[str, Any]:
    """Of a container, as anybody may read them; empty when it is not there."""
    words = ("call", NAME, path, "org.freedesktop.DBus.Properties", "GetAll", "s", CONTAINER)
    answer = busctl("--json=short", *words, user="nobody", check=False)
    if answer.returncode:
        return {}
    return {key: value["data"] for key, value in json.loads(answer.stdout)["data"][0].items()}


def became(**wanted: object) -> dict[str, Any]:
    """The container's properties once they are *wanted*."""

    def look() -> dict[str, Any] | None:
        found = properties()
        return found if {key: found.get(key) for key in wanted} == wanted else None

    return wait_until(look, what=f"{wanted}")


@pytest.fixture
def web(busybox: str, tidy: Callable[[str], str]) -> str:
    """A container that runs."""
    name = tidy("api-web")
    ctrctl("run", "--detach", "--name", name, "--network", "none", "--stop-signal", "SIGKILL", busybox, "sleep", "inf")
    return name


@pytest.fixture
def rule() -> Iterator[None]:
    """A rule for user 'daemon'."""
    RULE.write_text(ALLOWED)
    yield
    RULE.unlink()


def test_the_first_call_starts_the_supervisor(web: str) -> None:
    """And it knows at once what runs."""
    systemctl("stop", "ctr-supervisor.service")
    assert call("GetContainer", web, "nobody").stdout == f'o "{WEB}"\n'
    wait_until(lambda: is_active("ctr-supervisor.service"), what="systemd has heard that it is ready")


def test_anybody_reads_what_systemd_says(web: str) -> None:
    """Phase, main process and invocation are those of the unit."""
    found = became(Phase="running")
    unit = show(f"ctr@{web}.service", "InvocationID")
    assert found["MainPID"] == main_pid(web)
    assert found["InvocationID"] == unit["InvocationID"]
    assert found["Unit"] == f"ctr@{web}.service"
    assert found["ReadyAt"] >= found["StartingAt"] > 0
    interfaces = busctl("introspect", NAME, WEB, user="nobody").stdout
    assert ".Phase" in interfaces and "emits-change" in interfaces
    assert WEB in busctl("tree", "--list", NAME, user="nobody").stdout


def test_root_acts_and_the_properties_follow(web: str) -> None:
    """Stop, start and restart are systemd's jobs; the last exit is there."""
    first = became(Phase="running")
    assert call("Stop", web).stdout.startswith('o "/org/freedesktop/systemd1/job/')
    became(Phase="exited", MainPID=0, JobId=0, LastExitCode="killed", LastExitStatus=9)
    busctl("call", NAME, WEB, CONTAINER, "Start")
    second = became(Phase="running", JobId=0)
    call("Restart", web)
    wait_until(lambda: properties().get("InvocationID") not in (first["InvocationID"], second["InvocationID"]))


def test_a_removed_container_is_no_object_any_more(web: str) -> None:
    """And nothing can be done to it."""
    became(Phase="running")
    ctrctl("rm", "--force", web)
    wait_until(lambda: not properties())
    assert "no such container" in call("Start", web).stderr


def test_a_stranger_is_refused(web: str) -> None:
    """With words that say what is missing; nothing happens to the container."""
    pid = became(Phase="running")["MainPID"]
    for verb in ("Start", "Stop", "Restart"):
        refused = call(verb, web, "nobody")
        assert refused.returncode != 0
        assert f"{web}: {verb.lower()}: not authorized" in refused.stderr
    assert main_pid(web) == pid


def test_a_rule_allows_one_verb_on_one_container_to_one_user(web: str, rule: None) -> None:
    """polkit's rules see the container and the verb."""
    pid = became(Phase="running")["MainPID"]
    wait_until(lambda: call("Restart", web, "daemon").returncode == 0, what="polkitd reads the rule")
    wait_until(lambda: properties().get("MainPID") not in (0, pid, None))
    assert "not authorized" in call("Stop", web, "daemon").stderr
    assert "not authorized" in call("Restart", web, "nobody").stderr


def test_without_polkit_only_root_acts(web: str) -> None:
    """A stopped polkitd is a no in a few seconds, and reading goes on."""
    became(Phase="running")
    systemctl("start", "polkit.service")
    systemctl("kill", "--signal=SIGSTOP", "polkit.service")
    try:
        refused = call("Restart", web, "nobody")
        assert "not authorized: polkit does not answer" in refused.stderr
        assert properties()["Phase"] == "running"
    finally:
        systemctl("kill", "--signal=SIGCONT", "polkit.service")
    assert call("Restart", web).returncode == 0


def test_a_bus_that_was_stopped_is_found_again(web: str) -> None:
    """The name comes back by itself, with what happened meanwhile."""
    became(Phase="running")
    systemctl("restart", "dbus.service")
    systemctl("stop", f"ctr@{web}.service")
    became(Phase="exited")
