"""Command lines of crun and runc."""

from __future__ import annotations

import pytest

from supervisor.runtime import argv


def test_crun_is_told_to_leave_the_cgroup_alone() -> None:
    """The stub is in the scope already; crun must not move the container."""
    assert argv.create("crun", "/run/ctr/crun", "/b", "/p/pid", "web") == (
        "crun", "--cgroup-manager=disabled", "--root", "/run/ctr/crun",
        "create", "--bundle", "/b", "--pid-file", "/p/pid", "web",
    )  # fmt: skip


def test_runc_may_fail_to_make_a_cgroup() -> None:
    """--rootless=true is what makes runc 1.1 carry on in the cgroup it was started in."""
    assert argv.create("runc", "/run/ctr/runc", "/b", "/p", "web", "/c.sock", log="/l") == (
        "runc", "--rootless=true", "--root", "/run/ctr/runc", "--log", "/l",
        "create", "--bundle", "/b", "--pid-file", "/p", "--console-socket", "/c.sock", "web",
    )  # fmt: skip


@pytest.mark.parametrize("runtime", ["crun", "runc"])
def test_sockets_are_kept_open(runtime: str) -> None:
    """As many as were passed; without any, there is no such option."""
    line = argv.create(runtime, "/r", "/b", "/p", "web", "", 3)
    assert line[-3:] == ("--preserve-fds", "3", "web")
    assert "--preserve-fds" not in argv.create(runtime, "/r", "/b", "/p", "web")


@pytest.mark.parametrize("runtime", ["crun", "runc"])
def test_global_options_stand_before_the_verb_and_the_name_last(runtime: str) -> None:
    """Both programs read options of the verb only before the container's name."""
    lines = (
        argv.start(runtime, "/r", "web"),
        argv.exec_(runtime, "/r", "web", "/process.json", "/pid", log="/l"),
    )
    for line in lines:
        assert line[0] == runtime
        assert line[2:4] == ("--root", "/r")
        assert line[-1] == "web"


def test_exec_returns_once_it_runs() -> None:
    """The process object carries everything else; a terminal's master goes to the socket."""
    assert argv.exec_("crun", "/r", "web", "/p", "/pid", "/c.sock")[4:] == (
        "exec", "--detach", "--process", "/p", "--pid-file", "/pid", "--console-socket", "/c.sock", "web",
    )  # fmt: skip
    assert "--console-socket" not in argv.exec_("runc", "/r", "web", "/p", "/pid")
