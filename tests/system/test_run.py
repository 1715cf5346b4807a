"""``ctrctl run``, ``create``, ``exec`` and ``cp`` as a person and a script use them."""

from __future__ import annotations

import io
import os
import signal
import stat
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hostkit import (
    STATE,
    background,
    cgroup_of,
    command_of,
    ctrctl,
    is_active,
    main_pid,
    names,
    processes,
    run,
    scope,
    service,
    show,
    systemctl,
    wait_until,
)
from terminal import Terminal

RUNTIMES = ("crun", "runc")
#: Says when it is ready, ends with 9 on SIGTERM, and lets nobody wait.
PATIENT = "trap 'exit 9' TERM; echo ready; while :; do sleep 0.1; done"

#: What most of these tests are not about; it also saves them the time a network takes.
ALONE = ("--network", "none")

Tidy = Callable[[str], None]


def containers() -> frozenset[str]:
    return names(Path("/var/lib/ctr/containers"))


@pytest.fixture
def up(busybox: str, tidy: Tidy) -> str:
    """A running container's name."""
    tidy("up")
    ctrctl("run", "-d", *ALONE, "--name", "up", busybox, "sh", "-c", PATIENT)
    return "up"


# run, in the foreground


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_the_exit_code_is_the_containers_own(busybox: str, runtime: str) -> None:
    """0, 7, and 128 + signal; and with --rm nothing of the container stays."""
    before = containers()
    for script, code in (("exit 0", 0), ("exit 7", 7)):
        done = ctrctl("run", "--rm", *ALONE, "--runtime", runtime, busybox, "sh", "-c", script, check=False)
        assert (done.returncode, done.stdout, done.stderr) == (code, "", "")
    assert containers() == before


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_program_that_cannot_run_is_126_or_127(busybox: str, runtime: str) -> None:
    """127: not there; 126: there, but not a program. Both say so, and --rm still removes the container."""
    before = containers()
    missing = ctrctl("run", "--rm", *ALONE, "--runtime", runtime, busybox, "nosuch", check=False)
    assert missing.returncode == 127
    assert "nosuch" in missing.stderr
    assert ctrctl("run", "--rm", *ALONE, "--runtime", runtime, busybox, "/etc", check=False).returncode == 126
    assert containers() == before


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_streams_are_the_callers_own(busybox: str, runtime: str) -> None:
    """stdout and stderr stay apart, and every byte of stdin arrives: three megabytes of them come back unchanged."""
    done = ctrctl("run", "--rm", *ALONE, "--runtime", runtime, busybox, "sh", "-c", "echo out; echo err >&2")
    assert (done.stdout, done.stderr) == ("out\n", "err\n")
    data = os.urandom(3_000_000)
    echoed = subprocess.run(
        ("ctrctl", "run", "--rm", "-i", *ALONE, "--runtime", runtime, busybox, "cat"),
        input=data, capture_output=True, timeout=180, check=True,
    )  # fmt: skip
    assert echoed.stdout == data


def test_without_i_stdin_is_empty(busybox: str) -> None:
    """A container that was not given stdin does not read the caller's."""
    assert ctrctl("run", "--rm", *ALONE, busybox, "cat", stdin="secret").stdout == ""


def test_a_reader_that_goes_away_ends_it(busybox: str) -> None:
    """``ctrctl run … yes | head -1`` prints one line and ends."""
    script = f"ctrctl run --rm --network none {busybox} yes 2>/dev/null | head -1"
    done = subprocess.run(("sh", "-c", script), capture_output=True, timeout=180, check=True)
    assert done.stdout == b"y\n"


