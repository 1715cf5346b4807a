"""Templates, drop-ins, specifiers and names in unit sections, from a file to a unit that runs."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hostkit import DEFINITIONS, ctrctl, is_active, run, service, show, systemctl, wait_until

from supervisor.cli.apply import read_path
from supervisor.definitions.load import load

QUADLET = Path("/usr/libexec/podman/quadlet")
UNITS = Path("/etc/systemd/system")

TEMPLATE = """\
[Unit]
Description=%p number %i
After=cell-store.service
[Container]
Image={image}
Network=none
StopSignal=SIGKILL
Exec=sleep 1000
Environment=NAME=%N NUMBER=%i HOST=%H MACHINE=%m
[Service]
ExecStartPre=/bin/sh -c 'echo before %N >> /run/cell-%i'
ExecStop=/bin/sh -c 'echo stop $MAINPID >> /run/cell-%i'
ExecStopPost=/bin/sh -c 'echo after %n >> /run/cell-%i'
[Install]
WantedBy=cells.target
DefaultInstance=spare
"""


@pytest.fixture
def cells(busybox: str, tidy: Callable[[str], str]) -> Iterator[str]:
    """A template with an instance that is a link, its own instance, a drop-in for both, and a neighbour."""
    paths = [DEFINITIONS / name for name in ("cell@.container", "cell@1.container", "cell-store.container")]
    directory = DEFINITIONS / "cell@.container.d"
    directory.mkdir()
    for name in ("cell_1", "cell_spare", "storage"):
        tidy(name)
    paths[0].write_text(TEMPLATE.format(image=busybox))
    paths[1].symlink_to("cell@.container")
    text = f"[Container]\nImage={busybox}\nNetwork=none\nContainerName=storage\nExec=sleep 1000\nStopSignal=SIGKILL\n"
    paths[2].write_text(text)
    (directory / "10-more.conf").write_text("[Container]\nEnvironment=NUMBER=%i%i MORE=yes\n")
    ctrctl("apply")
    yield "cell"
    shutil.rmtree(directory)
    for path in (*paths, *Path("/run").glob("cell-*")):
        path.unlink(missing_ok=True)
    systemctl("stop", "cells.target", check=False)


def test_every_key_of_this_systemd_has_an_answer() -> None:
    """What systemd.unit(5), systemd.service(5) and the manual pages they name know passes through, is a limit of the
    scope, or is refused with a reason; nothing is called a mistake that this host's systemd would take."""
    items = run("/usr/lib/systemd/systemd", "--dump-configuration-items").stdout
    parts = [part for part in items.split("\n\n") if part.startswith(("[Unit]", "[Service]", "[Install]"))]
    names = [line.partition("=")[0] for part in parts for line in part.splitlines()]
    assert len(names) > 300
    text = "[Container]\nImage=x\n" + "\n".join(name if name[0] == "[" else f"{name}=1" for name in names)
    loaded = load("/etc/ctr/x.container", lambda path: text.encode())
    unknown = ("no such key", "belongs into")
    assert [str(problem) for problem in loaded.problems if any(text in problem.message for text in unknown)] == []


def test_instances_of_a_template(cells: str) -> None:
    """Each is a container of its own, wanted by the target; specifiers mean what they mean in podman's unit, commands
    are run around it, and when its link goes, it goes."""
    units = [service("cell_1"), service("cell_spare")]
    assert sorted(os.listdir(UNITS / "cells.target.wants")) == units
    systemctl("start", *units)
    found = dict(line.partition("=")[::2] for line in ctrctl("exec", "cell_1", "env").stdout.splitlines())
    machine = Path("/etc/machine-id").read_text().strip()
    expected = {"NAME": "cell@1", "NUMBER": "11", "HOST": os.uname().nodename, "MACHINE": machine, "MORE": "yes"}
    assert {name: found.get(name) for name in expected} == expected
    unit = show(units[0], "Description", "After", "NeedDaemonReload", "MainPID")
    assert unit["Description"] == "cell number 1" and service("storage") in unit["After"].split()
    assert unit["NeedDaemonReload"] == show(units[1], "NeedDaemonReload")["NeedDaemonReload"] == "no"

    systemctl("stop", *units)
    assert Path("/run/cell-1").read_text().splitlines() == [
        "before cell@1",
        f"stop {unit['MainPID']}",
        f"after {units[0]}",
    ]
    (DEFINITIONS / "cell@1.container").unlink()
    ctrctl("apply")
    assert os.listdir(UNITS / "cells.target.wants") == [units[1]]
    refused = ctrctl("apply", str(DEFINITIONS / "cell@1.container"), check=False)
    assert refused.returncode != 0 and "ln -s cell@.container" in refused.stderr


