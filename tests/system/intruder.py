"""A program for test_privileges: what somebody would try who has taken the supervisor over. Prints, as JSON, what came
of it.

Owns the tables of attempts; makes no claims, the test does. It runs as ctr-supervisor.service would, alone: nothing of
ours but this file is imported.

    intruder.py '{"pid": 1234, "job": 56, "caller": ":1.7"}'

pid: a container's init; job: the number of a queued one; caller: somebody's unique name on the bus.
"""

from __future__ import annotations

import asyncio
import ctypes
import errno
import json
import os
import resource
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dbus_next import BusType, Message, MessageFlag, MessageType, Variant
from dbus_next.aio import MessageBus

MARK = "ctr-intruder"
ANSWER_SECONDS = 60
SYSTEMD = ("org.freedesktop.systemd1", "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager")
POLKIT = (
    "org.freedesktop.PolicyKit1",
    "/org/freedesktop/PolicyKit1/Authority",
    "org.freedesktop.PolicyKit1.Authority",
)
SETUID = "/usr/local/bin/ctr-intruder-id"
"""The test makes it: id(1), setuid root."""


@dataclass(frozen=True)
class Call:
    """A method call on the system bus."""

    member: str
    signature: str = ""
    body: list[Any] = field(default_factory=list)
    where: tuple[str, str, str] = SYSTEMD


def service(name: str, path: str) -> tuple[str, str, str]:
    """A service of systemd's by the last word of its bus name."""
    return f"org.freedesktop.{name}", f"/org/freedesktop/{name}", f"org.freedesktop.{path}"


PROPERTIES = (*SYSTEMD[:2], "org.freedesktop.DBus.Properties")
LOGIND, HOSTNAMED = service("login1", "login1.Manager"), service("hostname1", "hostname1")
TIMEDATED, LOCALED = service("timedate1", "timedate1"), service("locale1", "locale1")
MACHINED, IMPORTD = service("machine1", "machine1.Manager"), service("import1", "import1.Manager")
PORTABLED = service("portable1", "portable1.Manager")

_SHELL = [["/bin/sh", ["sh", "-c", "id > /etc/ctr-intruder"], False]]
_ROOT_SHELL = [["ExecStart", Variant("a(sasb)", _SHELL)]]
_MINE = [["User", Variant("s", "ctr-supervisor")], ["ExecStart", Variant("a(sasb)", _SHELL)]]
_TRANSIENT = "ssa(sv)a(sa(sv))"
VICTIM = "ctr@victim.service"
_OBJECT = "/org/freedesktop/systemd1/unit/ctr_40victim_2eservice"

