"""The keys that say which users of the host a container's users are: ``UserNS=``, ``UIDMap=`` and their like. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from supervisor.definitions import idmap_text
from supervisor.definitions.findings import Findings
from supervisor.definitions.lines import Lines
from supervisor.definitions.values import short
from supervisor.errors import UserError
from supervisor.spec.userns import IdRange, UserNamespace, UserNamespaceMode

_MAPS = ("UIDMap", "GIDMap", "SubUIDMap", "SubGIDMap")
_REMAPS = ("RemapUsers", "RemapUid", "RemapGid", "RemapUidSize")
_SIZE_MAX = 2**31


@dataclass(frozen=True, slots=True)
class Wish:
    """The options of podman-run(1): ``--userns``, ``--uidmap``, ``--gidmap``, ``--subuidname``, ``--subgidname``."""

    mode: str = ""
    uid_maps: tuple[str, ...] = ()
    gid_maps: tuple[str, ...] = ()
    sub_uid: str = ""
    sub_gid: str = ""


def user_namespace(lines: Lines, findings: Findings) -> UserNamespace | None:
    """What *lines*, of a container or a pod, ask for; None: the host's users."""
    given = [at for key in (*_MAPS, "UserNS") for at in lines.of(key)]
    remaps = [at for key in _REMAPS for at in lines.of(key)]
    if given and remaps:
        findings.refuse(remaps[0], f"cannot stand beside {given[0].key}=; keep that one, it is the newer")
        return None
    found = remaps or given
    if not found:
        return None
    try:
        wish = _remapped(lines) if remaps else _wish(lines)
        return compiled(wish)
    except UserError as error:
        findings.refuse(min(found, key=lambda at: at.line), error)
        return None


def compiled(wish: Wish) -> UserNamespace | None:
    """What *wish* means for root; None: the host's users. Raises `UserError`."""
    maps = wish.uid_maps or wish.gid_maps or wish.sub_uid or wish.sub_gid
    if wish.mode and maps:
        raise UserError(f"{short(wish.mode)} and mappings of its own exclude each other; keep one of the two")
    if maps:
        return _mapped(wish)
    mode, _, options = wish.mode.partition(":")
    if mode in ("", "host") and not options:
        return None
    if mode == "auto":
        return _auto(options)
    if mode == "keep-id":
        return _keep_id(options)
    raise UserError(_REFUSED.get(mode, f"{short(wish.mode)} is not a user namespace; write auto, keep-id or host"))


_REFUSED = {
    "nomap": "nomap leaves out the user who starts the container, which only podman without root has; write auto",
    "ns": "a namespace that others made goes away with them; write auto, or UIDMap= with the numbers it has",
    "container": "containers that share users belong in one pod; write UserNS= in a .pod file and Pod= here",
}


def _auto(options: str) -> UserNamespace:
    size = 0
    uids: list[str] = []
    gids: list[str] = []
    for option in options.split(",") if options else ():
        key, _, value = option.partition("=")
        if key == "size":
            size = idmap_text.number(value)
        elif key in ("uidmapping", "gidmapping"):
            (uids if key == "uidmapping" else gids).append(value)
        else:
            raise UserError(f"auto has no option {short(option)}; it has size=, uidmapping= and gidmapping=")
    if size > _SIZE_MAX:
        raise UserError(f"size={size} is more than {_SIZE_MAX}; write fewer")
    return UserNamespace(UserNamespaceMode.AUTO, size, idmap_text.ranges(uids, "u"), idmap_text.ranges(gids, "g"))


def _keep_id(options: str) -> UserNamespace:
    found: dict[str, int] = {}
    for option in options.split(",") if options else ():
        key, _, value = option.partition("=")
        if key not in ("uid", "gid"):
            raise UserError(f"keep-id has no option {short(option)}; it has uid= and gid=")
        found[key] = idmap_text.number(value)
    user = f"{found.get('uid', 0)}:{found.get('gid', 0)}" if found else ""
    return UserNamespace(UserNamespaceMode.KEEP_ID, user=user)


def _mapped(wish: Wish) -> UserNamespace:
    uid_maps, gid_maps = wish.uid_maps or wish.gid_maps, wish.gid_maps or wish.uid_maps
    uids, gids = idmap_text.ranges(uid_maps, "u"), idmap_text.ranges(gid_maps, "g")
    sub_uid, sub_gid = wish.sub_uid or wish.sub_gid, wish.sub_gid or wish.sub_uid
    if not sub_uid:
        _check_root(uids, "user")
        _check_root(gids, "group")
    return UserNamespace(UserNamespaceMode.MAPPED, 0, uids, gids, sub_uid, sub_gid)


def _check_root(found: Sequence[IdRange], what: str) -> None:
    if not any(one.container == 0 for one in found):
        raise UserError(f"no {what} 0 in the container, and without root nothing can start there; map 0 too")


def _wish(lines: Lines) -> Wish:
    return Wish(
        lines.one("UserNS", str) or "",
        tuple(text for _, text in lines.words("UIDMap", str, unescape=False)),
        tuple(text for _, text in lines.words("GIDMap", str, unescape=False)),
        lines.one("SubUIDMap", _name) or "",
        lines.one("SubGIDMap", _name) or "",
    )


def _name(text: str) -> str:
    if not text or ":" in text or any(char.isspace() for char in text):
        raise UserError(f"{short(text)} is not a user's name in /etc/subuid")
    return text


def _remapped(lines: Lines) -> Wish:
    """The keys of podman 4 (pkg/systemd/quadlet, handleUserRemap)."""
    uids = tuple(text for _, text in lines.words("RemapUid", str, unescape=False))
    gids = tuple(text for _, text in lines.words("RemapGid", str, unescape=False))
    size = lines.one("RemapUidSize", idmap_text.number)
    mode = lines.one("RemapUsers", str)
    if mode == "manual":
        return Wish("", uids, gids)
    if mode == "auto":
        options = [f"uidmapping={text}" for text in uids] + [f"gidmapping={text}" for text in gids]
        options += [f"size={size}"] if size else []
        return Wish(":".join(("auto", *([",".join(options)] if options else ()))))
    if mode == "keep-id":
        if len(uids) > 1 or len(gids) > 1:
            raise UserError("RemapUsers=keep-id takes one RemapUid= and one RemapGid=; keep one of each")
        options = [f"uid={text}" for text in uids] + [f"gid={text}" for text in gids]
        return Wish(":".join(("keep-id", *([",".join(options)] if options else ()))))
    if mode is None:
        raise UserError("means nothing without RemapUsers=; write UIDMap= and GIDMap= instead")
    raise UserError(f"RemapUsers={mode} is not manual, auto or keep-id; write UserNS= instead, which is newer")
