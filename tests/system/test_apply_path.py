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
    for name in ("auto.container.d", "many", ".hidden"):
        shutil.rmtree(DEFINITIONS / name, ignore_errors=True)
    shutil.rmtree(Path("/etc/systemd/system") / f"{UNIT}.d", ignore_errors=True)
    systemctl("daemon-reload")


def invocation(name: str) -> str:
    """Which run of the container it is."""
    return show(service(name), "InvocationID")["InvocationID"]


def deployed(name: str) -> str:
    """The text of its spec; empty when it is not deployed."""
    return ctrctl("inspect", name, check=False).stdout


def settled() -> None:
    """Until systemd watches again, which it does not while the service runs."""
    wait_until(lambda: show("ctr-apply.service", "ActiveState")["ActiveState"] in ("inactive", "failed"))
    wait_until(lambda: show(UNIT, "SubState")["SubState"] == "waiting")


def test_changes_are_deployed_and_mistakes_are_told(watching: None, busybox: str, tidy: Callable[[str], str]) -> None:
    """A new file is deployed, a changed one restarts its container; one with a mistake is told of with file and line,
    and neither stops what it stood for nor keeps others from being deployed; then it is mended."""
    path = DEFINITIONS / f"{tidy('auto')}.container"
    path.write_text(TEXT.format(image=busybox, seconds=1000))
    wait_until(lambda: '"1000"' in deployed("auto"))
    settled()
    systemctl("start", service("auto"))
    first = invocation("auto")
    path.write_text(TEXT.format(image=busybox, seconds=2000))
    wait_until(lambda: is_active(service("auto")) and invocation("auto") != first)
    second = invocation("auto")
    settled()

    path.write_text(TEXT.format(image=busybox, seconds=2000) + "Nonsense=1\n")
    (DEFINITIONS / f"{tidy('other')}.container").write_text(TEXT.format(image=busybox, seconds=3000))
    wait_until(lambda: '"3000"' in deployed("other"))
    wait_until(lambda: show("ctr-apply.service", "ActiveState")["ActiveState"] == "failed")
    run("journalctl", "--sync")
    assert any(f"{path}:6: Nonsense=" in line for line in messages(unit="ctr-apply.service"))
    assert is_active(service("auto")) and invocation("auto") == second
    settled()

    path.write_text(TEXT.format(image=busybox, seconds=4000))
    wait_until(lambda: is_active(service("auto")) and invocation("auto") != second)


def test_directories_of_drop_ins_are_watched(watching: None, busybox: str, tidy: Callable[[str], str]) -> None:
    """Once a directory is there, also what changes in it."""
    directory = DEFINITIONS / "auto.container.d"
    directory.mkdir()
    (DEFINITIONS / f"{tidy('auto')}.container").write_text(TEXT.format(image=busybox, seconds=1000))
    wait_until(lambda: str(directory) in systemctl("show", "--property=Paths", UNIT).stdout)
    settled()
    (directory / "10-more.conf").write_text("[Container]\nExec=sleep 5000\n")
    wait_until(lambda: '"5000"' in deployed("auto"))


def test_many_directories_do_no_harm(watching: None, busybox: str, tidy: Callable[[str], str]) -> None:
    """systemd can watch fewer than 128: those that are not are named, and it goes on with the others; a hidden one is
    none of them."""
    for name in (*(f"many/d{number:03}" for number in range(130)), ".hidden/below"):
        (DEFINITIONS / name).mkdir(parents=True)
    settled()  # one that runs already may have looked before the last was made
    systemctl("start", "ctr-apply.service")
    settled()
    paths = systemctl("show", "--property=Paths", UNIT).stdout
    assert f"{DEFINITIONS}/many/d030 " in paths
    assert "d031" not in paths and "hidden" not in paths
    run("journalctl", "--sync")
    assert any(f"not watched: {DEFINITIONS}/many/d031, " in line for line in messages(unit="ctr-apply.service"))
    (DEFINITIONS / "many/d001" / f"{tidy('auto')}.container").write_text(TEXT.format(image=busybox, seconds=1000))
    wait_until(lambda: '"1000"' in deployed("auto"))


def test_definitions_out_of_sight_are_not_gone(watching: None, busybox: str, tidy: Callable[[str], str]) -> None:
    """While the whole directory is away, what was deployed from it runs on, and the service says why it fails."""
    (DEFINITIONS / f"{tidy('auto')}.container").write_text(TEXT.format(image=busybox, seconds=1000))
    wait_until(lambda: '"1000"' in deployed("auto"))
    settled()
    systemctl("start", service("auto"))
    first = invocation("auto")
    away = DEFINITIONS.with_name("ctr.away")
    DEFINITIONS.rename(away)
    try:
        settled()
        assert systemctl("start", "ctr-apply.service", check=False).returncode
        assert run("ctrctl", "apply", check=False).returncode
        assert is_active(service("auto")) and invocation("auto") == first
        assert not DEFINITIONS.exists()
    finally:
        away.rename(DEFINITIONS)
    run("journalctl", "--sync")
    assert any(f"{DEFINITIONS}: cannot be read" in line for line in messages(unit="ctr-apply.service"))
    settled()
