"""What the supervisor's user may do with full control of the supervisor's process: start, stop and restart containers
and projects, start probes, read the journal. Everything else is refused.

The intruder (intruder.py) runs once, in a copy of ctr-supervisor.service as `systemctl cat` shows it, with another
program. The decision and what remains possible: contrib/decisions/2026-11-21-privileges.md.
"""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import intruder
import pytest
from hostkit import ctrctl, is_active, main_pid, messages, run, show, systemctl, wait_until

Outcome = dict[str, Any]

UNIT = "ctr-intruder.service"
COPY = Path("/run/systemd/system", UNIT)
RESULT = Path("/run/ctr-intruder.json")
#: A job that stays queued: it waits for one that does not end.
WAITING = Path("/run/systemd/system/test-waiting.service")
SLOW = Path("/run/systemd/system/test-slow.service")
USER = "ctr-supervisor"
STATE = "/var/lib/ctr-supervisor"
#: Directories that are not the host's.
OWN = ("/tmp", "/var/tmp", "/dev/mqueue")
#: systemd gives a service the pressure file of its own group (MemoryPressureWatch=).
PRESSURE = f"/sys/fs/cgroup/system.slice/{UNIT}/memory.pressure"
VICTIM = intruder.VICTIM

GET_OWNER = (
    *("call", "org.freedesktop.DBus", "/", "org.freedesktop.DBus"),
    *("GetNameOwner", "s", "org.freedesktop.systemd1"),
)
CHANGED = f"""
[Service]
Type=oneshot
Restart=no
WatchdogSec=0
StandardOutput=truncate:{RESULT}
TimeoutStartSec=300s
ExecStart=
"""
NO = "org.freedesktop.DBus.Error.AccessDenied:"
#: Refused in other words, by systemd and polkit themselves.
OTHERWISE = {
    "isolate a project": "org.freedesktop.systemd1.NoIsolation:",
    "polkit: another action": "org.freedesktop.PolicyKit1.Error.NotAuthorized:",
}


def queued(unit: str) -> int:
    """The number of the unit's job, 0 for none."""
    return int(show(unit, "Job").get("Job") or 0)


@pytest.fixture(scope="module")
def victim(busybox: str) -> Iterator[int]:
    """A container with a secret; its init's number."""
    ctrctl("secret", "create", "--replace", "victim-key", "-", stdin="hunter2")
    what = ("--network", "none", "--stop-signal", "SIGKILL", "--secret", "victim-key", "--env", "TOKEN=hunter2")
    ctrctl("run", "--detach", "--name", "victim", *what, busybox, "sleep", "infinity")
    yield main_pid("victim")
    ctrctl("rm", "--force", "victim")
    ctrctl("secret", "rm", "victim-key")


@pytest.fixture(scope="module")
def job() -> Iterator[int]:
    """The number of a job that is queued for as long as the tests of this file run."""
    SLOW.write_text("[Service]\nType=oneshot\nTimeoutStartSec=infinity\nExecStart=/bin/sleep infinity\n")
    WAITING.write_text(f"[Unit]\nAfter={SLOW.name}\n[Service]\nType=oneshot\nExecStart=/bin/true\n")
    systemctl("daemon-reload")
    systemctl("start", "--no-block", SLOW.name, WAITING.name)
    yield queued(WAITING.name)
    systemctl("stop", SLOW.name, WAITING.name)
    systemctl("reset-failed", SLOW.name, WAITING.name, check=False)  # a oneshot that is stopped on its way has failed
    SLOW.unlink()
    WAITING.unlink()
    systemctl("daemon-reload")


@pytest.fixture(scope="module")
def outcome(victim: int, job: int) -> Iterator[Outcome]:
    """What came of every attempt."""
    shutil.copy("/usr/bin/id", intruder.SETUID)
    Path(intruder.SETUID).chmod(0o4755)
    caller = json.loads(run("busctl", "--json=short", *GET_OWNER).stdout)["data"][0]
    facts = json.dumps({"pid": victim, "job": job, "caller": caller}).replace('"', '\\"')
    # systemd refuses two units of one bus name.
    text = systemctl("cat", "ctr-supervisor.service").stdout.replace("\nBusName=", "\n#")
    COPY.write_text(f'{text}{CHANGED}ExecStart=/usr/bin/python3 -I {intruder.__file__} "{facts}"\n')
    systemctl("daemon-reload")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind("/run/ctr/notify/intruder.sock")
        Path("/run/ctr/notify/intruder.sock").chmod(0o666)
        missing = [path for text in intruder.HIDDEN if not Path(path := text.format(pid=victim)).exists()]
        done = systemctl("start", UNIT, check=False, timeout=360)
    Path("/run/ctr/notify/intruder.sock").unlink()
    assert done.returncode == 0, run("journalctl", "-o", "cat", "-u", UNIT).stdout
    # It was restarted.
    wait_until(lambda: not queued(VICTIM) and is_active(VICTIM), what="nothing is left to do")
    yield {"missing": missing, **json.loads(RESULT.read_text())}
    for left in (COPY, RESULT, Path(intruder.SETUID), Path(STATE, intruder.MARK)):
        left.unlink()
    systemctl("daemon-reload")


