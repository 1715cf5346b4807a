"""Images made by a test from members in memory, and a registry on the loopback to pull them from.

Owns how a layer, an OCI layout and a registry come to be; makes no claims itself. Nothing here uses ctr's own code,
except that `tree` mounts layers the way the launcher does.
"""

from __future__ import annotations

import ctypes
import gzip
import hashlib
import io
import json
import os
import shutil
import socket
import tarfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hostkit import STATE, run, systemctl, wait_until

STORE = STATE / "images"
USER = "somebody"
MEDIA = "application/vnd.oci.image"
ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine)


@dataclass(frozen=True)
class Member:
    """One member of a layer's tar; *type* is a tarfile constant."""

    name: str
    data: bytes = b""
    type: bytes = tarfile.REGTYPE
    link: str = ""
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    mtime: float = 1_600_000_000
    device: tuple[int, int] = (0, 0)
    pax: Mapping[str, str] = field(default_factory=dict)


def file(name: str, data: bytes = b"", **options: object) -> Member:
    return Member(name, data, **options)  # type: ignore[arg-type]


def directory(name: str, mode: int = 0o755, **options: object) -> Member:
    return Member(name, type=tarfile.DIRTYPE, mode=mode, **options)  # type: ignore[arg-type]


def symlink(name: str, target: str) -> Member:
    return Member(name, type=tarfile.SYMTYPE, link=target, mode=0o777)


def hardlink(name: str, target: str) -> Member:
    return Member(name, type=tarfile.LNKTYPE, link=target)


def device(name: str, major: int, minor: int) -> Member:
    return Member(name, type=tarfile.CHRTYPE, device=(major, minor), mode=0o600)


