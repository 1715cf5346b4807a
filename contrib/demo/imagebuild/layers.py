"""Files of Debian packages into layers: sorted, with one time stamp, owned by root, in the merged /usr layout.

Nothing is unpacked onto the machine: tar streams are read, filtered and written again, so this needs no root.
"""

from __future__ import annotations

import fnmatch
import gzip
import hashlib
import io
import stat
import subprocess
import tarfile
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from .recipes import UNUSED_PATHS, Recipe, User

#: Time of every file and image, seconds since the epoch (2025-01-01), so that a build is reproducible.
TIMESTAMP = 1735689600

_TOP_OF_USR = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")


@dataclass(frozen=True, slots=True)
class Node:
    """One file of a layer. *data* is its content, or a symbolic link's target."""

    type: bytes
    mode: int
    data: bytes = b""
    owner: int = 0


@dataclass(frozen=True, slots=True)
class Layer:
    """A compressed layer: the gzip *blob*, its *digest*, and the *diff_id* of the tar in it (both ``sha256:HEX``)."""

    blob: bytes
    digest: str
    diff_id: str


def package_layer(recipe: Recipe, packages: Sequence[Path], overlay: Path) -> Layer:
    """The layer of *recipe*: its *packages*, then the files below *overlay*, then users, directories and links."""
    nodes: dict[str, Node] = {}
    for package in packages:
        nodes.update(_package_nodes(package, (*UNUSED_PATHS, *recipe.exclude)))
    if overlay.is_dir():
        nodes.update(_overlay_nodes(overlay))
    nodes.update(_user_nodes(recipe.users))
    for directory in recipe.directories:
        nodes[directory.path] = Node(tarfile.DIRTYPE, directory.mode, owner=directory.owner)
    for path, target in recipe.links:
        nodes[path] = _link(target)
    if recipe.programs:
        nodes.update(
            {f"usr/bin/{Path(path).name}": _link(f"/{path}") for path in fnmatch.filter(nodes, recipe.programs)}
        )
    if recipe.applets:
        nodes.update(_applet_nodes(nodes["usr/bin/busybox"].data))
    return pack(nodes)


def pack(nodes: dict[str, Node]) -> Layer:
    """Write *nodes* (path without a leading slash -> node) as a layer; missing parent directories are added."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for path, node in sorted(_with_parents(nodes).items()):
            info = tarfile.TarInfo(path)
            info.type, info.mode, info.mtime = node.type, node.mode, TIMESTAMP
            info.uid = info.gid = node.owner
            if node.type == tarfile.SYMTYPE:
                info.linkname = node.data.decode()
                tar.addfile(info)
            else:
                info.size = len(node.data)
                tar.addfile(info, io.BytesIO(node.data))
    raw = stream.getvalue()
    blob = gzip.compress(raw, compresslevel=6, mtime=0)
    return Layer(blob, digest(blob), digest(raw))


def digest(data: bytes) -> str:
    """``sha256:HEX`` of *data*, as the OCI image specification writes digests."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def merged_path(name: str) -> str:
    """The path of a package's file without ``./``, with /bin, /lib and their like below /usr."""
    path = name.removeprefix("./").strip("/")
    return f"usr/{path}" if path.split("/", 1)[0] in _TOP_OF_USR else path


def is_left_out(path: str, excluded: Iterable[str]) -> bool:
    """Whether *path* begins with one of *excluded* (in which ``*`` stands for anything)."""
    if path.startswith("usr/share/doc/"):
        return not path.endswith("/copyright")
    return any(fnmatch.fnmatchcase(path, f"{prefix}*") for prefix in excluded)


def _package_nodes(package: Path, excluded: Sequence[str]) -> dict[str, Node]:
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", str(package)], stdout=subprocess.PIPE) as dpkg:
        stream = io.BytesIO(dpkg.stdout.read() if dpkg.stdout else b"")
    if dpkg.returncode != 0:
        raise OSError(f"{package.name}: dpkg-deb cannot read it; delete it and build again")
    nodes: dict[str, Node] = {}
    with tarfile.open(fileobj=stream) as tar:
        for member in tar:
            path = merged_path(member.name)
            # base-files brings the links /bin -> usr/bin and so on; the recipe makes them.
            is_top_link = member.issym() and path.removeprefix("usr/") in _TOP_OF_USR
            if path and not member.isdir() and not is_top_link and not is_left_out(path, excluded):
                nodes[path] = _node(tar, member)
    return nodes


def _node(tar: tarfile.TarFile, member: tarfile.TarInfo) -> Node:
    if member.issym():
        return _link(member.linkname)
    content = tar.extractfile(member)  # follows a hard link to its content
    if content is None:
        raise OSError(f"{member.name}: not a file, link or directory")
    return Node(tarfile.REGTYPE, member.mode, content.read())


def _overlay_nodes(overlay: Path) -> dict[str, Node]:
    """Files below *overlay*; executable or not is the checkout's, the rest of the mode is not."""
    return {
        str(file.relative_to(overlay)): Node(
            tarfile.REGTYPE, 0o755 if file.stat().st_mode & stat.S_IXUSR else 0o644, file.read_bytes()
        )
        for file in sorted(overlay.rglob("*"))
        if file.is_file()
    }


def _user_nodes(users: Sequence[User]) -> dict[str, Node]:
    passwd = "".join(f"{u.name}:x:{u.number}:{u.number}:{u.name}:{u.home}:{u.shell}\n" for u in users)
    group = "".join(f"{'nogroup' if u.name == 'nobody' else u.name}:x:{u.number}:\n" for u in users)
    return {
        "etc/passwd": Node(tarfile.REGTYPE, 0o644, passwd.encode()),
        "etc/group": Node(tarfile.REGTYPE, 0o644, group.encode()),
    }


def _applet_nodes(busybox: bytes) -> dict[str, Node]:
    """A link for each applet; the program itself is asked which it has."""
    with tempfile.TemporaryDirectory() as directory:
        program = Path(directory, "busybox")
        program.write_bytes(busybox)
        program.chmod(0o755)
        listing = subprocess.run([str(program), "--list"], capture_output=True, text=True, check=True).stdout
    return {f"usr/bin/{applet}": _link("busybox") for applet in listing.split() if applet != "busybox"}


def _link(target: str) -> Node:
    return Node(tarfile.SYMTYPE, 0o777, target.encode())


def _with_parents(nodes: dict[str, Node]) -> dict[str, Node]:
    parents = {str(parent) for path in nodes for parent in Path(path).parents if str(parent) != "."}
    return {path: Node(tarfile.DIRTYPE, 0o755) for path in parents} | nodes
