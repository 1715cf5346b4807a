"""Secrets: where their values are, where they must not be, and what becomes of them at start, restart and reload."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hostkit import (
    command_of,
    ctrctl,
    journal,
    main_pid,
    run,
    service,
    show,
    systemctl,
    wait_until,
)
from terminal import Terminal

STORE = Path("/etc/credstore.encrypted")
#: Ends on SIGTERM, at once.
PATIENT = "trap 'exit 0' TERM; while :; do sleep 0.1; done"

Define = Callable[..., str]
Tidy = Callable[[str], str]
Create = Callable[..., str]


@pytest.fixture
def create() -> Iterator[Create]:
    """``create("key", text)`` makes a secret, by default a random one, and returns its value."""
    made: list[str] = []

    def make(name: str, value: str | None = None) -> str:
        value = value if value is not None else os.urandom(16).hex()
        made.append(name)
        ctrctl("secret", "create", "--replace", name, "-", stdin=value)
        return value

    yield make
    for name in made:
        ctrctl("secret", "rm", "--force", name, check=False)


def container(busybox: str, *lines: str) -> str:
    """A definition of a container that waits, with *lines* in [Container]."""
    return "\n".join(("[Container]", f"Image={busybox}", "Network=none", f'Exec=sh -c "{PATIENT}"', *lines, ""))


def inside(name: str, script: str) -> str:
    return ctrctl("exec", name, "sh", "-c", script).stdout


# what the container sees


@pytest.mark.parametrize("runtime", ["crun", "runc"])
def test_owner_mode_and_place_are_as_asked(busybox: str, tidy: Tidy, create: Create, runtime: str) -> None:
    """Seen as the container's own user, on a read-only root with a tmpfs on /run: its file is readable, root's is not,
    the default is for everybody, root without CAP_SYS_ADMIN can change none, and the host sees no mount of it."""
    mine, roots, anyones = create("mine"), create("roots"), create("anyones")
    name = tidy(f"secret-{runtime}")
    ctrctl(
        "run", "-d", "--name", name, "--runtime", runtime, "--network", "none", "--user", "33:44",
        "--read-only", "--tmpfs", "/run:mode=755",
        "--secret", "mine,target=/srv/deep/key.pem,uid=33,gid=44,mode=0400",
        "--secret", "roots,mode=0600",
        "--secret", "anyones",
        busybox, "sh", "-c", PATIENT,
    )  # fmt: skip
    assert inside(name, "cat /srv/deep/key.pem /run/secrets/anyones") == mine + anyones
    places = "/srv/deep/key.pem /run/secrets/roots /run/secrets/anyones"
    assert inside(name, f"stat -c '%u %g %a' {places}").splitlines() == ["33 44 400", "0 0 600", "0 0 444"]
    refused = ctrctl("exec", name, "cat", "/run/secrets/roots", check=False)
    assert (refused.returncode, "Permission denied" in refused.stderr) == (1, True)
    assert ctrctl("exec", "-u", "0", name, "cat", "/run/secrets/roots").stdout == roots
    written = ctrctl("exec", "-u", "0", name, "sh", "-c", "echo x > /run/secrets/roots", check=False)
    assert "Read-only file system" in written.stderr
    # The file system is read-only, not its mount alone. CAP_SYS_ADMIN can still make all of it writable ('remount,rw'
    # without 'bind'): it is this container's own copy.
    remount = "mount -o remount,rw,bind /run/secrets/roots; echo x > /run/secrets/roots"
    assert "Read-only" in ctrctl("exec", "--privileged", "-u", "0", name, "sh", "-c", remount, check=False).stderr
    options = {line.split()[3] for line in inside(name, "grep ' ramfs ' /proc/mounts").splitlines()}
    assert all({"ro", "nosuid", "nodev", "noexec"} <= set(option.split(",")) for option in options)
    assert "/run/ctr" not in Path("/proc/1/mountinfo").read_text()


@pytest.mark.parametrize("runtime", ["crun", "runc"])
def test_the_hand_over_is_undisturbed(busybox: str, create: Create, runtime: str) -> None:
    """Short-lived containers with secrets end with their own exit status, each time."""
    value = create("key")
    options = ("--rm", "--runtime", runtime, "--network", "none", "--secret", "key", "--secret", "key,type=env")
    for code in range(5):
        done = ctrctl(
            "run", *options, busybox, "sh", "-c", f'cat /run/secrets/key; echo "$key"; exit {code}', check=False
        )
        assert (done.returncode, done.stdout, done.stderr) == (code, f"{value}{value}\n", "")


# where a value is, and where not


def holding(value: str, name: str, since: float) -> set[str]:
    """Every place of the host that has *value* in it, but for files in the container *name*; made after *since*."""
    found = set()
    for pid in filter(str.isdigit, os.listdir("/proc")):
        program = command_of(int(pid))  # first: once it has ended, it has neither
        for file in ("environ", "cmdline"):
            try:
                if value.encode() in Path("/proc", pid, file).read_bytes():
                    found.add(f"{file} of {program}")
            except OSError:
                continue  # it ended
    for entry in journal(since=since):
        if value in str(entry):
            found.add(f"journal: {sorted(entry)}")
    unit, scope = service(name), f"ctr-{name}.scope"
    for words in (
        ("systemctl", "show", unit, scope), ("systemctl", "cat", unit), ("systemctl", "status", unit),
        ("systemctl", "show-environment"), ("ctrctl", "inspect", name), ("ctrctl", "ps", "--format", "json"),
        ("ctrctl", "logs", name), ("ctrctl", "secret", "ls", "--format", "json"),
        ("ctrctl", "secret", "inspect", "key"),
    ):  # fmt: skip
        done = run(*words, check=False)
        if value in done.stdout + done.stderr:
            found.add(" ".join(words))
    # Everything that is written down: records, plans, configurations, layers, units, journal files, core dumps.
    directories = [f"/var/lib/ctr/{part.name}" for part in Path("/var/lib/ctr").iterdir() if part.name != "images"]
    directories += ["/etc", "/run", "/tmp", "/var/tmp", "/var/log", "/var/lib/systemd", "/root", "/dev/shm"]
    command = (
        "grep",
        "--recursive",
        "--devices=skip",
        "--files-with-matches",
        "--fixed-strings",
        "--binary-files=text",
    )
    done = run(*command, "--regexp", value, *directories, check=False, timeout=600)
    return found | set(done.stdout.splitlines())


def test_a_file_is_in_no_other_place(busybox: str, define: Define, create: Create) -> None:
    """While it runs the value is where systemd keeps the unit's credentials, and nowhere else on the host: no
    environment, command line, record, plan, configuration, layer, unit, property or journal field."""
    since, value = time.time(), create("key")
    unit = define("kept", container(busybox, "Secret=key"))
    systemctl("start", unit)
    assert inside("kept", "cat /run/secrets/key") == value
    assert holding(value, "kept", since) == {f"/run/credentials/{unit}/key"}
    systemctl("stop", unit)
    assert holding(value, "kept", since) == set()


@pytest.mark.parametrize("runtime", ["crun", "runc"])
def test_a_variable_is_only_where_it_has_to_be(busybox: str, tidy: Tidy, create: Create, runtime: str) -> None:
    """type=env, asked for: in the environment of the container's own processes, of what exec starts too, newline at
    the end and all; in the configuration that the runtime reads, which only root can reach; and nowhere else."""
    since, value = time.time(), create("key", os.urandom(16).hex() + "\n")
    name = tidy(f"variable-{runtime}")
    ctrctl(
        "run", "-d", "--name", name, "--runtime", runtime, "--network", "none", "--secret", "key,type=env,target=TOKEN",
        busybox, "sh", "-c", PATIENT,
    )  # fmt: skip
    assert f"TOKEN={value}\0".encode() in Path(f"/proc/{main_pid(name)}/environ").read_bytes()
    assert inside(name, 'echo "$TOKEN"') == f"{value}\n"
    found = holding(value.strip(), name, since)
    files = {place for place in found if place.startswith("/")}
    assert {
        place for place in found - files if not place.startswith(("environ of sh -c trap", "environ of sleep"))
    } == set()
    kept = {f"/run/ctr/containers/{name}/config.json", f"/run/credentials/{service(name)}/key"}
    assert kept <= files <= kept | {f"/run/ctr/{runtime}/{name}/config.json"}
    for file in files:
        modes = [stat.S_IMODE(path.stat().st_mode) for path in (Path(file), Path(file).parent)]
        assert not modes[0] & 0o077 and not modes[1] & 0o066, file
    systemctl("stop", service(name))
    assert holding(value.strip(), name, since) == set()


@pytest.fixture
def dumps(tmp_path: Path) -> Iterator[None]:
    """An administrator's drop-in lets the launcher of the container "dumped" leave core dumps in *tmp_path*."""
    directory = Path("/run/systemd/system/ctr@dumped.service.d")
    directory.mkdir(parents=True)
    (directory / "core.conf").write_text(f"[Service]\nLimitCORE=infinity\nWorkingDirectory={tmp_path}\n")
    systemctl("daemon-reload")
    yield
    shutil.rmtree(directory)
    systemctl("daemon-reload")


