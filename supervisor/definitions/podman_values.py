"""Options of podman-run(1) whose values have to be read before it is clear which key says the same. Pure.

Each function takes one value as podman reads it and returns what it means here. For what cannot be had it raises
`UserError`, saying what to write instead.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable

from supervisor.definitions import values
from supervisor.definitions.podman_option import Effect, Ignored, Meaning, Member, Setting
from supervisor.errors import UserError
from supervisor.names import check_name, service_unit
from supervisor.spec.container import ImageVolumes, NamespaceMode, Runtime, ScopeProperty

Effects = tuple[Effect, ...]

_SO = "it is so anyway"


def flag(member: str) -> Meaning:
    """A boolean member of `Extras`."""
    return lambda text: (Member(member, values.boolean(text)),)


def limit(reader: Callable[[str], ScopeProperty]) -> Meaning:
    """A property of the scope."""
    return lambda text: (Member("limit", reader(text)),)


def namespace(kind: str, more: str = "") -> Meaning:
    """``--pid`` and its like: host, or private; *more*: another word for the latter."""

    def read(text: str) -> Effects:
        if text == "host":
            return (Member(f"{kind}_namespace", NamespaceMode.HOST),)
        if text in ("", "private", *more.split()):
            return (Ignored("the container has one of its own anyway"),)
        raise UserError(f"{values.short(text)}: the namespace is the container's own, or the host's; write host")

    return read


def cgroups(text: str) -> Effects:
    if text == "disabled":
        raise UserError("every container has a systemd scope of its own; remove it")
    if text not in ("enabled", "split", "no-conmon"):
        raise UserError(f"{values.short(text)} is unknown to podman; write split, enabled or no-conmon")
    return (Ignored("every container has a scope of its own here, and no conmon beside it"),)


def cgroup_parent(text: str) -> Effects:
    if text.endswith(".slice") and "/" not in text:
        return (Setting("Slice", text, "Service"),)
    raise UserError(f"{values.short(text)} is no slice; write Slice=NAME.slice in [Service]")


def only(allowed: str, instead: str) -> Meaning:
    """An option that changes nothing with one of the values *allowed*, and is refused with others."""

    def read(text: str) -> Effects:
        if text in allowed.split():
            return (Ignored(_SO),)
        raise UserError(f"{values.short(text)} {instead}")

    return read


def image_volumes(text: str) -> Effects:
    """'bind' is an older word for 'anonymous'; podman reads them in any case."""
    words = {mode.value: mode for mode in ImageVolumes} | {"bind": ImageVolumes.ANONYMOUS}
    if text.lower() not in words:
        raise UserError(f"{values.short(text)} is unknown to podman; write anonymous, tmpfs or ignore")
    return (Member("image_volumes", words[text.lower()]),)


def file(key: str) -> Meaning:
    """A path: podman resolves a relative one from its working directory, which in a unit is /."""

    def read(text: str) -> Effects:
        if not text.startswith("/"):
            raise UserError(f"{values.short(text)} is not absolute; write the whole path")
        return (Setting(key, text),)

    return read


def volume(text: str) -> Effects:
    if text.startswith("."):
        raise UserError(f"{values.short(text)} is relative to podman's working directory; write the whole path")
    return (Setting("Volume", text),)


def label(key: str) -> Meaning:
    """NAME alone is a label with an empty value."""
    return lambda text: (Setting(key, text if "=" in text else f"{text}="),)


def requires(text: str) -> Effects:
    unit = service_unit(check_name(text))
    return (Setting("Requires", unit, "Unit"), Setting("After", unit, "Unit"))


def restart(text: str) -> Effects:
    if text in ("no", "never", ""):
        return (Ignored("restarting is up to Restart= in [Service]"),)
    word = {"unless-stopped": "always"}.get(text.partition(":")[0], text.partition(":")[0])
    raise UserError(f"{values.short(text)}: systemd restarts containers; write Restart={word} in [Service]")


def timeout(text: str) -> Effects:
    """Seconds from start to SIGKILL; 0 is no limit."""
    seconds = values.integer(text, 0, 2**31 - 1)
    return (Setting("RuntimeMaxSec", str(seconds), "Service"),) if seconds else (Ignored("0 is no limit"),)


def oom_score(text: str) -> Effects:
    return (Member("oom_score", values.integer(text, -1000, 1000)),)


def sdnotify(text: str) -> Effects:
    found = {"container": "yes", "conmon": "no", "ignore": "no", "healthy": "healthy"}.get(text)
    if found is None:
        raise UserError(f"{values.short(text)} is unknown to podman; write container, conmon, healthy or ignore")
    return (Setting("Notify", found),)


def no_healthcheck(text: str) -> Effects:
    return (Setting("HealthCmd", "none"),) if values.boolean(text) else ()


def gpus(text: str) -> Effects:
    return (Setting("AddDevice", f"nvidia.com/gpu={text}"),)


def umask(text: str) -> Effects:
    if not re.fullmatch("[0-7]{1,4}", text) or int(text, 8) > 0o777:
        raise UserError(f"{values.short(text)} is not a umask; write octal digits, like 0022")
    return (Member("umask", int(text, 8)),)


def runtime(text: str) -> Effects:
    try:
        return (Member("runtime", Runtime(posixpath.basename(text))),)
    except ValueError as error:
        raise UserError(f"{values.short(text)} is not supported; write crun or runc") from error


#: Words of ``--security-opt label=…`` and the keys that say the same.
_LABELS = {"type": "SecurityLabelType", "level": "SecurityLabelLevel", "filetype": "SecurityLabelFileType"}
_NO_LABEL_PART = "is part of the label that cannot be set alone; write SecurityLabelType= or SecurityLabelLevel="


def _selinux(text: str) -> Effects:
    word, _, value = text.partition(":")
    if text in ("disable", "nested"):
        return (Setting(f"SecurityLabel{text.capitalize()}", "true"),)
    if word in _LABELS and value:
        return (Setting(_LABELS[word], value),)
    raise UserError(f"label={values.short(text)} {_NO_LABEL_PART}")


def _system_paths(text: str) -> Effects:
    if text == "unconfined":
        return (Setting("Unmask", "ALL"),)
    raise UserError(f"systempaths={values.short(text)} is unknown to podman; write systempaths=unconfined")


def _proc(text: str) -> Effects:
    raise UserError(f"proc-opts={values.short(text)}: options of /proc cannot be chosen; write Mask= for what to hide")


_SECURITY: dict[str, Callable[[str], Effects]] = {
    "apparmor": lambda text: (Setting("AppArmor", text),),
    "label": _selinux,
    "mask": lambda text: (Setting("Mask", text),),
    "no-new-privileges": lambda text: (Setting("NoNewPrivileges", text or "true"),),
    "proc-opts": _proc,
    "seccomp": lambda text: (Setting("SeccompProfile", text),),
    "systempaths": _system_paths,
    "unmask": lambda text: (Setting("Unmask", text),),
}


def security(text: str) -> Effects:
    """``--security-opt NAME=VALUE``, or in docker's old spelling NAME:VALUE."""
    match = re.match("[=:]", text.lstrip("abcdefghijklmnopqrstuvwxyz-"))
    name, _, value = text.partition(match[0]) if match else (text, "", "")
    if name not in _SECURITY or not (value or name == "no-new-privileges"):
        raise UserError(f"{values.short(text)} is unknown; write NAME=VALUE with one of {', '.join(sorted(_SECURITY))}")
    return _SECURITY[name](value)


