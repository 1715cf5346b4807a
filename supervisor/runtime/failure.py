"""What crun and runc say when they cannot run a program, as docker-run(1) exit codes. Pure, imports nothing.

Neither has codes of its own for it, so the text decides; the lines below are what crun 1.8.1 and 1.21, runc 1.1.5 and
1.1.15 were seen to write.
"""

from __future__ import annotations

FAILED = 125
CANNOT_INVOKE = 126
NOT_FOUND = 127

#: How the runtimes begin when it is the program they mean, not a mount or a file of their own.
_ABOUT_THE_PROGRAM = ("executable file", "open executable", "the path `", 'exec: "', "exec `", "chdir", "execv")
_MISSING = ("no such file or directory", "not found in $path")


#: What a profile's name is written to (proc_pid_attr(5)), which both name; the kernel knows no such profile.
_CONFINING = ("/attr/apparmor/exec", "/attr/exec")
_NOT_LOADED = (
    "the AppArmor profile (ctr-default, unless AppArmor= names another) is not loaded; "
    "load its file with 'apparmor_parser --replace FILE', or see what 'ctrctl apply' says"
)


def message(log: str) -> str:
    """The runtime's own words in its log file (``--log``): the last error, without runc's time stamp. What they leave
    dark is explained."""
    lines = [line for line in log.splitlines() if line and ("level=" not in line or "level=error" in line)]
    if not lines:
        return ""
    _, found, text = lines[-1].partition(' msg="')
    text = text.removesuffix('"').replace('\\"', '"') if found else lines[-1]
    unconfinable = any(path in text for path in _CONFINING) and _MISSING[0] in text.lower()
    return f"{text}: {_NOT_LOADED}" if unconfinable else text


def exit_code(text: str) -> int:
    """127 when the program is not there, 126 when it cannot be executed, 125 when the container is at fault."""
    lower = text.lower()
    if not any(words in lower for words in _ABOUT_THE_PROGRAM):
        return FAILED
    return NOT_FOUND if any(words in lower for words in _MISSING) else CANNOT_INVOKE