@pytest.mark.usefixtures("dumps")
def test_the_launcher_leaves_no_core_dump_with_a_value(
    busybox: str, define: Define, create: Create, tmp_path: Path
) -> None:
    """Aborted in the middle of a start, where it waits for an environment file: it dumps core if no variable is
    secret, and then without the value of a file; it dumps none once it holds a variable's."""
    since, value = time.time(), create("key")
    fifo = tmp_path / "environment"
    os.mkfifo(fifo)
    for kind, expected in (("mount", "core-dump"), ("env", "signal")):
        text = container(busybox, f"Secret=key,type={kind}", f"EnvironmentFile={fifo}")
        unit = define("dumped", text)
        systemctl("start", "--no-block", unit)
        waiting = wait_until(lambda: writer(fifo))
        assert waiting is not None
        systemctl("kill", "--kill-whom=main", "--signal=ABRT", unit)
        wait_until(lambda: show(service("dumped"), "ActiveState")["ActiveState"] == "failed")
        os.close(waiting)
        if kind == "mount" and show(unit, "Result")["Result"] != expected:
            pytest.skip("this kernel makes no core dumps (proc_sys_kernel(5), core_pattern)")
        assert show(unit, "Result")["Result"] == expected
        assert holding(value, "dumped", since) == set()
        systemctl("reset-failed", unit)
    assert not any(value.encode() in core.read_bytes() for core in tmp_path.glob("core*"))


