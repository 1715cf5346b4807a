"""One layer, from the plain bytes of its tar to a directory that can be moved into the store.

The bytes are hashed on the way, and checked against the diff ID before the layer becomes part of the store. It is made
ready in one of two kinds:

- erofs: the plain tar, and beside it an index that ``mkfs.erofs --tar=i --aufs`` writes; the kernel mounts the pair.
  Nothing is extracted. Needs erofs-utils 1.7 and a kernel that mounts files (6.12).
- directory: unpacked by `unpack`, which runs as a child with its root changed to the target.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import io
import os
import shutil
import stat
import subprocess
import sys
import tarfile
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import IO

from supervisor.errors import CtrError, HostError, UserError
from supervisor.images import mounts, scan
from supervisor.images.blobs import compare
from supervisor.images.compression import STEP
from supervisor.spec.image import Layer

#: With a thread's number added: a user that no account has ("unused" in systemd's UIDS-GIDS.md), and no other thread.
_NOBODY = 0x7000_0000

#: Two blocks of zeros end a tar (tar(5)).
_END_MARK = 1024


class Kind(Enum):
    """How a layer lies in the store."""

    EROFS = "erofs"
    DIRECTORY = "directory"


@dataclass(frozen=True, slots=True)
class Ready:
    """A layer that is ready: *path* holds what the store's layer directory has to hold."""

    diff_id: str
    path: str
    size: int
    """Bytes of the plain tar."""


