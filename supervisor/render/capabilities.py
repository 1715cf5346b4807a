"""capabilities(7): podman's default set, and what adding and dropping makes of it."""

from __future__ import annotations

from supervisor.errors import UserError

# Indexed by number: include/uapi/linux/capability.h.
_ALL = (
    "CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE "
    "NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT "
    "SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP "
    "MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE"
)
# containers.conf(5), default_capabilities.
_USUAL = "CHOWN DAC_OVERRIDE FOWNER FSETID KILL NET_BIND_SERVICE SETFCAP SETGID SETPCAP SETUID SYS_CHROOT"

NAMES = tuple(f"CAP_{name}" for name in _ALL.split())
DEFAULT = frozenset(f"CAP_{name}" for name in _USUAL.split())


def bounding_set(
    add: tuple[str, ...], drop: tuple[str, ...], privileged: bool, available: frozenset[str]
) -> tuple[str, ...]:
    """The bounding set, sorted by name: the default plus *add* minus *drop*, within what the host has *available*.

    'ALL' stands for every capability and a name beside it for an exception, so what is named both ways follows it
    (containers/common, MergeCapabilities): ``drop ALL`` leaves exactly what is added, ``add ALL`` all but what is
    dropped. Raises `UserError` for an unknown name and for one that is both added and dropped otherwise.
    """
    if unknown := sorted({*add, *drop} - {*NAMES, "ALL"}):
        raise UserError(f"capability '{unknown[0]}': unknown; see capabilities(7)")
    both = sorted(set(add) & set(drop))
    if both and ("ALL" in both or "ALL" not in (*add, *drop)):
        raise UserError(f"capability '{both[0]}': both added and dropped; keep one of the two")
    if privileged:
        return tuple(sorted(available))
    if "ALL" in drop:
        return tuple(sorted(set(add) & available))
    wanted = set(NAMES) if "ALL" in add else {*DEFAULT, *add}
    return tuple(sorted((wanted - set(drop)) & available))


def process_sets(bounding: tuple[str, ...], add: tuple[str, ...], is_root: bool) -> dict[str, list[str]]:
    """OCI ``process.capabilities``. Root has its whole bounding set; another user only what was added by name, as
    ambient capabilities, so that its programs keep it across execve(2), as podman does it."""
    held = [name for name in bounding if is_root or name in add or "ALL" in add]
    carried = [] if is_root else held
    return {
        "bounding": list(bounding),
        "effective": held,
        "permitted": held,
        "inheritable": carried,
        "ambient": carried,
    }
