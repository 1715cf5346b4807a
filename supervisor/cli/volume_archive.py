"""The content of one volume as a tar, out and in, by tar(1). Decides nothing about volumes; prints nothing.

A volume's content and the archive are hostile alike. GNU tar refuses names that leave the directory, but would follow
a link that lies in it already; so an archive is unpacked on a mount of the volume, private to that tar, on which the
kernel follows no links (mount(8), nosymfollow).
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, BinaryIO

from supervisor.errors import HostError, UserError
from supervisor.images import compression

_ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}

#: Owners by number: names mean others in the container, or on the next host.
_TAR = ("tar", "--numeric-owner", "--xattrs", "--xattrs-include=*")

#: $1 is the volume. Mounts of this shell's own; `set -e` keeps tar from running without them.
_UNPACK = 'set -e; mount --bind -- "$1" "$1"; mount -o remount,bind,nosymfollow -- "$1"; cd -- "$1"; shift; exec "$@"'

#: How much is read of what tar complains about, in bytes, and how many messages are shown.
_COMPLAINTS, _MESSAGES = 65536, 3


def export(directory: str, target: BinaryIO) -> None:
    """Write the tar of the volume *directory* to *target*. Raises `HostError` when tar fails, with its words."""
    command = (*_TAR, "--create", "--sparse", "--file=-", f"--directory={directory}", ".")
    with tempfile.TemporaryFile() as complaints:
        code = subprocess.run(command, stdout=target, stderr=complaints, env=_ENVIRONMENT, check=False).returncode
        if code:
            raise HostError(f"{_volume(directory)}: {_words(complaints, code)}")


def unpack(source: BinaryIO, directory: str) -> None:
    """Unpack the tar in *source*, plain or compressed, over what the volume *directory* holds.

    Raises `UserError` when it is no archive, or a member cannot be had; those before it are there then.
    """
    inner = (*_TAR, "--extract", "--preserve-permissions", "--same-owner", "--file=-")
    command = ("unshare", "--mount", "--propagation=slave", "sh", "-c", _UNPACK, "sh", directory, *inner)
    with tempfile.TemporaryFile() as complaints:
        tar = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=complaints, env=_ENVIRONMENT)
        assert tar.stdin
        try:
            with tar.stdin:
                for chunk in compression.expand(source):
                    tar.stdin.write(chunk)
        except BrokenPipeError:
            pass  # tar gave up; it says why
        except BaseException as error:
            tar.kill()
            if isinstance(error, UserError):
                raise UserError(f"{_volume(directory)}: {error}") from error
            raise
        finally:
            code = tar.wait()
        if code:
            raise UserError(f"{_volume(directory)}: {_words(complaints, code)}")


@contextmanager
def filling(marker: str) -> Iterator[None]:
    """Keep starts from copying an image's files into the volume meanwhile, and end a copy that was killed: what is
    imported is not covered by the image's. *marker*: see `supervisor.launcher.volumes`, which has content while a copy
    goes on."""
    os.makedirs(os.path.dirname(marker), 0o700, exist_ok=True)
    lock = _locked(marker)
    try:
        # On disk before the rest: a power cut must not bring its content back.
        os.ftruncate(lock, 0)
        os.fsync(lock)
        yield
    finally:
        os.unlink(marker)
        os.close(lock)


def _locked(path: str) -> int:
    """The file *path*, made if missing, with an exclusive lock."""
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(file, fcntl.LOCK_EX)
        try:
            if os.path.samestat(os.stat(path), os.fstat(file)):
                return file
        except FileNotFoundError:
            pass
        os.close(file)  # whoever had it has removed it


def size(directory: str) -> int:
    """Bytes that *directory* and all in it take on disk, hard links once; mounts below it do not count."""
    top = os.lstat(directory)
    seen, total = {(top.st_dev, top.st_ino)}, top.st_blocks * 512
    for where, directories, files in os.walk(directory):
        for name in (*directories, *files):
            try:
                status = os.lstat(f"{where}/{name}")
            except FileNotFoundError:
                continue
            key = (status.st_dev, status.st_ino)
            if status.st_dev == top.st_dev and key not in seen:
                seen.add(key)
                total += status.st_blocks * 512
    return total


def _volume(directory: str) -> str:
    return f"volume {os.path.basename(directory)}"


def _words(complaints: IO[bytes], code: int) -> str:
    """The first of tar's messages in the file *complaints*."""
    complaints.seek(0)
    lines = complaints.read(_COMPLAINTS).decode(errors="replace").strip().splitlines()
    return "; ".join(lines[:_MESSAGES]) or f"tar: exit status {code}"
