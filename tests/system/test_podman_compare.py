"""The same definitions under podman's own Quadlet and under ctr give the same containers, looked at from inside."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import hostkit
import insidekit
import pytest
from hostkit import DEFINITIONS, ctrctl, main_pid, run, service, systemctl, wait_until
from insidekit import Facts

Define = Callable[..., str]

EXAMPLES = Path(__file__).parents[1] / "examples/compare"
NAMES = sorted(path.stem for path in EXAMPLES.glob("*.container"))
#: podman cannot start it where the host has no controllers.
LIMITED = "cmp-memory"
#: What the definitions name on the host.
PLAY = Path("/srv/compare")
IMAGES = ("busybox", "nginx", "postgres", "python", "redis")
QUADLETS = Path("/etc/containers/systemd")
GENERATOR = Path("/usr/lib/systemd/system-generators/podman-system-generator")
SETTINGS = Path("/etc/containers/containers.conf.d/compare.conf")
INIT = "/usr/bin/tini-static"
#: All of them start at once, which on a busy host takes longer than a start usually may.
PATIENCE = Path("/run/systemd/system/service.d/90-patience.conf")

pytestmark = pytest.mark.skipif(not GENERATOR.exists(), reason="this host's podman has no Quadlet")


@dataclass(frozen=True)
class Known:
    """A difference that is right. Regular expressions: the part of the fact, what podman has, what ctr has."""

    fact: str
    part: str
    podman: str
    ctr: str
    why: str


ANYTHING = r".*"
MISSING = ""
KNOWN = (
    Known("environment", "container", "podman", "oci", "names the tool; systemd's container interface wants any word"),
    Known("environment", "HOSTNAME", "[0-9a-f]{12}", ANYTHING, "podman's is new at each start, ctr's is the name"),
    Known("place", "hostname", "[0-9a-f]{12}", ANYTHING, "the same"),
    Known("hosts", "[0-9a-f]{12} v4", ANYTHING, MISSING, "the same"),
    Known("hosts", r"(systemd-)?cmp-\w+ v4", "(its own)?", "(its own)?", "podman's default name begins with systemd-"),
    Known("hosts", r"ip6-loopback v6|localhost\.localdomain v[46]", MISSING, r"::1|127\.0\.0\.1",
          "customary names of the loopback, which Debian's own file has too"),
    Known("hosts", re.escape(socket.gethostname()) + " v4", "127.0.1.1", MISSING, "podman copies the host's file"),
    Known("hosts", r"host\.(docker|containers)\.internal v4", ANYTHING, MISSING, "there is no way to the host"),
    Known("resolver", r"\d", r"nameserver .*|search dns\.podman|", r"search dns\.ctr|nameserver 10\.90\..*",
          "containers find each other by name in ctr's default network too"),
    Known("mounts", "/etc/(hostname|hosts|resolv.conf|localtime)", "tmpfs .*", "disk nodev,noexec,nosuid,relatime,r.*",
          "each tool's own files; they are no programs and no devices"),
    Known("mounts", "/run/(podman|.ctr)-init", ANYTHING, ANYTHING, "each tool's place for the small init"),
    Known("command", "0", "/run/podman-init", "/run/.ctr-init", "the same"),
    Known("mounts", "/etc/(passwd|group)", MISSING, "disk nodev,noexec,nosuid,r.*",
          "what podman adds to the image's files is in the container's layer, unless that is read-only"),
    Known("mounts", "/run/.containerenv", ANYTHING, MISSING, "says that podman runs the container"),
    Known("mounts", "/proc/interrupts|/sys/dev/block", MISSING, "tmpfs .*ro.*", "other versions of podman do so"),
    Known("mounts", "/dev/shm", "(.*),size=64000k", "(.*),size=65536k", "podman reads its default as decimal"),
)  # fmt: skip


def comments(name: str, word: str) -> list[str]:
    """The words after ``# WORD:`` in a definition."""
    return [found for line in re.findall(rf"^# {word}: (.*)$", (EXAMPLES / f"{name}.container").read_text(), re.M)
            for found in line.split()]  # fmt: skip


def podman_name(name: str) -> str:
    return name if "ContainerName=" in (EXAMPLES / f"{name}.container").read_text() else f"systemd-{name}"


def started() -> list[str]:
    """The definitions that podman can start on this host."""
    return [name for name in NAMES if name != LIMITED or hostkit.controllers() >= {"memory", "pids"}]


