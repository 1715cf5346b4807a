"""ctrctl against real containers: what it prints, how it ends, and that it needs no daemon of ours."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator

import pytest
from hostkit import (
    STATE,
    background,
    cgroup_of,
    ctrctl,
    is_active,
    main_pid,
    run,
    scope,
    service,
    systemctl,
    wait_until,
)

Define = Callable[..., str]

#: Stops at once on SIGTERM, writes one line when it is up.
SLEEPER = "sh -c 'trap \"exit 0\" TERM; echo up; while :; do sleep 0.1; done'"
#: docker's words for a short time.
JUST_NOW = r"(\d+ seconds?|less than a second|about a minute|\d minutes)"
#: Takes no notice of SIGTERM.
DEAF = "sh -c 'trap \"\" TERM; echo up; while :; do sleep 0.1; done'"


@pytest.fixture
def container(define: Define, busybox: str) -> Callable[..., str]:
    """``container("web", exec, extra)`` defines and deploys a container and returns its name."""

    def make(name: str, command: str = SLEEPER, extra: str = "", unit: str = "", service: str = "") -> str:
        own = f"Image={busybox}\nNetwork=none\nExec={command}\n{extra}"
        define(name, f"[Unit]\n{unit}\n[Container]\n{own}\n[Service]\n{service}\n")
        return name

    return make


def _ps(*argv: str) -> dict[str, dict[str, object]]:
    return {item["name"]: item for item in json.loads(ctrctl("ps", "--format", "json", *argv).stdout)}


def _wait_for_line(name: str, text: str = "up") -> None:
    wait_until(lambda: text in ctrctl("logs", name).stdout, what=f"{text!r} in the log of {name}")


def test_ps_tells_running_from_stopped(container: Callable[..., str], busybox: str) -> None:
    """ps shows what runs, ps -a everything deployed, with image, command and docker's status words."""
    up, down, new = container("up"), container("down", "sh -c 'exit 3'"), container("new")
    ctrctl("start", up)
    ctrctl("start", down, check=False)
    assert ctrctl("wait", down).stdout == "3\n"
    assert set(_ps()) == {up}
    everything = _ps("-a")
    assert {name: item["state"] for name, item in everything.items()} == {up: "running", down: "exited", new: "created"}
    assert (everything[down]["exit_code"], everything[up]["image"]) == (3, busybox)
    assert everything[up]["command"][-3:-1] == ["sh", "-c"]  # type: ignore[index]
    header, *lines = ctrctl("ps", "-a").stdout.splitlines()
    assert header.split() == ["NAME", "IMAGE", "COMMAND", "STATUS", "PORTS"]
    words = {line.split()[0]: re.split(" {3,}", line)[-1] for line in lines}
    assert re.fullmatch(rf"Up {JUST_NOW}", words[up])
    assert re.fullmatch(rf"Exited \(3\) {JUST_NOW} ago", words[down])
    assert words[new] == "Created"
    assert ctrctl("ps", "-q").stdout == "up\n"
    assert set(_ps("--filter", "status=exited")) == {down}


def test_restarting_shows_as_such(container: Callable[..., str]) -> None:
    """Between two runs of Restart=always ps says so, with the exit code of the last."""
    name = container("loop", "sh -c 'exit 5'", service="Restart=always\nRestartSec=10min")
    ctrctl("start", name, check=False)
    wait_until(lambda: _ps().get(name, {}).get("state") == "restarting", what="state restarting")
    assert str(_ps()[name]["status"]).startswith("Restarting (5)")
    ctrctl("stop", name)
    assert name not in _ps()


def test_pause_freezes_and_stop_still_works(container: Callable[..., str]) -> None:
    """pause freezes the scope and ps shows it; a paused container can be stopped in time."""
    name = container("iced", extra="StopTimeout=120")
    ctrctl("start", name)
    _wait_for_line(name)
    assert ctrctl("pause", name).stdout == "iced\n"
    assert (cgroup_of(scope(name)) / "cgroup.freeze").read_text() == "1\n"
    assert _ps()[name]["state"] == "paused"
    ctrctl("unpause", name)
    assert _ps()[name]["state"] == "running"
    ctrctl("pause", name)
    begun = time.monotonic()
    ctrctl("stop", name)
    assert time.monotonic() - begun < 60
    assert _ps("-a")[name]["exit_code"] == 0