def test_every_other_call_is_refused(outcome: Outcome) -> None:
    """Over the system bus: by polkit or the bus, not for a reason that says nothing about who asked."""
    refused = outcome["refused"]
    assert len(refused) > 100
    wrong = {name: said for name, said in refused.items() if not said.startswith(OTHERWISE.get(name, NO))}
    assert not wrong, "\n".join(f"{name}: {said}" for name, said in wrong.items())


def test_what_it_is_for_is_allowed(outcome: Outcome) -> None:
    """Containers, projects, probes, and asking polkit for its own callers."""
    allowed = outcome["allowed"]
    assert len(allowed) > len(intruder.ALLOWED)
    assert allowed == dict.fromkeys(allowed, "done")


def test_it_gains_nothing_by_the_kernel(outcome: Outcome) -> None:
    """No other user, namespace, mount, process, network, secret, nor socket; and no capability to begin with."""
    done = {name for name, said in outcome["deeds"].items() if said == "done"}
    assert not done
    assert {line.split()[1] for line in outcome["capabilities"]} == {"0" * 16}


def test_what_it_could_not_see_is_there(outcome: Outcome) -> None:
    """Root found each of the files that were refused, so that no refusal is a spelling mistake."""
    assert outcome["missing"] == []


def test_it_writes_its_state_and_nothing_else(outcome: Outcome) -> None:
    """Of all directories it can create files in four, three of them its own and gone with it; nobody else's file can
    be written."""
    sweep = outcome["sweep"]
    assert set(sweep["directories"]) == {STATE, *OWN}
    assert Path(STATE, intruder.MARK).exists()
    assert not [path for path in OWN if Path(path, intruder.MARK).exists()]
    own = ("/dev/", STATE, *OWN, PRESSURE)
    assert [path for path in sweep["writable"] if not path.startswith(own)] == []


def test_it_reads_the_journal_and_what_everybody_may(outcome: Outcome) -> None:
    """Files that are not world-readable are closed to it, but for the journal and its own."""
    own = (STATE, "/dev/", *OWN)
    others = [path for path in outcome["sweep"]["readable"] if not path.startswith(own)]
    assert [path for path in others if not path.startswith(("/var/log/journal/", "/run/log/journal/"))] == []
    assert others


def test_three_services_listen_to_it(outcome: Outcome) -> None:
    """Of all sockets it reaches the bus, journald's, and systemd's for notifications."""
    reached = {path for path in outcome["sweep"]["sockets"] if not path.startswith("/run/systemd/journal/")}
    assert reached == {"/run/dbus/system_bus_socket", "/run/systemd/notify"}


def test_it_speaks_for_nobody_else(outcome: Outcome, victim: int) -> None:
    """A container's init does not become its main process, systemd stores no descriptor for it, and what it writes
    to the journal under another unit's name is not shown as that unit's."""
    assert outcome
    assert show(UNIT, "ExecMainPID")["ExecMainPID"] != str(victim)
    assert show(UNIT, "NFileDescriptorStore")["NFileDescriptorStore"] == "0"
    assert messages("MESSAGE=forged", "_SYSTEMD_UNIT=" + UNIT)
    assert "forged" not in messages(unit=VICTIM)


def test_everything_else_stands(outcome: Outcome) -> None:
    """After all of this the container runs, as do the log relay, the bus, and the job that it could not cancel."""
    assert outcome
    assert all(map(is_active, (VICTIM, "ctr-log.socket", "dbus.service", "systemd-journald.service")))
    assert queued(WAITING.name)
    assert not Path("/etc/ctr-intruder").exists()