def answers(port: str) -> bool:
    """Whether a server takes connections to a port of the host; no proxy of either tool does."""
    try:
        with socket.create_connection(("127.0.0.1", int(port)), timeout=2):
            return True
    except OSError:
        return False


def settled(name: str, pid: int) -> Facts:
    """The facts about a container, once its program runs and serves."""
    programs = comments(name, "runs")
    comm = Path(f"/proc/{pid}/comm")
    wait_until(lambda: comm.read_text().strip() in programs, 120, f"{name} runs {programs}")
    for port in comments(name, "port"):
        wait_until(partial(answers, port), 120, f"{name} answers at {port}")
    return insidekit.facts(pid) | {"ports": dict.fromkeys(comments(name, "port"), "answers")}


@pytest.fixture(scope="module")
def play() -> Iterator[None]:
    """What the definitions need on the host, and podman made fit for a host without controllers."""
    (PLAY / "tree").mkdir(parents=True)
    (PLAY / "one.env").write_text('# a comment\nFROM_ONE=1 2\nFROM_BOTH=one\nQUOTED="kept"\n')
    (PLAY / "two.env").write_text("FROM_BOTH=two\nTWO=$HOME\n")
    SETTINGS.parent.mkdir(parents=True, exist_ok=True)
    pids = "" if hostkit.controllers() >= {"pids"} else "pids_limit = 0\n"
    SETTINGS.write_text(f'[containers]\ninit_path = "{INIT}"\n{pids}')
    PATIENCE.parent.mkdir(exist_ok=True)
    PATIENCE.write_text("[Service]\nTimeoutStartSec=10min\n")
    yield
    PATIENCE.unlink()
    systemctl("daemon-reload")
    run("podman", "rmi", "--all", "--force", check=False, timeout=600)
    SETTINGS.unlink()
    shutil.rmtree(PLAY)


@pytest.fixture(scope="module")
def under_podman(play: None) -> dict[str, Facts]:
    """What podman makes of all definitions, at once."""
    for image in IMAGES:
        run("podman", "load", "--quiet", "--input", f"/usr/share/ctr-demo-images/{image}.tar", timeout=600)
    QUADLETS.mkdir(parents=True, exist_ok=True)
    names = started()
    units = [f"{name}.service" for name in names]
    copies = copy_to(QUADLETS)
    try:
        systemctl("daemon-reload")
        systemctl("start", *units, timeout=600)
        found: dict[str, Facts] = {}
        for name in names:
            inspected = json.loads(run("podman", "inspect", podman_name(name)).stdout)[0]
            labels = {key.lower(): own(inspected["Config"][key]) for key in ("Labels", "Annotations")}
            found[name] = settled(name, inspected["State"]["Pid"]) | labels
    finally:
        systemctl("stop", *units, check=False, timeout=600)
        systemctl("reset-failed", *units, check=False)
        for path in copies:
            path.unlink()
        systemctl("daemon-reload")
        run("podman", "volume", "prune", "--force")
        run("podman", "network", "prune", "--force")
    return found


def copy_to(directory: Path) -> list[Path]:
    """Copy the definitions as a user would who moves from one to the other: as they are."""
    sources = [path for path in EXAMPLES.iterdir() if path.suffix != ".md"]
    return [Path(shutil.copy(path, directory)) for path in sources]


def own(annotations: dict[str, str]) -> dict[str, str]:
    """Those of the definition, without those of the image and of podman itself."""
    return {name: value for name, value in annotations.items() if name.startswith("org.example.")}


@pytest.fixture(scope="module")
def under_ctr(play: None, under_podman: dict[str, Facts], image: Callable[[str], str]) -> dict[str, Facts]:
    """What ctr makes of them. It comes second, because both publish the same ports."""
    for name in IMAGES:
        image(name)
    copies = copy_to(DEFINITIONS)
    try:
        ctrctl("apply")
        systemctl("start", *map(service, NAMES), timeout=600)
        found: dict[str, Facts] = {}
        for name in NAMES:
            inspected = json.loads(ctrctl("inspect", name).stdout)[0]
            labels = {key: dict(inspected["spec"].get(key, ())) for key in ("labels", "annotations")}
            found[name] = settled(name, main_pid(name)) | labels
        found[LIMITED]["rendered"] = rendered(LIMITED)
    finally:
        ctrctl("rm", "--force", *NAMES, check=False, timeout=600)
        systemctl("reset-failed", *map(service, NAMES), check=False)
        for path in copies:
            path.unlink()
        ctrctl("network", "rm", "compare", check=False)
        ctrctl("volume", "prune", "--force", check=False)
    return found