def test_a_container_starts_when_the_network_is_online(define: Callable[..., str], busybox: str) -> None:
    """As under podman; [Quadlet] DefaultDependencies=no takes that away, and an alias is another name of the unit."""
    text = f"[Container]\nImage={busybox}\nNetwork=none\nStopSignal=SIGKILL\nExec=sleep 1000\n"
    with_it = define("late", f"{text}[Install]\nAlias=backup@late.service\n")
    without = define("early", f"{text}[Quadlet]\nDefaultDependencies=no\n")
    online = is_active("network-online.target")
    systemctl("stop", "network-online.target")
    try:
        systemctl("start", without)
        assert not is_active("network-online.target")
        systemctl("start", "backup@late.service")
        assert is_active(with_it) and is_active("network-online.target")
        wait_until(lambda: show("backup@late.service", "Id")["Id"] == with_it)
    finally:
        systemctl("start" if online else "stop", "network-online.target")


@pytest.mark.skipif(not QUADLET.exists(), reason="this host's podman has no Quadlet with drop-ins")
def test_drop_ins_and_lines_are_podmans(tmp_path: Path) -> None:
    """The same lines in the same order, from the same files: podman's generator is asked."""
    files = {
        "a-b@.container": "[Container]\nImage=localhost/x\nLabel=v=0\nExec=one\\\n   two \\\n\n# no\n three\n",
        "container.d/30.conf": "[Container]\nLabel=v=kind\n",
        "container.d/10.conf": "[Container]\nLabel=v=never\n",
        "a-.container.d/10.conf": "[Container]\nLabel=v=dash\n",
        "a-@.container.d/10.conf": "[Container]\nLabel=v=dash-template\n",
        "a-.container.d/20.conf": "[Container]\nLabel=v=dash\\ \n-2\n",
        "a-b@.container.d/20.conf": "[Container]\nLabel=v=template\n",
        "a-b@1.container.d/15.conf": "[Container]\nLabel=v=instance\n",
        "sub/c.container": "[Container]\nImage=localhost/x\nLabel=v=sub\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "a-b@1.container").symlink_to("a-b@.container")
    (tmp_path / "a-.container.d" / "30.conf").symlink_to("/dev/null")
    said = run("env", f"QUADLET_UNIT_DIRS={tmp_path}", str(QUADLET), "-dryrun").stdout
    unit = said.partition("---a-b@1.service---")[2].partition("\n---")[0]
    labels = [line.removeprefix("Label=") for line in unit.splitlines() if line.startswith("Label=")]
    loaded = load(str(tmp_path), read_path)
    assert [one.name for one in loaded.containers] == ["a-b_1", "c"] and loaded.problems == ()
    ours = [at.value for at in loaded.assignments if at.key == "Label"]
    assert ours == [*labels, "v=sub", "v=never", "v=kind"] and len(labels) == 4
    assert "Exec=onetwo three" in unit and loaded.containers[0].command == ("onetwo", "three")


def test_a_directory_of_podmans_is_checked_then_copied(tidy: Callable[[str], str], busybox: str) -> None:
    """`ctrctl check` reads it where it is, `--plan` says what would be deployed field by field and deploys nothing, and
    once copied it is applied; a field that changes is shown with both values."""
    podman = Path("/etc/containers/systemd/moving")
    podman.mkdir(parents=True)
    text = f"[Container]\nImage={busybox}\nNetwork=none\nExec=sleep 1000\nHttpProxy=no\n"
    (podman / "moved.container").write_text(text)
    copy = DEFINITIONS / f"{tidy('moved')}.container"
    try:
        said = ctrctl("check", podman).stdout.splitlines()
        assert said[:2] == ["valid: 1 container", "keys done: 3"]
        assert said[2] == "keys accepted, no effect here: 1: HttpProxy="
        shutil.copy(podman / "moved.container", copy)
        planned = ctrctl("check", "--plan").stdout
        assert "moved: would be created" in planned and "\n  command: sleep, 1000\n" in planned
        assert "moved" not in ctrctl("ps", "-a", "-q").stdout
        ctrctl("apply")
        copy.write_text(text.replace("1000", "2000"))
        assert "\n  command: sleep, 1000 → sleep, 2000\n" in ctrctl("check", "--plan").stdout
    finally:
        shutil.rmtree(podman)
        copy.unlink(missing_ok=True)
