"""``ctrctl pull``, ``images`` and ``image``: words and tables over the image store.

What changes image content goes through the worker unit (`supervisor.images.request`); names and removals are done here,
in the store. Owns the columns and the JSON form of an image.
"""

from __future__ import annotations

import os
import sys
import time
from datetime import datetime

from supervisor.cli.console import printable
from supervisor.errors import CtrError, UserError
from supervisor.images.reference import Transport, parse, parse_source
from supervisor.images.store import Store

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from supervisor.cli.console import Console
    from supervisor.images.request import PullOptions
    from supervisor.spec.image import Image

EXAMPLES = {
    "pull": (
        "ctrctl pull nginx                                    docker.io/library/nginx:latest",
        "ctrctl pull --tls-verify=false 127.0.0.1:5000/web    from a registry that speaks plain HTTP",
        "ctrctl pull oci:/srv/images/web                      from an OCI layout on disk",
    ),
    "images": ("ctrctl images                    what is here", "ctrctl images --format json      for programs"),
    "image": (
        "docker save web | ctrctl image load                     take over an image",
        "ctrctl image import -c 'CMD [\"/bin/sh\"]' root.tar.xz localhost/root",
        "ctrctl image tag nginx localhost/web:1                  one more name",
        "ctrctl image rm localhost/web:1                         take a name away, and the image with its last name",
    ),
}

_HEADERS = ("REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE")


def configure(verb: str, parser: argparse.ArgumentParser) -> None:
    """Options of the three verbs."""
    if verb == "pull":
        _configure_pull(parser)
    elif verb == "images":
        _configure_list(parser)
    else:
        actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
        _configure_list(actions.add_parser("ls", help="list images"))
        remove = actions.add_parser("rm", help="remove names, and images with their last name")
        remove.add_argument("image", nargs="+", metavar="IMAGE")
        remove.add_argument("-f", "--force", action="store_true", help="all names; also those of an image in use")
        inspect = actions.add_parser("inspect", help="show everything known about an image, as JSON")
        inspect.add_argument("image", nargs="+", metavar="IMAGE")
        load = actions.add_parser("load", help="take over the images of a docker or OCI archive, or of an OCI layout")
        load.add_argument("path", nargs="?", default="-", metavar="PATH", help="archive or directory; '-' is stdin")
        load.add_argument("-i", "--input", metavar="PATH", help="the same, as docker load has it")
        load.add_argument("--name", action="append", default=[], metavar="REF", help="name to give, not the archive's")
        _configure_import(actions.add_parser("import", help="make an image of a tar of a root file system"))
        tag = actions.add_parser("tag", help="give an image one more name")
        tag.add_argument("image", metavar="IMAGE")
        tag.add_argument("name", metavar="NAME")
        _configure_pull(actions.add_parser("pull", help="fetch an image"))


def _configure_pull(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "reference",
        nargs="+",
        metavar="REF",
        help="docker://REF, or oci:, oci-archive:, docker-archive:, dir: and PATH",
    )
    parser.add_argument("-q", "--quiet", action="store_true", help="print the image id only")
    parser.add_argument(
        "--tls-verify",
        choices=("true", "false"),
        default="true",
        help="false: allow plain HTTP",
    )
    parser.add_argument("--authfile", default="", metavar="PATH", help="credentials, see containers-auth.json(5)")
    parser.add_argument("--arch", default="", metavar="GOARCH", help="for another architecture than this host's")


