"""``ctrctl secret``: make, list, show and remove credentials of the host (systemd-creds(1)), which containers name as
secrets.

Owns /etc/credstore.encrypted/NAME as far as it made it. Encrypting is systemd's: a value goes through a pipe to
systemd-creds, never into an argument or, unencrypted, a file. No verb here prints one.
"""

from __future__ import annotations

import os
import time

from supervisor.cli import listing
from supervisor.cli.console import printable
from supervisor.errors import ConflictError, HostError, NotFoundError, UserError
from supervisor.names import check_name, is_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import Any

    from supervisor.cli.console import Console
    from supervisor.paths import Layout

EXAMPLES = {
    "secret": (
        "ctrctl secret create db-password -             asks for the value",
        "ctrctl secret create tls-key /root/web.key     from a file, which may then be removed",
        "openssl rand -hex 32 | ctrctl secret create --replace token -",
        "ctrctl run --secret db-password postgres       the container reads /run/secrets/db-password",
    )
}

#: Where `create` writes; one of `supervisor.render.secrets.STORES`.
STORE = "/etc/credstore.encrypted"

#: systemd refuses to load more for one unit (CREDENTIALS_TOTAL_SIZE_MAX).
_LARGEST = 1024 * 1024
_PR_SET_DUMPABLE = 4


def configure(verb: str, parser: argparse.ArgumentParser) -> None:
    """One sub-command each."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    create = actions.add_parser("create", help="encrypt a value and keep it")
    create.add_argument("name", metavar="NAME", help="what containers will call it")
    create.add_argument("file", metavar="FILE", help="the value; '-' is stdin, which asks at a terminal")
    create.add_argument("-r", "--replace", action="store_true", help="even if there is one of that name")
    listing.configure(actions.add_parser("ls", help="list secrets"))
    inspect = actions.add_parser("inspect", help="show everything known about a secret but its value, as JSON")
    inspect.add_argument("name", nargs="+", metavar="NAME")
    remove = actions.add_parser("rm", help="remove secrets")
    remove.add_argument("name", nargs="+", metavar="NAME")
    remove.add_argument("-f", "--force", action="store_true", help="also one that a container uses")


def run(verb: str, args: argparse.Namespace, console: Console) -> int:
    """0, or 125 when one of several secrets to remove or inspect could not be."""
    console.need_root(f"secret {args.action}")
    return _ACTIONS[args.action](args, console)


def _create(args: argparse.Namespace, console: Console) -> int:
    layout = console.layout
    name = check_name(args.name, "secret name")
    path = f"{layout.root}{STORE}/{name}"
    held = _held(name, layout)
    if held and (held["path"] != f"{STORE}/{name}" or not args.replace):
        advice = "use --replace" if held["path"] == f"{STORE}/{name}" else f"remove {held['path']} first"
        raise ConflictError(f"secret '{name}': exists; {advice}")
    _undumpable()
    value = _value(args.file, name, console)
    if not 0 < len(value) <= _LARGEST:
        raise UserError(f"secret '{name}': has {len(value)} bytes; give it 1 to {_LARGEST}")
    # systemd-tmpfiles makes it like this too.
    os.makedirs(os.path.dirname(path), 0o700, exist_ok=True)
    draft = f"{os.path.dirname(path)}/.{name}.{os.getpid()}"
    try:
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
            _encrypt(name, value, file.fileno())
            os.fsync(file.fileno())
        os.rename(draft, path)
    except BaseException:
        if os.path.lexists(draft):
            os.unlink(draft)
        raise
    console.line(name)
    if users := _users(layout).get(name):
        console.note(f"{', '.join(users)}: will see the new value when started again")
    return 0


def _undumpable() -> None:
    """From here on this process leaves no core dump (prctl(2))."""
    import ctypes

    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def _value(path: str, name: str, console: Console) -> bytes:
    """The content of *path*, one byte more than is allowed at most. Raises `UserError`."""
    if path == "-" and console.stdin.isatty():
        from getpass import getpass

        value = getpass(f"Value of {name}: ", console.stderr)
        if getpass("Once more: ", console.stderr) != value:
            raise UserError(f"secret '{name}': the two values differ; try again")
        return value.encode(errors="surrogateescape")
    if path == "-":
        return console.stdin.buffer.read(_LARGEST + 1)
    try:
        with open(path, "rb") as file:
            return file.read(_LARGEST + 1)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; give a file, or '-' for stdin") from error


def _encrypt(name: str, value: bytes, output: int) -> None:
    """Write *value*, encrypted for this host, to the descriptor *output*. Raises `HostError` with systemd's words."""
    import subprocess

    command = ("systemd-creds", "encrypt", f"--name={name}", "-", "-")
    try:
        done = subprocess.run(command, input=value, stdout=output, stderr=subprocess.PIPE, check=False)
    except FileNotFoundError as error:
        raise HostError("systemd-creds: not installed; it comes with systemd 250 and later") from error
    if done.returncode:
        words = printable(done.stderr.decode(errors="replace").strip().rpartition("\n")[2])
        raise HostError(
            f"secret '{name}': systemd-creds: {words or f'exit status {done.returncode}'}; "
            f"'systemd-creds setup' makes the host's key"
        )