#: What must be refused, by a name for the report.
REFUSED: dict[str, Call] = {
    # New units, and other definitions of old ones
    "run a command as root": Call("StartTransientUnit", _TRANSIENT, ["intruder.service", "fail", _ROOT_SHELL, []]),
    "run it as a container": Call("StartTransientUnit", _TRANSIENT, ["ctr@intruder.service", "fail", _ROOT_SHELL, []]),
    "run it as a probe": Call("StartTransientUnit", _TRANSIENT, ["ctr-health@i.service", "fail", _ROOT_SHELL, []]),
    "run a command as itself": Call("StartTransientUnit", _TRANSIENT, ["ctr@intruder.service", "fail", _MINE, []]),
    "make a scope": Call(
        "StartTransientUnit", _TRANSIENT, ["ctr-i.scope", "fail", [["PIDs", Variant("au", [os.getpid()])]], []]
    ),
    "set properties": Call("SetUnitProperties", "sba(sv)", [VICTIM, True, [["MemoryMax", Variant("t", 1 << 20)]]]),
    "bind mount": Call("BindMountUnit", "sssbb", [VICTIM, "/etc", "/mnt", False, True]),
    "mount image": Call("MountImageUnit", "sssbba(ss)", [VICTIM, "/etc", "/mnt", False, True, []]),
    "attach processes": Call("AttachProcessesToUnit", "ssau", [VICTIM, "", [os.getpid()]]),
    "link a unit file": Call("LinkUnitFiles", "asbb", [["/tmp/intruder.service"], True, True]),
    "enable": Call("EnableUnitFiles", "asbb", [["debug-shell.service"], True, True]),
    "enable with flags": Call("EnableUnitFilesWithFlags", "ast", [["debug-shell.service"], 1]),
    "disable": Call("DisableUnitFiles", "asb", [["ctr-log.socket"], False]),
    "mask": Call("MaskUnitFiles", "asbb", [[VICTIM], True, True]),
    "unmask": Call("UnmaskUnitFiles", "asb", [[VICTIM], True]),
    "revert": Call("RevertUnitFiles", "as", [[VICTIM]]),
    "preset all": Call("PresetAllUnitFiles", "sbb", ["full", True, True]),
    "add a dependency": Call("AddDependencyUnitFiles", "asssbb", [[VICTIM], "ctr@b.target", "Wants", True, True]),
    "default target": Call("SetDefaultTarget", "sb", ["rescue.target", True]),
    # Other verbs on containers
    "kill": Call("KillUnit", "ssi", [VICTIM, "all", 9]),
    "freeze": Call("FreezeUnit", "s", [VICTIM]),
    "thaw": Call("ThawUnit", "s", [VICTIM]),
    "clean": Call("CleanUnit", "sas", [VICTIM, ["all"]]),
    "reload the unit": Call("ReloadUnit", "ss", [VICTIM, "replace"]),
    "try-restart": Call("TryRestartUnit", "ss", [VICTIM, "replace"]),
    "reload or restart": Call("ReloadOrRestartUnit", "ss", [VICTIM, "replace"]),
    "reset failed": Call("ResetFailedUnit", "s", [VICTIM]),
    "reset all failed": Call("ResetFailed"),
    "freeze as an object": Call("Freeze", where=(SYSTEMD[0], _OBJECT, "org.freedesktop.systemd1.Unit")),
    "kill as an object": Call("Kill", "si", ["all", 9], (SYSTEMD[0], _OBJECT, "org.freedesktop.systemd1.Unit")),
    "start, other flags": Call("StartUnitWithFlags", "sst", [VICTIM, "replace", 0]),
    "enqueue": Call("EnqueueUnitJob", "sss", [VICTIM, "stop", "replace"]),
    "pin": Call("RefUnit", "s", [VICTIM]),
    "kill the processes": Call("KillUnit", "ssi", ["ctr-victim.scope", "all", 9]),
    "stop the scope": Call("StopUnit", "ss", ["ctr-victim.scope", "replace"]),
    "isolate a project": Call("StartUnit", "ss", ["ctr@intruder.target", "isolate"]),
    # systemd itself
    "reload": Call("Reload"),
    "reexecute": Call("Reexecute"),
    "set environment": Call("SetEnvironment", "as", [["LD_PRELOAD=/tmp/intruder.so"]]),
    "unset environment": Call("UnsetEnvironment", "as", [["PATH"]]),
    "clear jobs": Call("ClearJobs"),
    "marked jobs": Call("EnqueueMarkedJobs"),
    "log level": Call("Set", "ssv", [SYSTEMD[2], "LogLevel", Variant("s", "debug")], PROPERTIES),
    "service watchdogs": Call("Set", "ssv", [SYSTEMD[2], "ServiceWatchdogs", Variant("b", False)], PROPERTIES),
    # The other services of this host
    "logind: session": Call("CreateSession", "uusssssussbssa(sv)", [
        0, os.getpid(), "x", "tty", "user", "", "", 0, "", "", False, "", "", []
    ], LOGIND),
    "logind: power off": Call("PowerOff", "b", [True], LOGIND),
    "logind: inhibit": Call("Inhibit", "ssss", ["shutdown", "x", "x", "delay"], LOGIND),
    "logind: linger": Call("SetUserLinger", "ubb", [os.getuid(), True, True], LOGIND),
    "logind: kill a user": Call("KillUser", "ui", [0, 9], LOGIND),
    "hostnamed": Call("SetHostname", "sb", ["intruder", True], HOSTNAMED),
    "timedated": Call("SetTime", "xbb", [0, False, True], TIMEDATED),
    "localed": Call("SetLocale", "asb", [["LANG=C"], True], LOCALED),
    "machined": Call("OpenMachineShell", "sssasas", [".host", "root", "/bin/sh", ["sh"], []], MACHINED),
    "importd": Call("PullTar", "ssssb", ["http://localhost/", "x", "no", "", True], IMPORTD),
    "portabled": Call("AttachImage", "sassbs", ["/tmp", [], "", True, ""], PORTABLED),
    # polkit, about others
    "polkit: another action": Call("CheckAuthorization", "(sa{sv})sa{ss}us", [
        ["unix-process", {"pid": Variant("u", 1), "start-time": Variant("t", 0), "uid": Variant("i", 0)}],
        "org.freedesktop.systemd1.manage-units", {"unit": "ssh.service", "verb": "stop"}, 0, "",
    ], POLKIT),
    "polkit: answer as an agent": Call("AuthenticationAgentResponse2", "us(sa{sv})", [
        os.getuid(), "cookie", ["unix-user", {"uid": Variant("u", 0)}]
    ], POLKIT),
    # Under somebody else's name
    "be systemd": Call("RequestName", "su", [SYSTEMD[0], 2], service("DBus", "DBus")),
    "be polkit": Call("RequestName", "su", [POLKIT[0], 2], service("DBus", "DBus")),
    # Last, as nothing would follow
    "kexec": Call("KExec"),
    "halt": Call("Halt"),
    "reboot": Call("Reboot"),
    "power off": Call("PowerOff"),
}  # fmt: skip