def layer(*members: Member) -> bytes:
    """The plain tar of *members*, names as they are."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for member in members:
            info = tarfile.TarInfo(member.name)
            info.type, info.linkname, info.mode = member.type, member.link, member.mode
            info.uid, info.gid, info.mtime = member.uid, member.gid, member.mtime
            info.devmajor, info.devminor = member.device
            info.pax_headers = dict(member.pax)
            info.size = len(member.data)
            archive.addfile(info, io.BytesIO(member.data))
    return out.getvalue()


def digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def layout(
    path: Path,
    *layers: bytes,
    name: str = "",
    compress: Callable[[bytes], bytes] = lambda data: gzip.compress(data, 1),
    architecture: str = ARCHITECTURE,
    diff_ids: Iterable[str] = (),
    config: Mapping[str, object] | None = None,
) -> Path:
    """Write an OCI layout with one image; *diff_ids* are claimed instead of the true ones."""
    blobs = path / "blobs/sha256"
    blobs.mkdir(parents=True)

    def blob(data: bytes, media_type: str) -> dict[str, object]:
        (blobs / digest(data).removeprefix("sha256:")).write_bytes(data)
        return {"mediaType": media_type, "digest": digest(data), "size": len(data)}

    rootfs = {"type": "layers", "diff_ids": list(diff_ids) or [digest(data) for data in layers]}
    settings = {"architecture": architecture, "os": "linux", "config": config or {}, "rootfs": rootfs}
    described = blob(json.dumps(settings).encode(), f"{MEDIA}.config.v1+json")
    stored = [blob(compress(data), f"{MEDIA}.layer.v1.tar+gzip") for data in layers]
    manifest = {"schemaVersion": 2, "mediaType": f"{MEDIA}.manifest.v1+json", "config": described, "layers": stored}
    entry = blob(json.dumps(manifest).encode(), f"{MEDIA}.manifest.v1+json")
    if name:
        entry["annotations"] = {"org.opencontainers.image.ref.name": name}
    (path / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))
    (path / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    return path


@dataclass(frozen=True)
class Registry:
    """A registry on the loopback, plain HTTP or with a certificate; with *password* it lets only `USER` in."""

    address: str
    password: str = ""
    authority: str = ""
    """Text of the certificate that signed its own; empty: plain HTTP."""

    def push(self, source: Path, name: str) -> str:
        """Push the one image of an OCI layout as *name*; the reference to pull."""
        reference = f"{self.address}/{name}"
        login = (f"--dest-creds={USER}:{self.password}",) if self.password else ()
        copy = ("skopeo", "--insecure-policy", "copy", "--dest-tls-verify=false", *login)
        run(*copy, f"oci:{source}", f"docker://{reference}")
        return reference


@contextmanager
def registry(directory: Path, password: str = "", *, tls: bool = False) -> Iterator[Registry]:
    """A registry that keeps its blobs in *directory*, for as long as the context lasts."""
    with socket.create_server(("127.0.0.1", 0)) as chooser:
        port = chooser.getsockname()[1]
    http: dict[str, object] = {"addr": f"127.0.0.1:{port}"}
    if tls:
        http["tls"] = {"certificate": str(_certificate(directory)), "key": str(directory / "key.pem")}
    settings: dict[str, object] = {
        "version": "0.1",
        "log": {"level": "error", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(directory / "blobs")}},
        "http": http,
    }
    if password:
        (directory / "htpasswd").write_text(f"{USER}:{_bcrypt(password)}\n")
        settings["auth"] = {"htpasswd": {"realm": "test", "path": str(directory / "htpasswd")}}
    (directory / "registry.yml").write_text(json.dumps(settings))
    unit = f"image-test-registry-{port}.service"
    run("systemd-run", "--quiet", f"--unit={unit}", "docker-registry", "serve", directory / "registry.yml")
    try:
        wait_until(lambda: _answers(port), what="the registry answers")
        authority = (directory / "certificate.pem").read_text() if tls else ""
        yield Registry(f"127.0.0.1:{port}", password, authority)
    finally:
        systemctl("stop", unit)


def _certificate(directory: Path) -> Path:
    """One that vouches for itself, as its own authority."""
    certificate = directory / "certificate.pem"
    subject = ("-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1")
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", directory / "key.pem")
    run("openssl", "req", "-x509", *key, *subject, "-days", "2", "-out", certificate)
    return certificate


def _bcrypt(password: str) -> str:
    """By libxcrypt; it is the only hash the registry takes."""
    crypt = ctypes.CDLL("libcrypt.so.1").crypt
    crypt.restype = ctypes.c_char_p
    return str(crypt(password.encode(), b"$2b$04$" + b"saltsaltsaltsaltsaltsu").decode())


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        return True
    except OSError:
        return False


def inspect(reference: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run("ctrctl", "image", "inspect", reference).stdout)[0]
    return found


_TREE = """
import hashlib, json, os, stat, sys
sys.path.insert(0, "/usr/lib/ctr")
from supervisor.images import mounts
from supervisor.images.store import Store
from supervisor.paths import Layout
mounts.isolate()
store = Store(Layout())
found = {}
with mounts.mounted(store.layers(store.find(sys.argv[1])), sys.argv[2]) as root:
    for directory, names, files in os.walk(root):
        for name in [".", *names, *files]:
            path = os.path.normpath(os.path.join(directory, name))
            status = os.lstat(path)
            if stat.S_ISREG(status.st_mode):
                with open(path, "rb") as file:
                    content = hashlib.sha256(file.read()).hexdigest()
            else:
                content = os.readlink(path) if stat.S_ISLNK(status.st_mode) else str(status.st_rdev)
            attributes = {n: os.getxattr(path, n, follow_symlinks=False).hex()
                          for n in os.listxattr(path, follow_symlinks=False) if not n.startswith("trusted.overlay.")}
            found[os.path.relpath(path, root)] = [oct(status.st_mode), status.st_uid, status.st_gid, status.st_size
                if stat.S_ISREG(status.st_mode) else 0, int(status.st_mtime), status.st_nlink
                if stat.S_ISREG(status.st_mode) else 0, content, attributes]
print(json.dumps(found))
"""


def tree(reference: str, scratch: Path) -> dict[str, list[object]]:
    """What a container would see: path to [mode, uid, gid, size, mtime, links, content, attributes]."""
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    found: dict[str, list[object]] = json.loads(run("python3", "-c", _TREE, reference, scratch).stdout)
    shutil.rmtree(scratch)
    return found


def stored_layers() -> frozenset[str]:
    """Diff IDs of the layers on disk, as hexadecimal names."""
    return frozenset(p.name for p in (STORE / "layers").glob("*"))


def leftovers() -> tuple[str, ...]:
    """What lies in the store's work directory."""
    return tuple(sorted(p.name for p in (STORE / "tmp").glob("*")))
