"""Volumes: the mount unit of one that is a file system, and what the launcher does about a container's mounts. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from supervisor.errors import UserError
from supervisor.paths import SYSTEM_DIRECTORIES, Layout
from supervisor.render import labels, mounts, overlays, userns
from supervisor.render.facts import HostFacts
from supervisor.render.files import File
from supervisor.render.lines import one_line, specifiers_escaped
from supervisor.render.mounts import OciMount
from supervisor.render.users import User
from supervisor.spec.container import Container, Mount, MountType
from supervisor.spec.userns import IdMaps
from supervisor.spec.volume import Volume

#: Keys of the plan whose values are texts separated by tabs; `plan_lines` says which.
COLUMNS = ("idmap", "copy-up", "overlay", "lower", "subpath", "mount", "chown", "relabel")

#: systemd.unit(5): a unit's name has at most 255 characters.
_UNIT_NAME_MAX = 255


def units(volume: Volume, layout: Layout) -> tuple[File, ...]:
    """The mount unit of *volume* (systemd.mount(5)); none for a plain directory. Raises `UserError`."""
    if not volume.type and not volume.device:
        if volume.options:
            raise UserError(f"volume {volume.name}: Options= without Type= or Device=; say what is mounted")
        return ()
    where = f"{layout.volumes}/{volume.name}"
    unit = mount_unit(where)
    if len(unit) > _UNIT_NAME_MAX:
        raise UserError(f"volume {volume.name}: its mount unit's name is longer than systemd allows; shorten it")
    lines = [
        f"# Written by ctrctl from {one_line(volume.source or 'the command line', 'source')}",
        "[Unit]",
        f"Description=Volume {volume.name}",
        "",
        "[Mount]",
        f"What={_rest_of_line(volume.device or volume.type, 'Device=')}",
        f"Where={specifiers_escaped(where)}",
        *_setting("Type", volume.type or _implied_type(volume.options)),
        *_setting("Options", volume.options),
        # Of what is made on the way; a setuid program in a volume must be out of reach of the host's users.
        "DirectoryMode=0700",
    ]
    return (File(f"{layout.units}/{unit}", "\n".join(lines) + "\n"),)


def mount_unit(path: str) -> str:
    """The name of the unit that mounts *path*, absolute (systemd-escape(1) --path --suffix=mount)."""
    text = path.strip("/")
    return "".join(_escaped(character, at) for at, character in enumerate(text)) + ".mount"


def plan_lines(
    container: Container,
    known: Mapping[str, Volume],
    user: User,
    facts: HostFacts,
    layout: Layout,
    id_maps: IdMaps | None = None,
) -> Iterator[tuple[str, str]]:
    """The plan's lines about mounts; `supervisor.launcher.volumes` acts on them. *known*: volumes that somebody
    defined. *id_maps*: of the container's user namespace; owners in these lines are the host's numbers.

    volume=DIRECTORY                           is made if missing
    idmap=SOURCE PLACE                         PLACE shows SOURCE with its owners' numbers shifted
    copy-up=DIRECTORY MARKER TARGET UID:GID IMAGE   an empty one gets the image's content of TARGET, then that owner;
                                               IMAGE: the place of another image's overlay
    overlay=, lower=, scratch=                 see `supervisor.render.overlays`
    subpath=DIRECTORY PATH PLACE               PLACE is where the runtime finds PATH of the volume
    mount=SOURCE TARGET OVER REST              exists and fits; no link on the way REST from OVER to a nested TARGET
    chown=SOURCE UID:GID                       is given to the container's user
    relabel=SOURCE LABEL ONCE                  gets that SELinux label; ONCE: unless it has it itself

    A volume that is mounted read-only is neither filled nor given to anybody.
    """
    for directory in mounts.volume_directories(container, layout):
        yield "volume", one_line(directory, "volume")
    for number, mount in enumerate(container.mounts):
        if userns.is_idmapped(mount, container):
            place = mounts.content(number, container, layout)
            yield "idmap", _columns(mounts.source_on_host(mount, layout), place)
    for number, (mount, source) in enumerate(mounts.sources(container, layout)):
        if mount.type is MountType.VOLUME:
            directory = mounts.content(number, container, layout)
            image = overlays.place_of_content(number, container, known, layout)
            yield from _volume(mount, directory, source, known.get(mount.source), layout, id_maps, image)
    for key, columns in overlays.plan_lines(container, known, facts, layout):
        yield key, _columns(*columns)
    for number, (mount, source) in enumerate(mounts.sources(container, layout)):
        if mount.type is MountType.IMAGE and mounts.subpath(mount):
            yield "subpath", _columns(mounts.own_source(number, container, layout), mounts.subpath(mount), source)
    for found in _checked(container, mounts.mounts(container, facts, layout), layout):
        yield "mount", _columns(*found)
    for mount, source in mounts.sources(container, layout):
        if "U" in mount.options and mounts.has_source(mount) and not mounts.is_sealed(mount, known):
            whole = mounts.source_on_host(mount, layout)
            if whole.rstrip("/") in SYSTEM_DIRECTORIES:
                text = f"mount {mount.target}: option U would give away {whole}, a directory of the system"
                raise UserError(text).asked_by("Volume Mount", mount.target)
            uid, gid = userns.owner_outside(user.uid, user.gid, id_maps)
            yield "chown", _columns(source, f"{uid}:{gid}")
    yield from _relabelled(container, known, facts, layout)


def _relabelled(
    container: Container, known: Mapping[str, Volume], facts: HostFacts, layout: Layout
) -> Iterator[tuple[str, str]]:
    """By their place on the host: what the container sees may be read-only, or an overlay."""
    found = labels.labels(container, facts.selinux)
    for mount in container.mounts:
        source = mounts.source_on_host(mount, layout)
        if (label := labels.relabelled(mount, found)) and not mounts.is_sealed(mount, known):
            if source.rstrip("/") in SYSTEM_DIRECTORIES:
                text = f"mount {mount.target}: option z would label {source}, a directory of the system"
                raise UserError(text).asked_by("Volume Mount", mount.target)
            asked = "z" in mount.options or "Z" in mount.options
            yield "relabel", _columns(source, label, "" if asked else "1")


def _volume(
    mount: Mount,
    directory: str,
    source: str,
    volume: Volume | None,
    layout: Layout,
    id_maps: IdMaps | None,
    image: str,
) -> Iterator[tuple[str, str]]:
    """*directory*: the volume as the container sees it; *source*: what of it is mounted; *image*: where another image
    than the container's is mounted, to be copied."""
    if path := mounts.subpath(mount):
        if path.startswith("/") or ".." in path.split("/"):
            raise UserError(f"mount {mount.target}: subpath '{path}' does not lie in the volume; write logs/web, say")
        yield "subpath", _columns(directory, path, source)
        if not image:
            return
    if mounts.is_sealed(mount, {mount.source: volume} if volume else {}):
        return
    copies = "nocopy" not in mount.options and ("copy" in mount.options or volume is None or volume.copy)
    owner = _owner(volume, id_maps) if volume else ""
    if copies or owner or image:
        marker = f"{layout.volume_records}/{mount.source}.copying"
        target = "/" if image else mount.target if copies else ""
        yield "copy-up", _columns(directory, marker, target, owner, image)