for _verb in ("Start", "Stop", "Restart"):
    for _unit in (
        *("ssh.service", "docker.service", "dbus.service", "dbus.socket", "polkit.service", "systemd-journald.service"),
        *("ctr-log.service", "ctr-log.socket", "ctr-supervisor.service", "dbus-io.ctr.Supervisor1.service"),
        *("ctr-image@x.service", "ctr-store@x.service", "ctr-remove@victim.service", "ctr-netns@victim.service"),
        *("ctr-dns.service", "ctr-build@x.service"),
        *("ctr-healthy@victim.service", "ctr-health@victim.timer", "ctr-firewall.service", "ctr.slice"),
        *("debug-shell.service", "rescue.target", "multi-user.target", "reboot.target"),
    ):
        REFUSED[f"{_verb.lower()} {_unit}"] = Call(f"{_verb}Unit", "ss", [_unit, "replace"])
for _verb in ("Stop", "Restart"):
    REFUSED[f"{_verb.lower()} a probe"] = Call(f"{_verb}Unit", "ss", ["ctr-health@victim.service", "replace"])
# What ends the bus, or this host, would keep the others from being tried.
REFUSED = dict(sorted(REFUSED.items(), key=lambda item: any(
    word in item[0] for word in ("dbus", "polkit.s", "power off", "halt", "reboot", "kexec", "rescue", "multi-user")
)))  # fmt: skip

#: What must be allowed.
ALLOWED: dict[str, Call] = {
    "restart a container": Call("RestartUnit", "ss", [VICTIM, "replace"]),
    "start a container": Call("StartUnit", "ss", [VICTIM, "replace"]),
    "start a project": Call("StartUnit", "ss", ["ctr@intruder.target", "replace"]),
    "restart a project": Call("RestartUnit", "ss", ["ctr@intruder.target", "replace"]),
    "stop a project": Call("StopUnit", "ss", ["ctr@intruder.target", "replace"]),
    "start a probe": Call("StartUnit", "ss", ["ctr-health@intruder.service", "replace"]),
    "a name with dots": Call("StopUnit", "ss", ["ctr@a.b..c.service", "replace"]),
    "subscribe": Call("Subscribe"),
    "list": Call("ListUnitsByPatterns", "asas", [[], ["ctr*"]]),
}


def about(caller: str) -> Call:
    """What the supervisor asks before it does anything for *caller*, a unique name on the bus."""
    subject = ["system-bus-name", {"name": Variant("s", caller)}]
    return Call("CheckAuthorization", "(sa{sv})sa{ss}us", [subject, "io.ctr.manage-containers", {}, 0, ""], POLKIT)


async def call_all(calls: dict[str, Call]) -> dict[str, str]:
    """The outcome of each call: the error's name, or 'done'."""
    bus = await MessageBus(bus_type=BusType.SYSTEM).connect()
    outcome = {}
    for name, call in calls.items():
        destination, path, interface = call.where
        for flags in (MessageFlag.NONE, MessageFlag.ALLOW_INTERACTIVE_AUTHORIZATION):
            message = Message(destination, path, interface, call.member, flags=flags, signature=call.signature)
            message.body = call.body
            try:
                reply = await asyncio.wait_for(bus.call(message), ANSWER_SECONDS)
            except TimeoutError:
                outcome[name] = "no answer"
                continue
            assert reply is not None
            said = f"{reply.error_name}: {reply.body}"
            if reply.message_type is MessageType.METHOD_RETURN:
                # RequestName says no in its reply: 1 is primary owner.
                said = "done" if call.member != "RequestName" or reply.body == [1] else f"answer {reply.body}"
            outcome[name] = said
            if said == "done":
                break
    return outcome