def rendered(name: str) -> dict[str, str]:
    limits = json.loads(ctrctl("inspect", name).stdout)[0]["limits"]
    return {"memory": str(limits["MemoryMax"]), "swap": str(limits["MemorySwapMax"]), "pids": str(limits["TasksMax"])}


def differences(podman: Facts, ctr: Facts) -> list[tuple[str, str, str, str]]:
    """Fact, part, podman's and ctr's value, '' for one that is missing."""
    return [
        (fact, part, podman[fact].get(part, ""), ctr[fact].get(part, ""))
        for fact in podman
        for part in sorted({*podman[fact], *ctr[fact]})
        if podman[fact].get(part) != ctr[fact].get(part)
    ]


def explanation(difference: tuple[str, str, str, str]) -> Known | None:
    fact, *values = difference
    for known in KNOWN:
        patterns = (known.part, known.podman, known.ctr)
        if known.fact == fact and all(re.fullmatch(*pair) for pair in zip(patterns, values, strict=True)):
            return known
    return None


@pytest.mark.parametrize("name", started())
def test_the_same_container(name: str, under_podman: dict[str, Facts], under_ctr: dict[str, Facts]) -> None:
    """Command line, environment, identity, capabilities, mounts, namespaces, limits, kernel parameters, names, devices
    and published ports of one definition are the same, but for what the table explains."""
    found = differences(under_podman[name], under_ctr[name])
    assert not [difference for difference in found if explanation(difference) is None]


def test_every_explanation_is_needed(under_podman: dict[str, Facts], under_ctr: dict[str, Facts]) -> None:
    """The table has no row for a difference that is gone."""
    used = {explanation(found) for name in started() for found in differences(under_podman[name], under_ctr[name])}
    assert [known for known in KNOWN if known not in used] == []


def test_the_same_limits_of_memory_and_tasks(under_ctr: dict[str, Facts], play: None) -> None:
    """podman's own record of a container with limits, and systemd's of ctr's scope, say the same.

    The command line is the one that Quadlet writes, with `create` for `run`: so it needs no controllers.
    """
    path = Path(shutil.copy(EXAMPLES / f"{LIMITED}.container", QUADLETS))
    try:
        unit = run(GENERATOR, "--dryrun", check=False).stdout
    finally:
        path.unlink()
    words = shlex.split(next(line for line in unit.splitlines() if line.startswith("ExecStart=")).partition("=")[2])
    left_out = ("--cidfile", "--replace", "--rm", "--cgroups", "--sdnotify", "-d")
    options = [word for word in words[2:] if not word.startswith(left_out)]
    try:
        run("podman", "create", *options)
        host = json.loads(run("podman", "inspect", LIMITED).stdout)[0]["HostConfig"]
    finally:
        run("podman", "rm", "--force", "--ignore", LIMITED)
    swap = host["MemorySwap"] - host["Memory"]
    theirs = {"memory": str(host["Memory"]), "swap": str(swap), "pids": str(host["PidsLimit"])}
    assert under_ctr[LIMITED]["rendered"] == theirs == {"memory": "67108864", "swap": "33554432", "pids": "50"}


@pytest.mark.controllers
def test_the_same_limits_in_the_kernel(play: None, define: Define, busybox: str) -> None:
    """Memory, swap, tasks and CPU time: the control groups of the same definition have the same limits."""
    run("podman", "load", "--quiet", "--input", "/usr/share/ctr-demo-images/busybox.tar", timeout=600)
    QUADLETS.mkdir(parents=True, exist_ok=True)
    path = Path(shutil.copy(EXAMPLES / f"{LIMITED}.container", QUADLETS))
    unit = f"{LIMITED}.service"
    try:
        systemctl("daemon-reload")
        systemctl("start", unit, timeout=600)
        pid = run("podman", "inspect", "--format", "{{.State.Pid}}", LIMITED).stdout
        theirs = insidekit.facts(int(pid))["group"]
    finally:
        systemctl("stop", unit, check=False, timeout=600)
        systemctl("reset-failed", unit, check=False)
        path.unlink()
        systemctl("daemon-reload")
    systemctl("start", define(LIMITED, (EXAMPLES / path.name).read_text()))
    ours = insidekit.facts(main_pid(LIMITED))["group"]
    assert ours == theirs == {
        "memory.max": "67108864", "memory.swap.max": "33554432", "pids.max": "50", "cpu.max": "50000 100000",
    }  # fmt: skip
