"""``ctrctl volume``: make, list, show, remove, save and fill volumes.

Owns the words, the table and the JSON form of a volume. Writing is `supervisor.deploy`'s work; what a type, a device or
an option may be is said by `supervisor.definitions`, as for ``.volume`` files.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import nullcontext
from typing import Any

from supervisor.cli import listing, option
from supervisor.cli.console import Console
from supervisor.cli.image import size as human
from supervisor.definitions import values, volume_file
from supervisor.deploy import records, state
from supervisor.deploy.deploy import Deployment
from supervisor.deploy.records import VolumeRecord
from supervisor.errors import DefinitionError, HostError, NotFoundError, UserError
from supervisor.images.store import Store
from supervisor.names import check_name, is_name
from supervisor.paths import Layout
from supervisor.spec.container import Container, MountType
from supervisor.spec.volume import Volume
from supervisor.systemd.manager import Manager

SOURCE = "ctrctl volume create"

EXAMPLES = {
    "volume": (
        "ctrctl volume create data                        the first container fills it with its image's files",
        "ctrctl volume create -o type=nfs -o device=nas:/srv/data -o o=vers=4.2 shared",
        "ctrctl volume export data -o data.tar",
        "ctrctl volume import data data.tar.gz            on top of what is in it",
        "ctrctl volume prune                              remove those that no container names",
    )
}

#: What ``ls --filter`` knows, with an example each.
FILTERS = {"name": "name=TEXT", "label": "label=KEY[=VALUE]", "dangling": "dangling=true|false"}
_HIGHEST_ID = 2**32 - 2


def configure(verb: str, parser: argparse.ArgumentParser) -> None:
    """One sub-command each."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    _configure_create(actions.add_parser("create", help="make a volume"))
    ls = actions.add_parser("ls", help="list volumes")
    listing.configure(ls)
    listing.configure_filters(
        ls,
        "only those whose name contains, that carry the label, or that no container names: "
        "name=data, label=tier, dangling=true; the same key twice means either",
    )
    inspect = actions.add_parser("inspect", help="show everything known about a volume, as JSON")
    inspect.add_argument("name", nargs="+", metavar="NAME")
    remove = actions.add_parser("rm", help="remove volumes with their content")
    remove.add_argument("name", nargs="+", metavar="NAME")
    remove.add_argument("-f", "--force", action="store_true", help="all is well if there is none of that name")
    prune = actions.add_parser("prune", help="remove what no container names and no definition defines")
    prune.add_argument("-f", "--force", action="store_true", help="do not ask")
    export = actions.add_parser("export", help="write the content as a tar")
    export.add_argument("name", metavar="NAME")
    export.add_argument("-o", "--output", metavar="FILE", help="where to (default: standard output)")
    fill = actions.add_parser("import", help="unpack a tar over the content")
    fill.add_argument("name", metavar="NAME")
    fill.add_argument("path", nargs="?", default="-", metavar="FILE", help="plain or compressed (default: '-', stdin)")