def writer(fifo: Path) -> int | None:
    """A descriptor that keeps the reader of *fifo* waiting; None as long as there is no reader."""
    try:
        return os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)
    except OSError as error:
        assert error.errno == errno.ENXIO
        return None


# at start, restart and reload


def test_a_restart_picks_up_a_new_value_and_a_reload_none(busybox: str, define: Define, create: Create) -> None:
    """The container keeps what it was started with through daemon-reload and daemon-reexec; a restart, also systemd's
    own after SIGKILL, brings the new value."""
    first = create("key")
    lines = ("Secret=key", "Secret=key,type=env,target=KEY")
    unit = define("changing", container(busybox, *lines) + "[Service]\nRestart=always\nRestartSec=0\n")
    systemctl("start", unit)

    def values() -> list[str]:
        return inside("changing", 'cat /run/secrets/key; echo; echo "$KEY"').splitlines()

    second = os.urandom(16).hex()
    done = ctrctl("secret", "create", "--replace", "key", "-", stdin=second)
    assert "changing: will see the new value when started again" in done.stderr
    for verb in ("daemon-reload", "daemon-reexec"):
        systemctl(verb)
        assert values() == [first, first]
    ctrctl("restart", "changing")
    assert values() == [second, second]
    third, pid = create("key"), main_pid("changing")
    ctrctl("kill", "changing")
    wait_until(lambda: main_pid("changing") not in (0, pid) and show(unit, "ActiveState")["ActiveState"] == "active")
    assert values() == [third, third]


def test_one_that_is_missing_stops_the_deployment(busybox: str, define: Define) -> None:
    """Before anything is written; the message has the command that makes it."""
    define("lacking", container(busybox, "Secret=nosuch"), apply=False)
    done = ctrctl("apply", check=False)
    assert done.returncode != 0
    assert "secret 'nosuch': does not exist; create it with 'ctrctl secret create nosuch FILE'" in done.stderr
    assert not Path("/var/lib/ctr/containers/lacking").exists()