def test_a_paused_container_is_removed_at_once(busybox: str, tidy: Callable[[str], str]) -> None:
    """It is thawed first: a frozen process hears no signal, and would be waited for."""
    script = "trap 'exit 0' TERM; echo up; while :; do sleep 0.05; done"
    name = tidy("frost")
    ctrctl("run", "-d", "--name", name, "--network=none", "--stop-timeout=120", busybox, "sh", "-c", script)
    _wait_for_line(name)
    ctrctl("pause", name)
    begun = time.monotonic()
    ctrctl("rm", "--force", name)
    assert time.monotonic() - begun < 60


@pytest.mark.parametrize(("own", "asked", "at_least", "at_most"), [("120", "0.5", 0.4, 60.0), ("1", "3", 2.8, 60.0)])
def test_stop_with_another_timeout(
    container: Callable[..., str], own: str, asked: str, at_least: float, at_most: float
) -> None:
    """stop -t kills after that many seconds, be it less or more than the container's own StopTimeout=."""
    name = container("deaf", DEAF, extra=f"StopTimeout={own}")
    ctrctl("start", name)
    _wait_for_line(name)
    begun = time.monotonic()
    ctrctl("stop", "-t", asked, name)
    assert at_least < time.monotonic() - begun < at_most
    assert _ps("-a")[name]["exit_code"] == 137


def test_a_failed_start_says_why(container: Callable[..., str]) -> None:
    """The cause in words and the run's last lines, exit 125."""
    name = container("broken", "/no/such/program")
    done = ctrctl("start", name, check=False)
    assert (done.returncode, done.stdout) == (125, "")
    first, *rest = done.stderr.splitlines()
    assert first.startswith("ctrctl: broken: start failed: the launcher said: ")
    assert "/no/such/program" in first and "/no/such/program" not in "".join(rest)
    assert rest[-1] == "more: journalctl -u ctr@broken.service"


@pytest.mark.parametrize("driver", ["journald", "passthrough"])
def test_nobody_else_has_its_last_words(container: Callable[..., str], driver: str) -> None:
    """What any user of the host sends to journald in its name is not among its last words."""
    name = container("quiet", extra=f"LogDriver={driver}\n")
    ctrctl("start", name)
    _wait_for_line(name)
    invocation = systemctl("show", "-P", "InvocationID", service(name)).stdout.strip()
    forged = f"MESSAGE=forged\nCONTAINER_ID={invocation}\nCONTAINER_NAME={name}\n"
    run("setpriv", "--reuid", "65534", "--clear-groups", "logger", "--journald", stdin=forged)
    run("journalctl", "--sync")
    assert run("journalctl", "-o", "cat", f"CONTAINER_ID={invocation}", "_UID=65534").stdout == "forged\n"
    assert json.loads(ctrctl("diagnose", "--format", "json", name).stdout)["log"] == ["up"]


def test_a_failed_dependency_is_named(container: Callable[..., str]) -> None:
    """What failed is the other container, and that is what is said; the other names are started all the same."""
    container("base", "/no/such/program")
    name = container("needy", unit="Requires=ctr@base.service\nAfter=ctr@base.service")
    fine = container("fine")
    done = ctrctl("start", name, fine, check=False)
    assert (done.returncode, done.stdout) == (125, "fine\n")
    assert "needy: start failed: ctr@base.service, which it requires, failed: base: " in done.stderr
    assert "/no/such/program" in done.stderr


def test_several_at_once_and_stop_leaves_dependents(container: Callable[..., str]) -> None:
    """start takes many names; stopping one leaves what requires it alone, as Compose users expect."""
    container("db")
    container("app", unit="Requires=ctr@db.service\nAfter=ctr@db.service")
    assert ctrctl("start", "db", "app").stdout == "db\napp\n"
    ctrctl("stop", "db")
    assert not is_active(service("db"))
    assert is_active(service("app"))


def test_kill_reaches_init_and_wait_sees_it(container: Callable[..., str]) -> None:
    """kill -s sends that signal to the container's init; wait prints 128 plus the signal that ended it."""
    name = container("target", "sh -c 'trap \"echo got hup\" HUP; echo up; while :; do sleep 0.1; done'")
    ctrctl("start", name)
    _wait_for_line(name)
    ctrctl("kill", "-s", "HUP", name)
    _wait_for_line(name, "got hup")
    with background("ctrctl", "wait", name, stdout=subprocess.PIPE) as waiting:
        ctrctl("kill", name)
        assert waiting.communicate(timeout=60)[0] == "137\n"
    done = ctrctl("kill", name, check=False)
    assert done.returncode == 125
    assert "target: not running" in done.stderr