# What is tried without the bus


def syscall(name: str, *arguments: object) -> int:
    """A function of the C library that sets errno. Raises OSError."""
    result = int(getattr(ctypes.CDLL(None, use_errno=True), name)(*arguments))
    if result == -1:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def is_root_by(*argv: str) -> str:
    """Run a program that would make us root. Raises OSError when it does not."""
    done = subprocess.run(argv, check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60)
    if "uid=0(" not in done.stdout:
        raise PermissionError(errno.EPERM, f"{done.returncode} {done.stdout}{done.stderr}")
    return done.stdout


def connect(path: str, kind: int) -> None:
    with socket.socket(socket.AF_UNIX, kind) as sock:
        sock.connect(path)


SOCKETS = {
    "/run/ctr/log.sock": socket.SOCK_SEQPACKET,
    "/run/ctr/notify/intruder.sock": socket.SOCK_DGRAM,
    "/run/systemd/private": socket.SOCK_STREAM,
}
FILES = (
    *("/etc/shadow", "/proc/{pid}/environ", "/proc/{pid}/cmdline", "/proc/{pid}/root/etc/passwd"),
    *("/proc/1/environ", "/proc/1/root/etc/shadow", "/proc/cmdline", "/proc/sys/kernel/hostname"),
)
DIRECTORIES = (
    *("/root", "/var/lib/ctr", "/var/lib/ctr/images", "/var/lib/ctr/containers", "/run/ctr", "/run/ctr/containers"),
    *("/run/credentials/ctr@victim.service", "/etc/credstore.encrypted", "/proc/{pid}/fd", "/run/ctr/notify"),
)
HIDDEN = (*SOCKETS, *FILES, *DIRECTORIES)
_NEW = {"user": 0x10000000, "mount": 0x20000, "network": 0x40000000, "pid": 0x20000000, "cgroup": 0x2000000}
_ATTACH, _SEIZE = 16, 0x4206

_FAMILIES = ("AF_INET", "AF_INET6", "AF_NETLINK", "AF_PACKET", "AF_VSOCK", "AF_ALG")

#: The argument is the container's init.
Deed = Callable[[int], object]


def unsharing(flag: int) -> Deed:
    return lambda _: syscall("unshare", flag)


def speaking(family: str) -> Deed:
    return lambda _: socket.socket(getattr(socket, family), socket.SOCK_DGRAM)


def connecting(path: str, kind: int) -> Deed:
    return lambda _: connect(path, kind)


def reading(path: str) -> Deed:
    return lambda pid: Path(path.format(pid=pid)).read_bytes()


def listing(path: str) -> Deed:
    return lambda pid: os.listdir(path.format(pid=pid))