class Budget:
    """Bytes that one pull may put on the disk, shared by its threads: a compression bomb ends here."""

    #: Share of the file system that a pull leaves free, so that everything else on it goes on.
    RESERVE = 20

    def __init__(self, limit: int) -> None:
        self._left = self._limit = limit
        self._lock = threading.Lock()

    @classmethod
    def of(cls, path: str) -> Budget:
        """What the file system of *path* has free, less one part in `RESERVE` of its size."""
        status = os.statvfs(path)
        return cls(max(0, (status.f_bavail - status.f_blocks // cls.RESERVE) * status.f_frsize))

    def spend(self, size: int) -> None:
        """Raises `HostError` once more has been asked for than there is."""
        with self._lock:
            self._left -= size
            if self._left < 0:
                raise HostError(
                    f"needs more than the {self._limit // 1024**2} MiB that may be used of the image store's disk;"
                    " free some space, or remove images with 'ctrctl image rm'"
                )

    def cancel(self) -> None:
        """Nothing more may be spent: the pull has failed elsewhere."""
        with self._lock:
            self._left = -1


def receive(content: Iterable[bytes], expected: str, target: str, kind: Kind, budget: Budget) -> Ready:
    """Take in the layer whose plain tar is *content* and make it ready in *target*, a directory that is made here and
    stays on success only. *expected* is its diff ID, or '' when that is not known beforehand.

    Raises `UserError` when the content is not what was expected or is refused, `HostError` when the disk is full or
    a program fails; messages name the layer.
    """
    name = expected or "layer.tar"
    os.mkdir(target, 0o700)
    try:
        with _named(name):
            plain = _Plain(content, expected, budget)
            if kind is Kind.EROFS:
                ready = _receive_tar(plain, target)
                if not _index(target):
                    _unpack_file(target, name)
            else:
                ready = _receive_directory(plain, target, name)
            with open(f"{target}/size", "x", encoding="ascii") as file:
                file.write(f"{ready.size}\n")
            return ready
    except BaseException:
        shutil.rmtree(target, ignore_errors=True)
        raise


def choose_kind(environ: Mapping[str, str], cache: str, scratch: str) -> Kind:
    """The kind for this host: CTR_LAYER_KIND of *environ*, else what trying says, remembered in the file *cache*.

    *cache* belongs on a file system that is empty after boot. *scratch* is an empty directory on the store's file
    system, on which the answer depends, too: the kernel mounts no EROFS from a tmpfs, for one.
    """
    forced = environ.get("CTR_LAYER_KIND", "")
    if forced:
        try:
            return Kind(forced)
        except ValueError as error:
            raise UserError(f"CTR_LAYER_KIND: '{forced}' is not 'erofs' or 'directory'") from error
    place = f"{cache}-{os.stat(scratch).st_dev}"
    with contextlib.suppress(OSError, ValueError), open(place, encoding="ascii") as file:
        return Kind(file.read().strip())
    kind = Kind.EROFS if _erofs_works(scratch) else Kind.DIRECTORY
    with contextlib.suppress(OSError):
        os.makedirs(os.path.dirname(place), exist_ok=True)
        with open(f"{place}.{os.getpid()}", "w", encoding="ascii") as file:
            file.write(kind.value + "\n")
        os.rename(f"{place}.{os.getpid()}", place)
    return kind


def _erofs_works(scratch: str) -> bool:
    layer = f"{scratch}/layer"
    os.makedirs(layer)
    with tarfile.open(f"{layer}/layer.tar", "w") as archive:
        archive.addfile(tarfile.TarInfo("probe"), io.BytesIO())
    try:
        _make_index(layer)
    except CtrError:
        return False
    point = f"{scratch}/mount"
    os.mkdir(point)
    return mounts.can_mount(Layer("erofs", f"{layer}/index.erofs", f"{layer}/layer.tar"), point)


# receiving


class _Plain:
    """Plain bytes on their way to a file or a child, hashed and counted."""

    def __init__(self, content: Iterable[bytes], expected: str, budget: Budget) -> None:
        self._content = content
        self._expected = expected
        self._budget = budget
        self.size = 0
        self._hash = hashlib.sha256()

    def pour(self, target: IO[bytes]) -> str:
        """Returns the diff ID. Raises `UserError` when it is not the expected one."""
        for data in self._content:
            self._budget.spend(len(data))
            self.size += len(data)
            self._hash.update(data)
            target.write(data)
        diff_id = "sha256:" + self._hash.hexdigest()
        if self._expected:
            compare("content (diff ID)", self._expected, diff_id)
        return diff_id


def _receive_tar(plain: _Plain, target: str) -> Ready:
    with open(f"{target}/layer.tar", "xb") as file:
        diff_id = plain.pour(file)
        # mkfs.erofs wants whole blocks; a tar cut after its last member is common and harmless.
        file.write(bytes(-plain.size % 512))
    return Ready(diff_id, target, plain.size)


def _receive_directory(plain: _Plain, target: str, name: str) -> Ready:
    with _unpacking(target, name, subprocess.PIPE) as child:
        assert child.stdin is not None
        fcntl.fcntl(child.stdin, fcntl.F_SETPIPE_SZ, STEP)
        try:
            diff_id = plain.pour(child.stdin)
            child.stdin.close()
        except BrokenPipeError:
            diff_id = ""  # the child ended first, and says why
        child.stdin = None
    return Ready(diff_id, target, plain.size)


# making ready


def _index(target: str) -> bool:
    """Write index.erofs beside layer.tar; False when the layer has what only a directory can hold."""
    with open(f"{target}/layer.tar", "r+b") as file:
        found = scan.scan(file.fileno())
        if found.unfit:
            return False
        # Over the end mark: directories that nobody names, which mkfs.erofs would make for everyone to write.
        file.seek(found.end)
        file.writelines(scan.directory_header(path) for path in found.unnamed)
        file.write(bytes(_END_MARK))
    _make_index(target)
    return True


def _make_index(target: str) -> None:
    """Write index.erofs beside layer.tar. mkfs.erofs, which reads what a stranger has sent, runs as a user that nobody
    else is: all it can change is one directory, which it reaches as its own working directory, in a store that is
    closed to it."""
    place, user = f"{target}/indexing", _NOBODY + threading.get_native_id()
    os.mkdir(place, 0o700)
    os.chown(place, user, user)
    argv = ("mkfs.erofs", "--quiet", "--tar=i", "--aufs", "index.erofs")
    with open(f"{target}/layer.tar", "rb") as tar:
        try:
            done = subprocess.run(
                argv, stdin=tar, capture_output=True, check=False, cwd=place, user=user, group=user, extra_groups=()
            )
        except OSError as error:
            raise HostError(f"mkfs.erofs: {error.strerror}; install erofs-utils") from error
    if done.returncode != 0:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise UserError(f"no EROFS index can be made of it: {said[-1] if said else done.returncode}")
    _adopt(f"{place}/index.erofs", f"{target}/index.erofs")
    shutil.rmtree(place)


def _adopt(source: str, target: str) -> None:
    """Copy the plain file *source* to a new one of our own: whoever made it may still have it open."""
    descriptor = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as theirs, open(target, "xb") as ours:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise UserError("no EROFS index can be made of it: mkfs.erofs left no plain file")
        shutil.copyfileobj(theirs, ours, STEP)


def _unpack_file(target: str, name: str) -> None:
    with open(f"{target}/layer.tar", "rb") as file, _unpacking(target, name, file):
        pass
    os.unlink(f"{target}/layer.tar")


_BOOTSTRAP = (
    "import sys; sys.path.insert(0, sys.argv.pop(1));"
    " from supervisor.images import unpack; sys.exit(unpack.main(sys.argv[1:]))"
)


@contextlib.contextmanager
def _unpacking(target: str, name: str, stdin: IO[bytes] | int) -> Iterator[subprocess.Popen[bytes]]:
    """A child that unpacks its standard input into *target*/diff; waited for at the end. Raises its error."""
    os.mkdir(f"{target}/diff", 0o755)
    library = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    argv = (sys.executable, "-IS", "-c", _BOOTSTRAP, library, name)
    child = subprocess.Popen(argv, stdin=stdin, stderr=subprocess.PIPE, cwd=f"{target}/diff")
    try:
        yield child
        said = child.communicate()[1].decode("utf-8", "replace").strip().splitlines()
    except BaseException:
        child.kill()
        raise
    finally:
        child.wait()
    if child.returncode != 0:
        reason = said[-1] if said else f"layer {name}: the unpacking process ended with {child.returncode}"
        raise UserError(reason)


@contextlib.contextmanager
def _named(name: str) -> Iterator[None]:
    """Puts the layer in front of messages that do not name it, and turns a full disk into words."""
    try:
        yield
    except UserError as error:
        text = str(error)
        raise UserError(text if text.startswith("layer ") else f"layer {name}: {text}") from error
    except HostError as error:
        raise HostError(f"layer {name}: {error}") from error
    except OSError as error:
        raise HostError(f"layer {name}: {error.strerror or error}; free some space or see the journal") from error
