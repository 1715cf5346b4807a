"""ctr-apply.path: what changes in /etc/ctr is deployed by itself, and what is wrong there harms nobody."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hostkit import DEFINITIONS, ctrctl, is_active, messages, run, service, show, systemctl, wait_until

UNIT = "ctr-apply.path"
TEXT = "[Container]\nImage={image}\nNetwork=none\nStopSignal=SIGKILL\nExec=sleep {seconds}\n"


@pytest.fixture
def watching(tidy: Callable[[str], str]) -> Iterator[None]:
    """It is on, and off again afterwards."""
    systemctl("start", UNIT)
    yield
    systemctl("stop", UNIT, "ctr-apply.service")
    systemctl("reset-failed", UNIT, "ctr-apply.service", check=False)
    for name in ("auto", "other"):
        (DEFINITIONS / f"{name}.container").unlink(missing_ok=True)
    shutil.rmtree(DEFINITIONS / "auto.container.d", ignore_errors=True)
    shutil.rmtree(Path("/etc/systemd/system") / f"{UNIT}.d", ignore_errors=True)
    systemctl("daemon-reload")


def invocation(name: str) -> str:
    """Which run of the container it is."""
    return show(service(name), "InvocationID")["InvocationID"]


def deployed(name: str) -> str:
    """The text of its spec; empty when it is not deployed."""
    return ctrctl("inspect", name, check=False).stdout


def test_changes_are_deployed_and_mistakes_are_told(
    watching: None, busybox: str, tidy: Callable[[str], str]
) -> None:
    """A new file is deployed, a changed one restarts its container; one with a mistake is told of with file and line,
    and neither stops what it stood for nor keeps others from being deployed; then it is mended."""
    path = DEFINITIONS / f"{tidy('auto')}.container"
    path.write_text(TEXT.format(image=busybox, seconds=1000))
    wait_until(lambda: '"1000"' in deployed("auto"), timeout=30)
    systemctl("start", service("auto"))
    first = invocation("auto")
    path.write_text(TEXT.format(image=busybox, seconds=2000))
    wait_until(lambda: is_active(service("auto")) and invocation("auto") != first, timeout=30)
    second = invocation("auto")

    path.write_text(TEXT.format(image=busybox, seconds=2000) + "Nonsense=1\n")
    (DEFINITIONS / f"{tidy('other')}.container").write_text(TEXT.format(image=busybox, seconds=3000))
    wait_until(lambda: '"3000"' in deployed("other"), timeout=30)
    wait_until(lambda: show("ctr-apply.service", "ActiveState")["ActiveState"] == "failed", timeout=30)
    run("journalctl", "--sync")
    assert any(f"{path}:6: Nonsense=" in line for line in messages(unit="ctr-apply.service"))
    assert is_active(service("auto")) and invocation("auto") == second

    path.write_text(TEXT.format(image=busybox, seconds=4000))
    wait_until(lambda: is_active(service("auto")) and invocation("auto") != second, timeout=30)


def test_directories_of_drop_ins_are_watched(watching: None, busybox: str, tidy: Callable[[str], str]) -> None:
    """Once a directory is there, also what changes in it."""
    directory = DEFINITIONS / "auto.container.d"
    directory.mkdir()
    (DEFINITIONS / f"{tidy('auto')}.container").write_text(TEXT.format(image=busybox, seconds=1000))
    wait_until(lambda: str(directory) in systemctl("show", "--property=Paths", UNIT).stdout, timeout=30)
    # While that goes on, systemd starts it for no other change.
    wait_until(lambda: show("ctr-apply.service", "ActiveState")["ActiveState"] == "inactive", timeout=30)
    (directory / "10-more.conf").write_text("[Container]\nExec=sleep 5000\n")
    wait_until(lambda: '"5000"' in deployed("auto"), timeout=30)
