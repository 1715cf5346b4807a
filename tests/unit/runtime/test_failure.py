"""Exit codes 125, 126 and 127 from the runtimes' own words."""

from __future__ import annotations

import pytest

from supervisor.runtime.failure import exit_code, message

NOT_FOUND = (
    "executable file `nosuch` not found in $PATH: No such file or directory",
    "executable file `/no/such` not found: No such file or directory",
    'exec failed: unable to start container process: exec: "nosuch": executable file not found in $PATH',
    'runc create failed: unable to start container process: exec: "/no/such": stat /no/such: no such file or directory',
    "chdir to `/nodir`: No such file or directory",
)
CANNOT_INVOKE = (
    "open executable: Permission denied",
    "open executable: Operation not permitted",
    "the path `/etc/hostname0` exists but it is not executable: Operation not permitted",
    "the path `/tmp` is not a regular file: Operation not permitted",
    'runc create failed: unable to start container process: exec: "/tmp": is a directory',
    'exec failed: unable to start container process: exec: "/etc/x": permission denied',
    "exec format error: execve",
)
FAILED = (
    "",
    "mount `/nosuch` to `/data`: No such file or directory",
    "error opening file `/run/ctr/crun/web/status`: No such file or directory",
    "writing file `/proc/sys/net/ipv4/x`: Permission denied",
)


@pytest.mark.parametrize(
    ("text", "code"),
    [*((t, 127) for t in NOT_FOUND), *((t, 126) for t in CANNOT_INVOKE), *((t, 125) for t in FAILED)],
)
def test_what_a_runtime_says_decides_the_exit_code(text: str, code: int) -> None:
    """Every line crun and runc were seen to write maps to docker's code for the same mistake."""
    assert exit_code(text) == code


def test_the_message_is_the_last_error_without_runcs_time_stamp() -> None:
    """Warnings are not what stopped a start, and logfmt is not for people."""
    log = (
        'time="2026-11-21T04:34:24Z" level=error msg="exec: \\"nosuch\\": executable file not found in $PATH"\n'
        'time="2026-11-21T04:34:24Z" level=warning msg="container\'s cgroup is not empty"\n'
    )
    assert message(log) == 'exec: "nosuch": executable file not found in $PATH'


def test_cruns_message_is_its_last_line() -> None:
    """crun writes plain text."""
    assert message("first\nopen executable: Permission denied\n") == "open executable: Permission denied"
    assert message("") == ""


@pytest.mark.parametrize(
    "log",
    [
        "write file `/proc/thread-self/attr/exec`: No such file or directory",
        "write file `/proc/thread-self/attr/apparmor/exec`: No such file or directory",
        'time="t" level=error msg="runc create failed: unable to start container process: error during container init: '
        "unable to apply apparmor profile: apparmor failed to apply profile: write /proc/self/attr/apparmor/exec: "
        'no such file or directory"',
    ],
)
def test_an_apparmor_profile_that_is_gone(log: str) -> None:
    """Neither runtime says so; and the program is not at fault."""
    text = message(log)
    assert "profile (ctr-default, unless AppArmor= names another) is not loaded; load its file" in text
    assert exit_code(text) == 125