def test_one_that_went_away_stops_the_start(busybox: str, define: Define, create: Create) -> None:
    """Named with what to do; made again, the container starts as it was deployed."""
    create("key")
    define("bereft", container(busybox, "Secret=key"))
    ctrctl("secret", "rm", "--force", "key")
    done = ctrctl("start", "bereft", check=False)
    assert done.returncode == 125
    assert (
        "secret 'key': /etc/credstore.encrypted/key is gone; create it anew with 'ctrctl secret create" in done.stderr
    )
    (STORE.parent / "credstore").mkdir(mode=0o700, exist_ok=True)
    elsewhere = STORE.parent / "credstore/key"
    elsewhere.write_text("x")
    done = ctrctl("start", "bereft", check=False)
    elsewhere.unlink()
    assert "secret 'key': is /etc/credstore/key now, not /etc/credstore.encrypted/key; deploy" in done.stderr
    (STORE / "key").write_text("not encrypted")
    done = ctrctl("start", "bereft", check=False)
    assert "systemd could not load its secrets" in done.stderr
    value = create("key")
    ctrctl("start", "bereft")
    assert inside("bereft", "cat /run/secrets/key") == value


@pytest.mark.parametrize(("data", "reason"), [(b"a\0b", "holds a NUL byte"), (b"a\xff", "is not UTF-8 text")])
def test_a_variable_that_cannot_be(busybox: str, define: Define, create: Create, data: bytes, reason: str) -> None:
    """Bytes that no variable holds are refused at start, with the way out; as a file they are fine."""
    create("key")
    unit = define("binary", container(busybox, "Secret=key,type=env"))
    subprocess.run(("ctrctl", "secret", "create", "-r", "key", "-"), input=data, check=True, capture_output=True)
    done = ctrctl("start", "binary", check=False)
    assert done.returncode == 125
    assert f"secret 'key': {reason}" in done.stderr and "use type=mount" in done.stderr
    systemctl("reset-failed", unit)
    define("binary", container(busybox, "Secret=key"))
    ctrctl("start", "binary")
    seen = subprocess.run(("ctrctl", "exec", "binary", "cat", "/run/secrets/key"), check=True, capture_output=True)
    assert seen.stdout == data


def test_a_plain_credential_will_do(busybox: str, define: Define) -> None:
    """What another program put into /run/credstore is as good; an encrypted one of that name would win."""
    store = Path("/run/credstore")
    store.mkdir(mode=0o700, exist_ok=True)
    file = store / "plain"
    file.write_text("as it is")
    file.chmod(0o600)
    try:
        unit = define("plain", container(busybox, "Secret=plain,uid=0"))
        systemctl("start", unit)
        assert inside("plain", "cat /run/secrets/plain") == "as it is"
    finally:
        file.unlink()


# ctrctl secret


def test_encrypted_is_encrypted(create: Create) -> None:
    """On disk is not the value, and systemd-creds reads it back under its name only; root alone may look."""
    value = create("key")
    file = STORE / "key"
    assert value.encode() not in file.read_bytes()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(STORE.stat().st_mode) == 0o700
    assert run("systemd-creds", "decrypt", "--name=key", file, "-").stdout == value
    assert run("systemd-creds", "decrypt", "--name=other", file, "-", check=False).returncode != 0
    done = run("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "ctrctl", "secret", "ls", check=False)
    assert (done.returncode, done.stderr) == (125, "ctrctl: secret ls: needs root; run it with sudo\n")


def test_a_terminal_is_asked_without_echo() -> None:
    """Twice; the value is on no line of the terminal."""
    try:
        with Terminal("ctrctl", "secret", "create", "typed", "-") as person:
            person.expect("Value of typed: ")
            person.type("correct horse\r")
            shown = person.expect("Once more: ")
            person.type("correct horse\r")
            shown += person.expect("typed")
            assert person.wait() == 0
            assert "correct" not in shown
        assert run("systemd-creds", "decrypt", "--name=typed", STORE / "typed", "-").stdout == "correct horse"
    finally:
        ctrctl("secret", "rm", "typed", check=False)


def test_one_in_use_is_not_removed(busybox: str, define: Define, create: Create) -> None:
    """By a container that is deployed, running or not; ``ls`` tells by which."""
    create("key")
    define("user", container(busybox, "Secret=key"))
    done = ctrctl("secret", "rm", "key", check=False)
    assert (done.returncode, "secret 'key': used by user;" in done.stderr) == (125, True)
    assert any(row.split()[0] == "key" and row.endswith("user") for row in ctrctl("secret", "ls").stdout.splitlines())
    ctrctl("rm", "-f", "user")
    assert ctrctl("secret", "rm", "key").stdout == "key\n"
    assert not (STORE / "key").exists()