def _list(args: argparse.Namespace, console: Console) -> int:
    found = secrets(console.layout)
    from supervisor.cli.image import age

    now = time.time()

    def row(secret: listing.Document) -> tuple[listing.Cell, ...]:
        encrypted = "yes" if secret["encrypted"] else ("yellow", "no")
        return secret["name"], encrypted, age(secret["modified"], now), ", ".join(secret["used_by"])

    listing.show(found, args, console, ("NAME", "ENCRYPTED", "MODIFIED", "USED BY"), row)
    return 0


def _inspect(args: argparse.Namespace, console: Console) -> int:
    found = []

    def inspect(name: str) -> None:
        found.append(_need(name, console.layout))

    status = listing.each(args.name, console, inspect)
    console.json(found)
    return status


def _remove(args: argparse.Namespace, console: Console) -> int:
    def remove(name: str) -> None:
        secret = _need(name, console.layout)
        if secret["path"].startswith("/usr/"):
            raise ConflictError(f"secret '{name}': {secret['path']} belongs to a package; remove that")
        if secret["used_by"] and not args.force:
            users = ", ".join(secret["used_by"])
            raise ConflictError(f"secret '{name}': used by {users}; remove it there first, or use --force")
        os.unlink(console.layout.root + secret["path"])
        console.line(name)

    return listing.each(args.name, console, remove)


_ACTIONS = {"create": _create, "ls": _list, "inspect": _inspect, "rm": _remove}


def secrets(layout: Layout) -> list[dict[str, Any]]:
    """Every credential of the host that a container could name, by name: the document of ``inspect``."""
    from supervisor.render.secrets import STORES

    users = _users(layout)
    found: dict[str, dict[str, Any]] = {}
    for store, encrypted in STORES:
        for name in _names(f"{layout.root}{store}"):
            found.setdefault(name, _document(layout, name, f"{store}/{name}", encrypted, users))
    return [found[name] for name in sorted(found)]


def _names(directory: str) -> list[str]:
    try:
        return [name for name in os.listdir(directory) if is_name(name) and os.path.isfile(f"{directory}/{name}")]
    except FileNotFoundError:
        return []


def _need(name: str, layout: Layout) -> dict[str, Any]:
    held = _held(name, layout)
    if not held:
        raise NotFoundError(f"secret '{name}': does not exist; 'ctrctl secret ls' lists those that do")
    return held


def _held(name: str, layout: Layout) -> dict[str, Any] | None:
    """The secret *name* as deploy would find it."""
    from supervisor.deploy.host import credential

    found = credential(layout, name)
    return _document(layout, name, *found, _users(layout)) if found else None


def _document(
    layout: Layout, name: str, path: str, encrypted: bool, users: dict[str, tuple[str, ...]]
) -> dict[str, Any]:
    from supervisor.cli.ps import rfc3339

    return {
        "name": name,
        "path": path,
        "encrypted": encrypted,
        "modified": rfc3339(os.stat(layout.root + path).st_mtime),
        "used_by": list(users.get(name, ())),
    }


def _users(layout: Layout) -> dict[str, tuple[str, ...]]:
    """Secret to the deployed containers that name it."""
    from supervisor.deploy import state

    users: dict[str, tuple[str, ...]] = {}
    for container in state.names(layout):
        try:
            spec = state.read(layout, container).container
        except UserError:
            continue  # removed meanwhile, or damaged: `ctrctl ps` tells
        for name in dict.fromkeys(secret.name for secret in spec.secrets):
            users[name] = (*users.get(name, ()), container)
    return users
