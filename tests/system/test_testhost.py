"""The test host itself: is it a host on which the other tests mean something?"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hostkit import boot_number, command_of, reboot, run, show, systemctl

MARK = Path("/var/lib/testhost-was-here")


def test_systemd_is_pid_1_and_content() -> None:
    """The host is booted by the suite's own systemd, to the end, and no unit has failed."""
    assert command_of(1).split("/")[-1].split(" ")[0] in ("systemd", "init")
    assert systemctl("list-units", "--failed", "--no-legend").stdout == ""
    assert run("systemctl", "is-system-running", check=False).stdout.strip() == "running"


def test_suite_is_the_one_asked_for() -> None:
    """--suite decides which Debian runs."""
    assert f"VERSION_CODENAME={os.environ['TESTBED_SUITE']}" in Path("/etc/os-release").read_text().splitlines()


def test_tests_have_a_control_group_of_their_own() -> None:
    """What a test starts is inside a unit, where systemd accounts for it."""
    assert "0::/system.slice/testbed.service" in Path("/proc/self/cgroup").read_text().splitlines()
    assert show("testbed.service", "Delegate")["Delegate"] == "yes"


def test_only_loopback() -> None:
    """There is a network, and nothing in it but the host itself."""
    assert "127.0.0.1/8" in run("ip", "-brief", "address", "show", "lo").stdout
    assert run("ip", "route", "show", "default").stdout == ""


def test_checkout_cannot_be_changed() -> None:
    """A test cannot dirty the checkout it runs from."""
    with pytest.raises(OSError, match="Read-only file system"):
        Path("/usr/src/ctr/dirt").touch()


def test_var_takes_an_overlay(tmp_path_factory: pytest.TempPathFactory) -> None:
    """/var is a plain file system, so writable layers of containers can lie there."""
    room = Path("/var/tmp") / tmp_path_factory.mktemp("overlay").name
    for part in ("lower", "upper", "work", "merged"):
        (room / part).mkdir(parents=True)
    layers = f"lowerdir={room}/lower,upperdir={room}/upper,workdir={room}/work"
    run("mount", "-t", "overlay", "overlay", "-o", layers, room / "merged")
    try:
        (room / "merged/file").write_text("written")
        assert (room / "upper/file").read_text() == "written"
    finally:
        run("umount", room / "merged")


@pytest.mark.reboot
def test_reboot_runs_the_command_again() -> None:
    """After a reboot the same command runs again, on the same disk, and knows that it is the second boot."""
    if boot_number() == 1:
        MARK.touch()
        reboot()
    assert boot_number() == 2
    assert MARK.exists()