#: Numbers of well-known drivers (Linux, Documentation/admin-guide/devices.txt) to their names in /proc/devices.
_DRIVERS = {
    "c": {
        1: "mem", 4: "ttyS", 5: "tty", 6: "lp", 10: "misc", 13: "input", 29: "fb", 81: "video4linux", 89: "i2c",
        116: "alsa", 136: "pts", 153: "spi", 166: "ttyACM", 180: "usb", 188: "ttyUSB", 189: "usb_device",
        226: "drm",
    },
    "b": {7: "loop", 8: "sd", 9: "md", 11: "sr", 179: "mmc", 259: "blkext"},
}  # fmt: skip


def device_rule(text: str) -> Effects:
    """``TYPE MAJOR:MINOR ACCESS`` of the cgroup v1 device controller, as an entry of systemd's DeviceAllow=."""
    match = re.fullmatch(r"([abc])\s+([0-9]{1,6}|\*):([0-9]{1,7}|\*)\s+([rwm]{1,3})", text.strip())
    if match is None:
        raise UserError(f"{values.short(text)} is no device rule; write one like 'c 189:* rmw'")
    kind, major, minor, access = match.groups()
    if kind == "a" or major == "*":
        raise UserError(f"{values.short(text)} is about every device; name the device nodes with AddDevice=")
    if minor != "*":
        device = f"/dev/{'char' if kind == 'c' else 'block'}/{int(major)}:{int(minor)}"
    elif name := _DRIVERS[kind].get(int(major)):
        device = f"{'char' if kind == 'c' else 'block'}-{name}"
    else:
        raise UserError(f"{major} is no driver known by number; write DeviceAllow=char-NAME rwm in [Service]")
    return (Member("limit", ScopeProperty("DeviceAllow", "a(ss)", f"{device} {access}")),)


def volume_option(text: str) -> Effects:
    """``--opt`` of podman-volume-create(1) with the local driver."""
    name, _, value = text.partition("=")
    found = {"type": "Type", "device": "Device", "o": "Options"}.get(name)
    if found and value:
        return (Setting(found, value),)
    if name in ("copy", "nocopy"):
        return (Setting("Copy", "true" if name == "copy" else "false"),)
    raise UserError(f"{values.short(text)} is unknown; write type=, device=, o=, copy or nocopy")