def _owner(volume: Volume, id_maps: IdMaps | None) -> str:
    """For chown(2), where -1 leaves it as it is."""
    if volume.uid is None and volume.gid is None:
        return ""
    uid, gid = (-1 if number is None else number for number in (volume.uid, volume.gid))
    uid, gid = userns.owner_outside(uid, gid, id_maps)
    return f"{uid}:{gid}"


def _checked(container: Container, made: tuple[OciMount, ...], layout: Layout) -> Iterator[tuple[str, ...]]:
    """Source, target, and where it lies in another bind mount, that one's source and the rest of the way."""
    own = {source: mount for mount, source in mounts.sources(container, layout) if mounts.has_source(mount)}
    for one in made:
        above = [m for m in made if one.destination.startswith(f"{m.destination}/")]
        over = max(above, key=lambda m: len(m.destination), default=None)
        nested = over is not None and over.source in own
        source = one.source if one.source in own else ""
        # Ours (/etc/hosts …) may lie in a volume on /etc, where links are usual; the runtime keeps to the root.
        if source or (nested and one.type != "bind"):
            way = (over.source, one.destination.removeprefix(f"{over.destination}/")) if over and nested else ()
            yield (source, one.destination, *way)


def _columns(*texts: str) -> str:
    return "\t".join(one_line(text, "mount") for text in texts).rstrip("\t")


def _implied_type(options: str) -> str:
    """mount(8) takes a bind mount for what it is without a type; a mount unit needs one that is no file system's."""
    return "none" if {"bind", "rbind"} & set(options.split(",")) else ""


def _setting(key: str, value: str) -> list[str]:
    return [f"{key}={_rest_of_line(value, f'{key}=')}"] if value else []


def _rest_of_line(value: str, what: str) -> str:
    """*value* as a setting that is no list of words: without quotes, and a final backslash would join the next line."""
    if value.endswith("\\") or value != value.strip():
        raise UserError(f"{what} '{value}': ends in a backslash or a space; correct it")
    return specifiers_escaped(one_line(value, what))


def _escaped(character: str, at: int) -> str:
    if character == "/":
        return "-"
    plain = character.isascii() and (character.isalnum() or character in ":_" or (character == "." and at))
    return character if plain else "".join(f"\\x{byte:02x}" for byte in character.encode())