def test_restart_is_a_new_run(container: Callable[..., str]) -> None:
    """restart gives a new invocation and a new init."""
    name = container("again")
    ctrctl("start", name)
    before = main_pid(name), ctrctl("inspect", "--field", "invocation", name).stdout
    ctrctl("restart", name)
    assert main_pid(name) != before[0]
    assert ctrctl("inspect", "--field", "invocation", name).stdout != before[1]


def test_logs_part_the_streams(container: Callable[..., str]) -> None:
    """stdout to stdout, stderr to stderr, bytes as they were, a long line in one piece."""
    script = (
        'printf "bin\\\\377\\\\000x\\\\n"; echo oops >&2; head -c 100000 /dev/zero | tr "\\\\000" y; echo; echo end'
    )
    name = container("talker", f"sh -c '{script}'")
    ctrctl("start", name, check=False)
    ctrctl("wait", name)

    def logs() -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(["ctrctl", "logs", name], check=True, capture_output=True, timeout=180)

    done = wait_until(
        lambda: done if b"end\n" in (done := logs()).stdout and done.stderr else None, what="both streams' last lines"
    )
    assert done.stderr == b"oops\n"
    assert done.stdout == b"bin\xff\x00x\n" + b"y" * 100000 + b"\nend\n"


def test_logs_select_and_mark(container: Callable[..., str]) -> None:
    """-n, --since, --until, -t and --json do what docker's do."""
    name = container("counter", "sh -c 'for i in 1 2 3 4 5; do echo line $i; done'")
    ctrctl("start", name, check=False)
    ctrctl("wait", name)
    _wait_for_line(name, "line 5")
    assert ctrctl("logs", "-n", "2", name).stdout == "line 4\nline 5\n"
    assert ctrctl("logs", "--tail", "0", name).stdout == ""
    assert ctrctl("logs", "--since", "10m", name).stdout.count("\n") == 5
    assert ctrctl("logs", "--until", "10m", name).stdout == ""
    assert ctrctl("logs", "--since", "2035-01-01T00:00:00Z", name).stdout == ""
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z line 5\n", ctrctl("logs", "-t", "-n1", name).stdout)
    last = json.loads(ctrctl("logs", "--json", "-n1", name).stdout)
    assert (last["stream"], last["message"]) == ("stdout", "line 5")
    assert ctrctl("logs", "--since", "nonsense", name, check=False).returncode == 125


def test_logs_of_passthrough(container: Callable[..., str]) -> None:
    """Without the relay the lines come from the container's scope."""
    name = container("direct", extra="LogDriver=passthrough")
    ctrctl("start", name)
    _wait_for_line(name)


def test_nobody_else_speaks_for_a_container(container: Callable[..., str]) -> None:
    """Any user can claim CONTAINER_NAME= to journald; logs shows only what came through the relay."""
    name = container("honest")
    ctrctl("start", name)
    _wait_for_line(name)
    run("logger", "--journald", stdin=f"MESSAGE=forged\nCONTAINER_NAME={name}\nCTR_STREAM=stdout\n")
    run("journalctl", "--sync")
    assert "forged" not in ctrctl("logs", name).stdout


def test_following_ends_with_the_container(container: Callable[..., str]) -> None:
    """logs -f goes on across a restart and ends by itself, with 0, once the container is removed."""
    name = container("story")
    ctrctl("start", name)
    _wait_for_line(name)
    with background("ctrctl", "logs", "-f", name, stdout=subprocess.PIPE) as following:
        assert following.stdout
        assert following.stdout.readline() == "up\n"
        ctrctl("restart", name)
        assert following.stdout.readline() == "up\n"
        ctrctl("rm", "-f", name)
        assert following.wait(timeout=60) == 0