@contextmanager
def foreground(*argv: str) -> Iterator[subprocess.Popen[str]]:
    """``ctrctl run`` in the foreground, its container ready."""
    with background("ctrctl", "run", *ALONE, *argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == "ready\n"
        yield program


def test_signals_reach_the_container(busybox: str) -> None:
    """SIGTERM to ctrctl is SIGTERM to the container's init, whose exit code is the answer."""
    with foreground("--rm", busybox, "sh", "-c", PATIENT) as program:
        program.send_signal(signal.SIGTERM)
        assert program.wait(60) == 9


def test_three_interrupts_end_the_waiting_not_the_container(busybox: str, tidy: Tidy) -> None:
    """A container that ignores SIGINT goes on under systemd; ctrctl ends at the third, and says what to do."""
    tidy("deaf")
    with foreground("--name", "deaf", busybox, "sh", "-c", "trap '' INT; " + PATIENT) as program:
        for _ in range(3):
            program.send_signal(signal.SIGINT)
            # Three at once would be one to the kernel.
            wait_until(lambda: not pending(program.pid, signal.SIGINT) or program.poll() is not None)
        assert program.wait(60) == 130
        assert program.stderr is not None
        assert "ctrctl stop deaf" in program.stderr.readline()
    assert show(service("deaf"), "ActiveState")["ActiveState"] == "active"


def pending(pid: int, number: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False
    masks = [int(line.split()[1], 16) for line in status.splitlines() if line.startswith(("SigPnd", "ShdPnd"))]
    return any(mask >> (number - 1) & 1 for mask in masks)


def test_killing_ctrctl_does_not_stop_the_container(busybox: str, tidy: Tidy) -> None:
    """The container belongs to systemd; whoever started it may die."""
    tidy("orphan")
    with foreground("--name", "orphan", busybox, "sh", "-c", PATIENT) as program:
        program.kill()
    assert show(service("orphan"), "ActiveState")["ActiveState"] == "active"


# run, with a terminal


#: Says what kind of terminal it has, echoes a line, then tells of every new size until Ctrl-C ends it with 5.
AT_A_TERMINAL = """
    trap 'stty size' WINCH; trap 'echo interrupted; exit 5' INT
    tty; stty size; read line; echo "heard $line"
    while :; do sleep 0.1; done
"""


def talk(person: Terminal) -> None:
    """A conversation with `AT_A_TERMINAL`, on a terminal of 33 by 77."""
    person.expect("/dev/pts/0")
    person.expect("33 77")
    person.type("hello\r")
    person.expect("heard hello")
    person.resize(44, 99)
    person.expect("44 99")
    person.type("\x03")
    person.expect("interrupted")
    assert person.wait() == 5
    assert person.is_as_before


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_terminal_is_a_terminal(busybox: str, runtime: str) -> None:
    """``run -it``: it is one, has the caller's size, hears of a new size, gets Ctrl-C as a key, and its exit code
    comes out; the caller's own terminal is as it was."""
    options = ("--rm", "-it", *ALONE, "--runtime", runtime)
    with Terminal("ctrctl", "run", *options, busybox, "sh", "-c", AT_A_TERMINAL, rows=33, columns=77) as person:
        talk(person)


def test_the_terminal_is_restored_when_the_container_is_killed(busybox: str, tidy: Tidy) -> None:
    """Raw mode is undone however the run ends: here by SIGKILL from outside."""
    tidy("killed")
    with Terminal(
        "ctrctl", "run", "-it", *ALONE, "--name", "killed", busybox, "sh", "-c", "echo rea''dy; sleep 1000"
    ) as person:
        person.expect("ready")
        ctrctl("kill", "killed")
        assert person.wait() == 137
        assert person.is_as_before


def test_a_terminal_needs_a_terminal(busybox: str) -> None:
    """-it with a pipe as stdin is the caller's mistake, and no container is made."""
    before = containers()
    done = ctrctl("run", "-it", busybox, "sh", check=False)
    assert done.returncode == 125
    assert "not a terminal" in done.stderr
    assert containers() == before


# run -d, create, lifecycle


def test_detached_prints_the_name_and_leaves_it_to_systemd(busybox: str, tidy: Tidy) -> None:
    """One line on stdout; the unit is active, its output in the journal."""
    tidy("bg")
    assert ctrctl("run", "-d", *ALONE, "--name", "bg", busybox, "sh", "-c", PATIENT).stdout == "bg\n"
    assert show(service("bg"), "ActiveState")["ActiveState"] == "active"


def test_detached_reports_why_it_did_not_start(busybox: str, tidy: Tidy) -> None:
    """127, the reason on stderr, nothing on stdout."""
    tidy("broken")
    done = ctrctl("run", "-d", *ALONE, "--name", "broken", busybox, "nosuch", check=False)
    assert (done.returncode, done.stdout) == (127, "")
    assert "nosuch" in done.stderr


def test_detached_with_rm_removes_itself(busybox: str) -> None:
    """Once it has stopped, nothing of it is deployed any more."""
    before = containers()
    ctrctl("run", "-d", "--rm", *ALONE, busybox, "sh", "-c", "exit 3")
    wait_until(lambda: containers() == before)


def test_a_restart_is_no_end(busybox: str, tidy: Tidy) -> None:
    """A container started with -d --rm survives a restart, and goes when it has ended."""
    name = "short-lived"
    tidy(name)
    ctrctl("run", "-d", "--rm", *ALONE, f"--name={name}", "--stop-signal=KILL", busybox, "sleep", "1000")
    ctrctl("restart", name)
    systemctl("start", f"ctr-remove@{name}.service")
    assert is_active(service(name))
    ctrctl("stop", name)
    wait_until(lambda: not (STATE / f"containers/{name}").exists(), what="removed")


def test_names_are_made_up_and_taken_once(busybox: str, tidy: Tidy) -> None:
    """Without --name it is the image's and four digits; a name in use is refused and the container left alone."""
    name = ctrctl("run", "-d", *ALONE, busybox, "sh", "-c", PATIENT).stdout.strip()
    tidy(name)
    assert name.startswith("busybox-")
    pid = main_pid(name)
    done = ctrctl("run", "-d", "--name", name, busybox, "true", check=False)
    assert done.returncode == 125
    assert f"'{name}' exists" in done.stderr
    assert main_pid(name) == pid


def test_create_does_not_start(busybox: str, tidy: Tidy) -> None:
    """``create`` prints the name; ``start`` runs it later."""
    tidy("later")
    assert ctrctl("create", *ALONE, "--name", "later", busybox, "sh", "-c", PATIENT).stdout == "later\n"
    assert show(service("later"), "ActiveState")["ActiveState"] == "inactive"
    ctrctl("start", "later")
    assert show(service("later"), "ActiveState")["ActiveState"] == "active"


def test_replace_is_a_new_container_of_the_same_name(busybox: str, tidy: Tidy) -> None:
    """--replace removes the old one, running as it is, with its writable layer; a mistake in the command line spares
    it."""
    tidy("twice")
    ctrctl("run", "-d", *ALONE, "--name", "twice", busybox, "sh", "-c", "touch /old; " + PATIENT)
    pid = main_pid("twice")
    wrong = ctrctl("run", "-d", "--replace", "--network", "nosuch", "--name", "twice", busybox, "true", check=False)
    assert wrong.returncode == 125
    assert "nosuch" in wrong.stderr
    assert main_pid("twice") == pid
    ctrctl("run", "-d", *ALONE, "--replace", "--name", "twice", busybox, "sh", "-c", PATIENT)
    assert main_pid("twice") != pid
    assert ctrctl("exec", "twice", "ls", "/old", check=False).returncode == 1


def test_requires_starts_the_other_first(busybox: str, tidy: Tidy) -> None:
    """--requires: systemd starts what is needed; a name that is no container is refused before anything is made."""
    tidy("base")
    tidy("needy")
    done = ctrctl("run", "-d", *ALONE, "--requires", "base", "--name", "needy", busybox, "true", check=False)
    assert done.returncode == 125
    assert "--requires: no container 'base'" in done.stderr
    ctrctl("create", *ALONE, "--name", "base", busybox, "sh", "-c", PATIENT)
    needs = ("--requires", "base", "--oom-score-adj", "500")
    ctrctl("run", "-d", *ALONE, *needs, "--name", "needy", busybox, "sh", "-c", PATIENT)
    assert is_active(service("base"))
    assert Path(f"/proc/{main_pid('needy')}/oom_score_adj").read_text() == "500\n"


def test_the_writable_layer_survives_a_restart(busybox: str, tidy: Tidy) -> None:
    """As with docker, and other than with a definition."""
    tidy("keeps")
    ctrctl("run", "-d", *ALONE, "--name", "keeps", busybox, "sh", "-c", "echo x >> /log; " + PATIENT)
    wait_until(lambda: ctrctl("exec", "keeps", "cat", "/log", check=False).stdout == "x\n")
    ctrctl("restart", "keeps")
    wait_until(lambda: ctrctl("exec", "keeps", "cat", "/log", check=False).stdout == "x\nx\n")


def test_restart_is_systemds(busybox: str, tidy: Tidy) -> None:
    """--restart always: Restart=always, enabled at boot, and back after SIGKILL."""
    tidy("again")
    ctrctl("run", "-d", *ALONE, "--restart", "always", "--name", "again", busybox, "sh", "-c", PATIENT)
    assert show(service("again"), "Restart")["Restart"] == "always"
    assert systemctl("is-enabled", service("again")).stdout.strip() == "enabled"
    pid = main_pid("again")
    ctrctl("kill", "again")
    wait_until(lambda: main_pid("again") not in (0, pid))


def test_options_we_do_not_have_are_refused_by_name(busybox: str) -> None:
    """--link is no usage error of argparse: the message says what to do instead, and no container is made."""
    before = containers()
    done = ctrctl("run", "-d", "--link", "db", busybox, check=False)
    assert done.returncode == 125
    assert "--link" in done.stderr
    assert "--network NAME" in done.stderr
    assert containers() == before


# exec


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_exec_runs_in_the_scope(busybox: str, tidy: Tidy, runtime: str) -> None:
    """Its process is in the container's control group and namespaces; codes 5, 126, 127 and 137 pass through."""
    name = f"exec-{runtime}"
    tidy(name)
    ctrctl("run", "-d", *ALONE, "--runtime", runtime, "--name", name, busybox, "sh", "-c", PATIENT)
    group = cgroup_of(scope(name))
    with background("ctrctl", "exec", name, "sh", "-c", "echo; exec sleep 1000", stdout=subprocess.PIPE) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == "\n"
        wait_until(lambda: "sleep 1000" in map(command_of, processes(group)), what="it is in the scope")
        program.send_signal(signal.SIGTERM)
        assert program.wait(60) == 143
    # Also while it is only about to run: the runtime, a child of ours, is still at work.
    with background("ctrctl", "exec", name, "sleep", "1001") as program:
        wait_until(lambda: run("pgrep", "--parent", str(program.pid), check=False).stdout, what="it has been begun")
        program.send_signal(signal.SIGTERM)
        assert program.wait(60) == 143
    assert "sleep 1001" not in map(command_of, processes(group))
    for command, code in (("exit 5", 5), ("kill -9 $$", 137)):
        assert ctrctl("exec", name, "sh", "-c", command, check=False).returncode == code
    assert ctrctl("exec", name, "nosuch", check=False).returncode == 127
    assert ctrctl("exec", name, "/etc", check=False).returncode == 126


def test_exec_passes_what_it_is_told(up: str) -> None:
    """Variables, directory, user, stdin only with -i, all capabilities only with --privileged."""
    assert ctrctl("exec", "-e", "A=b c", "-w", "/tmp", up, "sh", "-c", "pwd; echo $A").stdout == "/tmp\nb c\n"
    assert ctrctl("exec", "-u", "33:44", up, "sh", "-c", "id -u; id -g").stdout == "33\n44\n"
    assert ctrctl("exec", "-i", up, "cat", stdin="in").stdout == "in"
    assert ctrctl("exec", up, "cat", stdin="in").stdout == ""
    effective = "grep CapEff /proc/self/status"
    plain, privileged = (ctrctl("exec", *o, up, "sh", "-c", effective).stdout for o in ((), ("--privileged",)))
    assert int(plain.split()[1], 16) < int(privileged.split()[1], 16)
    done = ctrctl("exec", "-u", "nosuchuser", up, "true", check=False)
    assert done.returncode == 125
    assert "nosuchuser" in done.stderr


def test_exec_detached_goes_on(up: str) -> None:
    """-d returns at once; a program that is not there is still 127."""
    assert ctrctl("exec", "-d", up, "sh", "-c", "echo done > /tmp/done").stdout == ""
    wait_until(lambda: ctrctl("exec", up, "cat", "/tmp/done", check=False).stdout == "done\n")
    assert ctrctl("exec", "-d", up, "nosuch", check=False).returncode == 127


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_exec_with_a_terminal(busybox: str, tidy: Tidy, runtime: str) -> None:
    """As `run -it`: size, new size, Ctrl-C, exit code, and the caller's terminal as it was."""
    name = f"tty-{runtime}"
    tidy(name)
    ctrctl("run", "-d", *ALONE, "--runtime", runtime, "--name", name, busybox, "sh", "-c", PATIENT)
    with Terminal("ctrctl", "exec", "-it", name, "sh", "-c", AT_A_TERMINAL, rows=33, columns=77) as person:
        talk(person)


def test_exec_needs_a_container_that_runs(up: str) -> None:
    """Stopped, paused, unknown: 125 and what to do."""
    ctrctl("pause", up)
    paused = ctrctl("exec", up, "true", check=False)
    ctrctl("unpause", up)
    ctrctl("stop", up)
    stopped = ctrctl("exec", up, "true", check=False)
    unknown = ctrctl("exec", "nosuch", "true", check=False)
    assert [d.returncode for d in (paused, stopped, unknown)] == [125, 125, 125]
    assert "ctrctl unpause up" in paused.stderr
    assert "ctrctl start up" in stopped.stderr
    assert "nosuch" in unknown.stderr


# cp


def test_cp_keeps_trees_as_they_are(up: str, tmp_path: Path) -> None:
    """In and out again: contents, modes, links, empty directories; owners are root inside, the caller outside."""
    tree = tmp_path / "tree"
    (tree / "empty").mkdir(parents=True)
    (tree / "data").write_bytes(os.urandom(100_000))
    (tree / "script").write_text("#!/bin/sh\n")
    (tree / "script").chmod(0o750)
    (tree / "link").symlink_to("/etc/passwd")
    os.chown(tree / "data", 1234, 1234)
    ctrctl("cp", tree, f"{up}:/tmp")
    assert ctrctl("exec", up, "stat", "-c", "%u:%g %a", "/tmp/tree/data", "/tmp/tree/script").stdout == (
        "0:0 644\n0:0 750\n"
    )
    ctrctl("cp", f"{up}:/tmp/tree", tmp_path / "back")
    assert (tmp_path / "back/data").read_bytes() == (tree / "data").read_bytes()
    assert stat.S_IMODE((tmp_path / "back/script").stat().st_mode) == 0o750
    assert os.readlink(tmp_path / "back/link") == "/etc/passwd"
    assert (tmp_path / "back/empty").is_dir()
    ctrctl("cp", "-a", f"{tree}/.", f"{up}:/srv", check=False)


def test_cp_puts_things_where_docker_does(up: str, tmp_path: Path) -> None:
    """Into an existing directory, under a new name, contents with ``/.``; a missing directory is an error."""
    (tmp_path / "f").write_text("f")
    (tmp_path / "d").mkdir()
    (tmp_path / "d/x").write_text("x")
    ctrctl("cp", tmp_path / "f", f"{up}:/tmp")
    ctrctl("cp", tmp_path / "f", f"{up}:/tmp/g")
    ctrctl("cp", f"{tmp_path}/d/.", f"{up}:/tmp")
    ctrctl("cp", tmp_path / "d", f"{up}:/tmp/e")
    listed = ctrctl("exec", up, "sh", "-c", "cd /tmp && find . -type f | sort").stdout.split()
    assert listed == ["./e/x", "./f", "./g", "./x"]
    missing = ctrctl("cp", tmp_path / "f", f"{up}:/no/such/", check=False)
    assert missing.returncode == 125
    assert "/no/such" in missing.stderr


def test_cp_streams_tar(up: str, tmp_path: Path) -> None:
    """``-`` is a tar archive on stdout or from stdin, owners included."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        info = tarfile.TarInfo("in/file")
        info.size, info.uid, info.mode = 3, 77, 0o640
        directory = tarfile.TarInfo("in")
        directory.type, directory.mode = tarfile.DIRTYPE, 0o755
        archive.addfile(directory)
        archive.addfile(info, io.BytesIO(b"abc"))
    subprocess.run(("ctrctl", "cp", "-", f"{up}:/tmp"), input=packed.getvalue(), check=True, timeout=180)
    out = subprocess.run(("ctrctl", "cp", f"{up}:/tmp/in", "-"), capture_output=True, check=True, timeout=180).stdout
    with tarfile.open(fileobj=io.BytesIO(out)) as archive:
        member = archive.getmember("in/file")
        found = archive.extractfile(member)
        assert found is not None
        assert (member.uid, member.mode, found.read()) == (77, 0o640, b"abc")


def test_cp_refuses_an_archive_that_leads_out(up: str) -> None:
    """A member ``../x`` is named and nothing is written."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("../escaped"))
    done = subprocess.run(
        ("ctrctl", "cp", "-", f"{up}:/tmp"), input=packed.getvalue(), capture_output=True, timeout=180, check=False
    )
    assert done.returncode == 125
    assert b"../escaped" in done.stderr


def test_links_in_the_container_do_not_lead_to_the_host(up: str, tmp_path: Path) -> None:
    """``/etc`` in the container is the container's, behind links and ``..`` too, for reading and for writing."""
    marker = Path("/etc/ctr-cp-marker")
    ctrctl(
        "exec",
        up,
        "sh",
        "-c",
        "echo inside > /etc/ctr-cp-marker; ln -s /etc /tmp/abs; ln -s ../../../../../etc /tmp/rel",
    )
    for link in ("abs", "rel"):
        ctrctl("cp", f"{up}:/tmp/{link}/ctr-cp-marker", tmp_path / link)
        assert (tmp_path / link).read_text() == "inside\n"
        (tmp_path / "new").write_text("from outside")
        ctrctl("cp", tmp_path / "new", f"{up}:/tmp/{link}/ctr-cp-marker")
        assert ctrctl("exec", up, "cat", "/etc/ctr-cp-marker").stdout == "from outside"
        ctrctl("exec", up, "sh", "-c", "echo inside > /etc/ctr-cp-marker")
    assert not marker.exists()


def test_nothing_set_user_id_arrives_on_the_host(up: str, tmp_path: Path) -> None:
    """A set-user-ID file of anybody would be root's on the host: the bit stays behind. FIFOs do not block, and device
    nodes are left out with a warning."""
    ctrctl("exec", up, "sh", "-c", "mkdir /tmp/t; cp /bin/busybox /tmp/t/s; chmod 4755 /tmp/t/s; mkfifo /tmp/t/p")
    ctrctl("cp", f"{up}:/tmp/t", tmp_path / "t")
    assert stat.S_IMODE((tmp_path / "t/s").stat().st_mode) == 0o755
    assert stat.S_ISFIFO((tmp_path / "t/p").stat().st_mode)
    done = ctrctl("cp", f"{up}:/dev", tmp_path / "dev")
    assert "device node" in done.stderr
    assert not (tmp_path / "dev/null").exists()