Ask = Callable[..., bool]
MANAGE_UNITS = "org.freedesktop.systemd1.manage-units"


def allowed(action: str, pid: int, unit: str | None = None, verb: str = "") -> bool:
    """What polkit says of a process: root may ask about others, and say what it is about."""
    about = [] if unit is None else ["--detail", "unit", unit, "--detail", "verb", verb]
    done = run("pkcheck", "--action-id", action, "--process", str(pid), *about, check=False)
    assert done.returncode in (0, 1, 2), done.stderr
    return done.returncode == 0


@pytest.fixture(scope="module")
def may() -> Iterator[Ask]:
    """``may(action)``, ``may(MANAGE_UNITS, "ctr@x.service", "start")``: the supervisor's user."""
    argv = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups", "sleep", "infinity"]
    with subprocess.Popen(argv) as process:
        try:
            comm = Path(f"/proc/{process.pid}/comm")
            wait_until(lambda: comm.read_text() == "sleep\n", what="setpriv has become sleep")
            yield lambda action, *about: allowed(action, process.pid, *about)
        finally:
            process.kill()


def test_polkit_gives_it_nothing_else_that_others_do_not_have(may: Ask) -> None:
    """Of all actions that polkit knows on this host, it may do what any user without a session may."""
    actions = run("pkaction").stdout.split()
    assert len(actions) > 20
    with subprocess.Popen(["setpriv", "--reuid=daemon", "--regid=daemon", "--clear-groups", "cat"], stdin=-1) as other:
        wait_until(lambda: Path(f"/proc/{other.pid}/comm").read_text() == "cat\n", what="setpriv has become cat")
        more = [action for action in actions if may(action) and not allowed(action, other.pid)]
        other.kill()
    assert more == []


@pytest.mark.parametrize("unit", ["ctr@x.service", "ctr@x.target", "ctr@0a_B.c-d..e.service", "ctr@x.service.target"])
def test_the_rule_allows_three_verbs_on_containers(may: Ask, unit: str) -> None:
    """start, stop, restart of names as supervisor/names.py has them; no verb that only begins or ends like these."""
    assert [verb for verb in ("start", "stop", "restart") if not may(MANAGE_UNITS, unit, verb)] == []
    others = ("", "reload", "try-restart", "restart-", "starts", "kill", "set-property", "freeze", "ref", "start\nstop")
    assert [verb for verb in others if may(MANAGE_UNITS, unit, verb)] == []


def test_the_rule_allows_one_verb_on_probes(may: Ask) -> None:
    """They are started, and end by themselves."""
    probe = "ctr-health@x.y.service"
    assert [verb for verb in ("start", "stop", "restart") if may(MANAGE_UNITS, probe, verb)] == ["start"]


@pytest.mark.parametrize(
    "unit",
    [
        *("", "ctr@.service", "ctr@.target", "ctr@-.service", "ctr@..service", "ctr@.x.service", "ctr@_.service"),
        *("ctr@x.service/..", "ctr@../../x.service", "/ctr@x.service", "ctr@x/y.service", "ctr@x\\x2fy.service"),
        *("ctr@x.service\n", "ctr@x\n.service", "\nctr@x.service", "ssh.service\nctr@x.service", "ctr@x.service\nssh"),
        *("ctr@x.service ", " ctr@x.service", "ctr@x y.service", "ctr@x@y.service", "ctr@%i.service", "ctr@é.service"),
        *("ctr@x.socket", "ctr@x.timer", "ctr@x.scope", "ctr@x.slice", "ctr@x.mount", "ctr@x.serviceX", "ctr@xservice"),
        *("Ctr@x.service", "actr@x.service", "ctr-@x.service", "ctrX@x.service", "ctr-x.scope", "ctr.slice"),
        *("ctr-log.service", "ctr-image@x.service", "ctr-store@x.service", "ctr-netns@x.service"),
        *("ctr-healthy@x.service", "ctr-health@x"),
        *("ctr-health@.service", "ctr-health@x.timer", "ctr-health@x.target", "ctr-health@x.service/../ctr@x.service"),
        *("ctr-supervisor.service", "ssh.service", "multi-user.target"),
    ],
)
def test_the_rule_knows_no_other_name(may: Ask, unit: str) -> None:
    """Neither anchors nor dots nor line ends of the patterns let a unit through that is not a container."""
    assert not may(MANAGE_UNITS, unit, "start")