def test_ctrl_c_ends_following(container: Callable[..., str]) -> None:
    """Exit 130, no traceback, no journalctl left behind."""
    name = container("endless")
    ctrctl("start", name)
    _wait_for_line(name)
    with background("ctrctl", "logs", "-f", name, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as following:
        assert following.stdout
        following.stdout.readline()
        following.send_signal(signal.SIGINT)
        assert following.communicate(timeout=60)[1] == ""
        assert following.returncode == 130


def test_inspect_knows_it_all(container: Callable[..., str]) -> None:
    """State, units, image, mounts and spec in one document, single members as text."""
    name = container("glass", extra="Label=tier=front\nMemory=64m")
    ctrctl("start", name)
    (found,) = json.loads(ctrctl("inspect", name).stdout)
    assert found["state"]["pid"] == main_pid(name)
    assert (found["unit"], found["scope"]) == (service(name), scope(name))
    assert found["spec"]["labels"] == [["tier", "front"]]
    assert found["limits"]["MemoryMax"] == 64 * 1024 * 1024
    assert found["image"]["id"].startswith("sha256:")
    assert any(mount["destination"] == "/proc" for mount in found["mounts"])
    assert ctrctl("inspect", "--field", "state.pid", name).stdout == f"{main_pid(name)}\n"
    done = ctrctl("inspect", "--field", "state.nope", name, check=False)
    assert (done.returncode, "exit_code" in done.stderr) == (125, True)


@pytest.fixture
def visitor() -> Iterator[tuple[str, ...]]:
    """Words that run a program as an ordinary user of this host."""
    run("useradd", "--no-create-home", "visitor")
    yield "setpriv", "--reuid=visitor", "--regid=visitor", "--init-groups", "--"
    run("userdel", "visitor")


def test_anyone_may_look_and_only_root_may_touch(container: Callable[..., str], visitor: tuple[str, ...]) -> None:
    """An ordinary user sees what runs; a change is refused with what to do, and nothing happens."""
    name = container("public")
    ctrctl("start", name)
    seen = run(*visitor, "ctrctl", "ps")
    assert name in seen.stdout
    assert "Up" in seen.stdout
    assert json.loads(run(*visitor, "ctrctl", "inspect", name).stdout)[0]["spec"] is None
    for words in (("stop", name), ("kill", name), ("rm", "-f", name)):
        done = run(*visitor, "ctrctl", *words, check=False)
        assert done.returncode == 125, words
        assert "needs root" in done.stderr, words
    assert is_active(service(name))


def test_no_bus_is_needed(container: Callable[..., str]) -> None:
    """With the message bus stopped root's ctrctl goes on working."""
    name = container("alone")
    systemctl("stop", "dbus.socket", "dbus.service")
    try:
        ctrctl("start", name)
        assert name in ctrctl("ps").stdout
        ctrctl("stop", name)
    finally:
        systemctl("start", "dbus.socket")


def test_rm_removes_and_only_what_it_may(container: Callable[..., str]) -> None:
    """A running container is removed with -f only; afterwards nobody knows it."""
    name = container("gone")
    ctrctl("start", name)
    assert ctrctl("rm", name, check=False).returncode == 125
    assert is_active(service(name))
    assert ctrctl("rm", "-f", name).stdout == "gone\n"
    assert name not in _ps("-a")
    done = ctrctl("start", name, check=False)
    assert (done.returncode, "no container 'gone'" in done.stderr) == (125, True)
    assert not os.path.exists("/etc/systemd/system/ctr@gone.service.d")


def test_rm_v_keeps_volumes_that_have_a_name(container: Callable[..., str]) -> None:
    """-v takes the volume nobody named with it, and never one that a person named, as docker and podman."""
    name = container("keeper", extra="Volume=precious:/a\nVolume=/b")
    ctrctl("start", name)
    sources = [mount["source"] for mount in json.loads(ctrctl("inspect", "--field", "spec.mounts", name).stdout)]
    assert sources[0] == "precious"
    volumes = [STATE / "volumes" / source for source in sources]
    assert all(path.is_dir() for path in volumes)
    ctrctl("rm", "-f", "-v", name)
    assert [path.is_dir() for path in volumes] == [True, False]
    volumes[0].rmdir()


def test_version_names_what_it_stands_on() -> None:
    """The versions a bug report needs."""
    found = json.loads(ctrctl("version", "--format", "json").stdout)
    assert found["systemd"] in run("systemctl", "--version").stdout
    assert found["crun"]


def test_completion_in_bash(container: Callable[..., str]) -> None:
    """The installed ctrctl answers its own completion script."""
    name = container("tabbed")
    script = (
        "source <(ctrctl completion bash); COMP_LINE='ctrctl stop ta'; COMP_POINT=14; _ctrctl; echo ${COMPREPLY[@]}"
    )
    assert run("bash", "-c", script).stdout == f"{name}\n"