#: Each is refused when it raises OSError.
DEEDS: dict[str, Deed] = {
    "setuid": lambda _: os.setuid(0),
    "setresuid": lambda _: os.setresuid(0, 0, 0),
    "setgid": lambda _: os.setgid(0),
    "setgroups": lambda _: os.setgroups([0]),
    "su": lambda _: is_root_by("/usr/bin/su", "--command=id", "root"),
    "a setuid program": lambda _: is_root_by(SETUID),
    **{f"a {n} namespace": unsharing(flag) for n, flag in _NEW.items()},
    "its mount namespace": lambda pid: syscall("setns", os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY), 0),
    "mount": lambda _: syscall("mount", b"tmpfs", b"/tmp", b"tmpfs", 0, None),
    "unmount": lambda _: syscall("umount2", b"/run", 2),
    "chroot": lambda _: os.chroot("/tmp"),
    "mknod": lambda _: os.mknod("/tmp/intruder", 0o600 | stat.S_IFBLK, os.makedev(7, 0)),
    "ptrace": lambda pid: syscall("ptrace", _SEIZE, pid, None, None),
    "ptrace PID 1": lambda _: syscall("ptrace", _ATTACH, 1, None, None),
    "kill": lambda pid: os.kill(pid, 9),
    "kill PID 1": lambda _: os.kill(1, 1),
    "its memory": lambda pid: os.open(f"/proc/{pid}/mem", os.O_RDONLY),
    "set its limits": lambda pid: resource.prlimit(pid, resource.RLIMIT_NOFILE, (1, 1)),
    "real time": lambda _: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1)),
    "nicer": lambda _: os.setpriority(os.PRIO_PROCESS, 0, -10),
    "keyring": lambda _: syscall("syscall", 250, 0, -3, 1),
    "bpf": lambda _: syscall("syscall", 321, 0, None, 0),
    "perf": lambda _: syscall("syscall", 298, None, 0, -1, -1, 0),
    "reboot": lambda _: syscall("syscall", 169, 0xFEE1DEAD, 672274793, 0, None),
    "swapoff": lambda _: syscall("swapoff", b"/swap"),
    "clock": lambda _: syscall("settimeofday", bytes(16), None),
    "writable code": lambda _: (m := __import__("mmap")).mmap(-1, 4096, prot=m.PROT_WRITE | m.PROT_EXEC),
    **{f"a socket of {name}": speaking(name) for name in _FAMILIES},
    **{f"connect to {path}": connecting(path, kind) for path, kind in SOCKETS.items()},
    **{f"read {path}": reading(path) for path in FILES},
    **{f"list {path}": listing(path) for path in DIRECTORIES},
}


def sweep() -> dict[str, list[str]]:
    """Every file of this sandbox but for processes and devices of the kernel: what can be written, what can be read
    that is not everybody's to read, and which sockets listen."""
    found: dict[str, list[str]] = {"directories": [], "writable": [], "readable": [], "sockets": []}
    for path, mode in _files():
        if stat.S_ISDIR(mode):
            try:
                Path(path, MARK).touch()
                found["directories"].append(path)
            except OSError:
                pass
        elif stat.S_ISSOCK(mode):
            for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_SEQPACKET):
                try:
                    connect(path, kind)
                    found["sockets"].append(path)
                except OSError:
                    pass
        else:
            if os.access(path, os.W_OK):
                found["writable"].append(path)
            if not mode & stat.S_IROTH and os.access(path, os.R_OK):
                found["readable"].append(path)
    return found


def _files() -> Iterator[tuple[str, int]]:
    for directory, directories, files in os.walk("/"):
        if directory == "/":
            directories.remove("proc")
        if directory == "/sys":
            directories[:] = ["fs"]
        for path in (directory, *(os.path.join(directory, name) for name in files)):
            try:
                mode = os.lstat(path).st_mode
            except OSError:
                continue
            if not stat.S_ISLNK(mode):
                yield path, mode


def attempt(deed: Callable[[int], object], pid: int) -> str:
    """'done', or why not."""
    try:
        deed(pid)
    except OSError as error:
        return f"{errno.errorcode.get(error.errno or 0, '?')}: {error}"
    return "done"


def notify(text: str) -> None:
    """sd_notify(3)."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.sendto(text.encode(), os.environ["NOTIFY_SOCKET"])


def forge(unit: str) -> None:
    """An entry that claims to be of another unit, in journald's native form."""
    claims = (f"{name}={unit}" for name in ("UNIT", "OBJECT_SYSTEMD_UNIT", "_SYSTEMD_UNIT"))
    lines = ["MESSAGE=forged", "_UID=0", "_PID=1", *claims]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.sendto("".join(f"{line}\n" for line in lines).encode(), "/run/systemd/journal/socket")


def main(argv: list[str]) -> None:
    """Try everything, print a JSON object."""
    facts = json.loads(argv[0])
    notify(f"MAINPID={facts['pid']}\nFDSTORE=1")
    forge(VICTIM)
    refused = {"cancel a job": Call("CancelJob", "u", [facts["job"]]), **REFUSED}
    allowed = {"ask about a caller": about(facts["caller"]), **ALLOWED}
    outcome: dict[str, object] = {
        "deeds": {name: attempt(deed, facts["pid"]) for name, deed in DEEDS.items()},
        "sweep": sweep(),
        "refused": asyncio.run(call_all(refused)),
        "allowed": asyncio.run(call_all(allowed)),
        "capabilities": [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("Cap")],
    }
    print(json.dumps(outcome))


if __name__ == "__main__":
    main(sys.argv[1:])