def _configure_list(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("image", nargs="?", metavar="IMAGE", help="this one only")
    parser.add_argument("-q", "--quiet", action="store_true", help="print ids only")
    parser.add_argument("--no-trunc", action="store_true", help="print ids in full")
    parser.add_argument("--format", choices=("table", "json"), default="table", help="what to print (default: table)")


def _configure_import(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("path", metavar="PATH", help="tar, plain or compressed (gz, zst, xz, bz2); '-' is stdin")
    parser.add_argument("name", nargs="?", metavar="NAME", help="name for the image")
    parser.add_argument(
        "-c",
        "--change",
        action="append",
        default=[],
        metavar="LINE",
        help="CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, STOPSIGNAL, USER, VOLUME or WORKDIR as in a Dockerfile",
    )


def run(verb: str, args: argparse.Namespace, console: Console) -> int:
    """0, or 125 when one of several images to remove or inspect could not be."""
    action = {"pull": "pull", "images": "ls"}.get(verb) or args.action
    if action not in ("ls", "inspect"):
        console.need_root(f"image {action}")
    return _ACTIONS[action](args, console)


def _pull(args: argparse.Namespace, console: Console) -> int:
    from supervisor.images.request import request_pull
    from supervisor.systemd.manager import Manager

    sources = [parse_source(text, os.getcwd()) for text in args.reference]
    authfile = args.authfile or console.environ.get("REGISTRY_AUTH_FILE", "")
    options = _options(
        console, tls_verify=args.tls_verify == "true", authfile=authfile and os.path.abspath(authfile), arch=args.arch
    )
    with Manager.open() as manager:
        for source in sources:
            prefix = "docker://" if source.transport is Transport.DOCKER else ""
            show = (lambda _: None) if args.quiet else console.note
            image = request_pull(f"{prefix}{source}", manager, console.layout, options, show)
            console.line(image.id)
    return 0


def _load(args: argparse.Namespace, console: Console) -> int:
    from supervisor.images.request import request_load
    from supervisor.systemd.manager import Manager

    options = _options(console, names=tuple(args.name))
    with Manager.open() as manager, _input(args.input or args.path, console) as path:
        for image in request_load(path, manager, console.layout, options, console.note):
            for name in image.names or (image.id,):
                console.line(name)
    return 0


def _import(args: argparse.Namespace, console: Console) -> int:
    from supervisor.images.request import request_import
    from supervisor.systemd.manager import Manager

    options = _options(console, names=(args.name,) if args.name else ())
    with Manager.open() as manager, _input(args.path, console) as path:
        image = request_import(path, tuple(args.change), manager, console.layout, options, console.note)
    console.line(image.id)
    return 0


def _options(
    console: Console, *, tls_verify: bool = True, authfile: str = "", arch: str = "", names: tuple[str, ...] = ()
) -> PullOptions:
    from supervisor.images.request import PullOptions
    from supervisor.spec.sourcing import Fetch

    for name in names:
        parse(name)
    fetch = Fetch(tls_verify=tls_verify, auth_file=authfile, architecture=arch, retries=0)
    return PullOptions(fetch, names, console.environ.get("CTR_LAYER_KIND", ""))


def _input(path: str, console: Console) -> AbstractContextManager[str]:
    """The file to read as an absolute path; standard input is spooled into one."""
    from contextlib import nullcontext

    from supervisor.images.request import spooled

    if path != "-":
        return nullcontext(os.path.abspath(path))
    if sys.stdin.isatty():
        raise UserError("standard input: is a terminal; give a PATH, or pipe an archive in")
    return spooled(sys.stdin.buffer, console.layout)


def _list(args: argparse.Namespace, console: Console) -> int:
    store = Store(console.layout)
    images = (store.find(args.image),) if args.image else store.list()
    if args.quiet:
        for image in images:
            console.line(_id(image, args.no_trunc))
    elif args.format == "json":
        console.json([document(image) for image in images])
    else:
        now = time.time()
        console.table(_HEADERS, (row for image in images for row in rows(image, now, full=args.no_trunc)))
    return 0


def _remove(args: argparse.Namespace, console: Console) -> int:
    def remove(text: str) -> None:
        removal = Store(console.layout).remove(text, lambda image: users(console, image), args.force)
        for name in removal.names:
            console.line(f"Untagged: {name}")
        if removal.image:
            console.line(f"Deleted: {removal.image}")

    return _each(args.image, console, remove)


def _inspect(args: argparse.Namespace, console: Console) -> int:
    store = Store(console.layout)
    found: list[object] = []
    status = _each(args.image, console, lambda text: found.append(details(store, store.find(text))))
    console.json(found)
    return status


def _tag(args: argparse.Namespace, console: Console) -> int:
    Store(console.layout).tag(args.image, args.name)
    return 0


def _each(texts: list[str], console: Console, action: Callable[[str], None]) -> int:
    status = 0
    for text in texts:
        try:
            action(text)
        except CtrError as error:
            console.error(printable(str(error)))
            status = 125
    return status


_ACTIONS = {
    "pull": _pull,
    "load": _load,
    "import": _import,
    "ls": _list,
    "rm": _remove,
    "inspect": _inspect,
    "tag": _tag,
}


def users(console: Console, image_id: str) -> tuple[str, ...]:
    """Deployed containers that run from the image *image_id*, or mount it."""
    import json

    names = []
    root = console.layout.containers
    for name in sorted(os.listdir(root)) if os.path.isdir(root) else ():
        try:
            with open(f"{root}/{name}/deployed.json", encoding="utf-8") as file:
                deployed = json.load(file)
        except (OSError, ValueError):
            continue
        if isinstance(deployed, dict) and image_id in (deployed.get("image"), *deployed.get("mounted_images", ())):
            names.append(name)
    return tuple(names)


def rows(image: Image, now: float, *, full: bool) -> Iterator[tuple[str, ...]]:
    """One table row per name, or one without."""
    rest = (_id(image, full), age(image.created, now), size(image.size))
    for name in image.names:
        reference = parse(name)
        yield (reference.repository, reference.tag or "<none>", *rest)
    if not image.names:
        yield ("<none>", "<none>", *rest)


def document(image: Image) -> dict[str, object]:
    """One image in ``--format json``; sizes in bytes."""
    return {
        "id": image.id,
        "digest": image.digest,
        "names": list(image.names),
        "created": image.created,
        "size": image.size,
        "architecture": image.architecture,
        "os": image.os,
    }


def details(store: Store, image: Image) -> dict[str, object]:
    """One image for ``image inspect``."""
    config = image.config
    return {
        **document(image),
        "config": {
            "user": config.user,
            "environment": dict(config.environment),
            "entrypoint": list(config.entrypoint),
            "command": list(config.command),
            "working_dir": config.working_dir,
            "volumes": list(config.volumes),
            "exposed_ports": list(config.exposed_ports),
            "labels": dict(config.labels),
            "stop_signal": config.stop_signal,
        },
        "layers": [
            {"diff_id": diff_id, "kind": layer.kind, "path": layer.path}
            for diff_id in image.layers
            for layer in (store.layer(diff_id),)
        ],
    }


def size(count: int) -> str:
    """*count* bytes as docker writes it: three digits, decimal units."""
    number = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if number < 1000:
            return f"{number:.3g}{unit}"
        number /= 1000
    return f"{number:.3g}TB"


_UNITS = (
    (365 * 86400, "years"),
    (30 * 86400, "months"),
    (7 * 86400, "weeks"),
    (86400, "days"),
    (3600, "hours"),
    (60, "minutes"),
    (1, "seconds"),
)


def age(created: str, now: float) -> str:
    """RFC 3339 *created* as '3 weeks ago', seen from *now* (seconds since the epoch); '' when it is no time."""
    try:
        seconds = now - datetime.fromisoformat(created).timestamp()
    except ValueError:
        return ""
    for length, unit in _UNITS:
        if seconds >= 2 * length:
            return f"{int(seconds // length)} {unit} ago"
    return "just now"


def _id(image: Image, full: bool) -> str:
    return image.id if full else image.id.removeprefix("sha256:")[:12]