def _configure_create(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", nargs="?", metavar="NAME", help="default: a new one, which is printed")
    parser.add_argument("-d", "--driver", metavar="DRIVER", help="local, which is all there is")
    parser.add_argument(
        "-o", "--opt", action="append", metavar="KEY=VALUE", help="type=, device=, o=: as mount(8) has them; nocopy"
    )
    parser.add_argument("--uid", metavar="UID", help="owner (default: what the image says, else root)")
    parser.add_argument("--gid", metavar="GID", help="its group")
    parser.add_argument("--label", action="append", metavar="NAME=VALUE", help="label")
    parser.add_argument("--ignore", action="store_true", help="all is well if there is one of that name")


def run(verb: str, args: argparse.Namespace, console: Console) -> int:
    """0, or 125 when one of several volumes to remove or inspect could not be."""
    console.need_root(f"volume {args.action}")
    return _ACTIONS[args.action](args, console)


# create


def _create(args: argparse.Namespace, console: Console) -> int:
    wanted = definition(args)
    if args.ignore and wanted.name in every(console.layout):
        console.line(wanted.name)
        return 0
    with Manager.open() as manager:
        try:
            made = Deployment(console.layout, Store(console.layout), manager).create_volume(wanted)
        except DefinitionError as error:
            # A definition's problems have a file and a line; here the command line is all there is.
            raise UserError("\n".join(problem.message for problem in error.problems)) from error
    console.line(made.name)
    return 0


def definition(args: argparse.Namespace) -> Volume:
    """The volume that *args* describe. Raises `UserError` that names the option."""
    is_image = option.one("--driver", volume_file.driver, args.driver) == "image"
    given = _options(args.opt or ())
    image = option.default("--opt image", values.image, given.get("image"), "")
    if is_image != bool(image) or (image and not given.keys() <= {"image"}):
        raise UserError("--opt image: belongs to --driver image, and is all that it takes; give both, or neither")
    kind = option.default("--opt type", volume_file.file_system, given.get("type"), "")
    device = option.default("--opt device", volume_file.device, given.get("device"), "")
    uid, gid = option.one("--uid", _id, args.uid), option.one("--gid", _id, args.gid)
    words = option.default("--opt o", volume_file.mount_options, given.get("o"), "")
    if not kind and not device:
        # podman-volume-create(1): of a plain directory, they are its owner.
        owner = dict(word.split("=", 1) for word in words.split(",") if word.startswith(("uid=", "gid=")))
        words = ",".join(word for word in words.split(",") if not word.startswith(("uid=", "gid=")))
        uid = option.one("--opt o=uid", _id, owner.get("uid")) if uid is None else uid
        gid = option.one("--opt o=gid", _id, owner.get("gid")) if gid is None else gid
    with option.named("--opt"):
        kind, device, words = volume_file.source(kind, device, words)
    return Volume(
        name=option.read("NAME", _name, args.name) if args.name is not None else os.urandom(16).hex(),
        source=SOURCE,
        type=kind,
        device=device,
        options=words,
        image=image,
        uid=uid,
        gid=gid,
        copy="nocopy" not in given,
        labels=tuple(dict(option.each("--label", values.label, args.label)).items()),
    )


def _options(texts: Iterable[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if (key not in ("type", "device", "o", "image") or not value) and (key not in ("copy", "nocopy") or equals):
            raise UserError(f"--opt: '{text}' is unknown; use type=, device=, o=, image=, copy or nocopy")
        found[key] = value
    return found


def _name(text: str) -> str:
    return check_name(text, "volume name")


def _id(text: str) -> int:
    return values.integer(text, 0, _HIGHEST_ID)


# what there is


def every(layout: Layout) -> dict[str, VolumeRecord]:
    """Every volume by name: those with a record, and directories that a container's start has made."""
    known = records.volumes(layout).read_all()
    try:
        made = [name for name in os.listdir(layout.volumes) if is_name(name)]
    except FileNotFoundError:
        made = []
    return {name: known.get(name) or VolumeRecord(Volume(name, "")) for name in sorted({*known, *made})}


def find(layout: Layout, name: str) -> VolumeRecord:
    """Raises `NotFoundError`."""
    if found := every(layout).get(_name(name)):
        return found
    raise NotFoundError(f"volume {name}: does not exist; 'ctrctl volume ls' lists all")


def documents(layout: Layout) -> list[dict[str, Any]]:
    """Every volume by name, as ``inspect`` prints it."""
    containers = [deployed.mounted for deployed in state.read_all(layout)]
    return [document(record, containers, layout) for record in every(layout).values()]


def document(record: VolumeRecord, containers: Iterable[Container], layout: Layout) -> dict[str, Any]:
    """One volume, and which of the *containers* name it. Pure."""
    volume = record.volume
    return {
        "name": volume.name,
        "source": volume.source or None,
        "mountpoint": f"{layout.volumes}/{volume.name}",
        "unit": os.path.basename(record.units[0]) if record.units else None,
        "type": volume.type or None,
        "device": volume.device or None,
        "options": volume.options or None,
        "uid": volume.uid,
        "gid": volume.gid,
        "copy": volume.copy,
        "labels": dict(volume.labels),
        "containers": [c.name for c in containers if volume.name in _named(c)],
    }


def _named(container: Container) -> frozenset[str]:
    return frozenset(mount.source for mount in container.mounts if mount.type is MountType.VOLUME)


def _list(args: argparse.Namespace, console: Console) -> int:
    wanted = listing.parse_filters(args.filter, FILTERS)
    found = [one for one in documents(console.layout) if listing.matches(one, wanted)]
    listing.show(found, args, console, ("NAME", "TYPE", "DEVICE", "USED BY"), row)
    return 0


def row(one: Mapping[str, Any]) -> tuple[str, ...]:
    """The cells of one line."""
    kind = "directory" if one["unit"] is None else one["type"] or "auto"
    return one["name"], kind, one["device"] or "-", ", ".join(one["containers"])


def _inspect(args: argparse.Namespace, console: Console) -> int:
    known = {one["name"]: one for one in documents(console.layout)}
    found = []

    def inspect(name: str) -> None:
        find(console.layout, name)
        found.append(known[name])

    status = listing.each(args.name, console, inspect)
    console.json(found)
    return status


# what goes


def _remove(args: argparse.Namespace, console: Console) -> int:
    with Manager.open() as manager:
        deployment = Deployment(console.layout, Store(console.layout), manager)

        def remove(name: str) -> None:
            try:
                source = find(console.layout, name).volume.source
            except NotFoundError:
                if args.force:
                    return
                raise
            deployment.remove_volume(name)
            console.line(name)
            if _is_defined(source, console.layout):
                console.note(f"{name}: its definition {source} is still there; 'ctrctl apply' will make it again")

        return listing.each(args.name, console, remove)


def _prune(args: argparse.Namespace, console: Console) -> int:
    unused = [one for one in documents(console.layout) if not one["containers"]]
    going = [one for one in unused if not _is_defined(one["source"] or "", console.layout)]
    if not args.force and going and not _agreed([one["name"] for one in going], console):
        return 0
    freed = 0
    with Manager.open() as manager:
        deployment = Deployment(console.layout, Store(console.layout), manager)

        def remove(name: str) -> None:
            nonlocal freed
            # What is on a device or a server stays there.
            is_directory = not find(console.layout, name).units
            size = _size(f"{console.layout.volumes}/{name}") if is_directory else 0
            deployment.remove_volume(name)
            freed += size
            console.line(name)

        status = listing.each([one["name"] for one in going], console, remove)
    for one in unused:
        if one not in going:
            console.note(f"{one['name']}: kept; it is defined in {one['source']}")
    console.note(f"freed: {human(freed)}")
    return status


def _is_defined(source: str, layout: Layout) -> bool:
    """Whether *source* is a definition that is still there."""
    return source.startswith("/") and os.path.lexists(layout.root + source)


def _size(directory: str) -> int:
    from supervisor.cli.volume_archive import size

    return size(directory) if os.path.isdir(directory) else 0


def _agreed(names: list[str], console: Console) -> bool:
    """Ask; raises `UserError` where there is nobody to ask."""
    if not console.stdin.isatty():
        raise UserError(f"volume prune: would remove {', '.join(names)} with their content; use --force to do so")
    for name in names:
        console.note(name)
    console.stderr.write("Remove these volumes with their content? [y/N] ")
    console.stderr.flush()
    return console.stdin.readline().strip().lower() in ("y", "yes")


# content


def _export(args: argparse.Namespace, console: Console) -> int:
    from supervisor.cli.volume_archive import export

    record = find(console.layout, args.name)
    if args.output is None and sys.stdout.isatty():
        raise UserError("standard output: is a terminal; give -o FILE, or pipe the archive on")
    directory = _mounted(record, console.layout)
    if not os.path.isdir(directory):
        raise UserError(f"volume {args.name}: was never used, so there is nothing in it")
    if args.output is None:
        export(directory, sys.stdout.buffer)
        return 0
    # Whoever may not read the volume may not read its archive.
    with open(os.open(args.output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        export(directory, file)
    return 0


def _import(args: argparse.Namespace, console: Console) -> int:
    from supervisor.cli.volume_archive import filling, unpack

    record = find(console.layout, args.name)
    if args.path == "-" and sys.stdin.isatty():
        raise UserError("standard input: is a terminal; give a FILE, or pipe an archive in")
    directory = _mounted(record, console.layout)
    # Below a directory that only root may enter, as the launcher makes them.
    os.makedirs(console.layout.volumes, 0o700, exist_ok=True)
    os.makedirs(directory, 0o755, exist_ok=True)
    marker = f"{console.layout.volume_records}/{args.name}.copying"
    with nullcontext(sys.stdin.buffer) if args.path == "-" else open(args.path, "rb") as file, filling(marker):
        unpack(file, directory)
    return 0


def _mounted(record: VolumeRecord, layout: Layout) -> str:
    """The volume's directory, with its file system on it. Raises `HostError`."""
    for path in record.units:
        unit = os.path.basename(path)
        with Manager.open() as manager:
            if (result := manager.start(unit)) not in ("done", "skipped"):
                raise HostError(f"{unit}: its start job ended as '{result}'; see 'systemctl status {unit}'")
    return f"{layout.volumes}/{record.volume.name}"


_ACTIONS: dict[str, Callable[[argparse.Namespace, Console], int]] = {
    "create": _create,
    "ls": _list,
    "inspect": _inspect,
    "rm": _remove,
    "prune": _prune,
    "export": _export,
    "import": _import,
}
