"""Registries, through skopeo: manifests by ``skopeo inspect --raw``, blobs by its image proxy.

The proxy (``skopeo experimental-image-proxy``, protocol 0.2, the one bootc uses; same in Debian 12 and 13) streams
single blobs through pipes, so a layer is expanded while it arrives and one that is here already is never sent. Each
thread has a proxy of its own, because FinishPipe, which alone tells how a transfer ended, blocks all others. Decides
nothing about images. Runs in the image worker.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import socket
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from supervisor.errors import HostError, NotFoundError, UnreachableError, UserError
from supervisor.images.compression import STEP, Reader
from supervisor.images.manifest import Descriptor
from supervisor.images.reference import Reference

_MESSAGE = 32 * 1024


@dataclass(frozen=True, slots=True)
class Access:
    """How to talk to a registry (skopeo-copy(1))."""

    tls_verify: bool = True
    authfile: str = ""
    """Absolute path of a containers-auth.json(5), or empty."""
    certificates: str = ""
    """Absolute path of a directory of certificates and keys, or empty."""

    @property
    def options(self) -> tuple[str, ...]:
        tls = () if self.tls_verify else ("--tls-verify=false",)
        files = (("--authfile", self.authfile), ("--cert-dir", self.certificates))
        return (*tls, *(word for option, path in files if path for word in (option, path)))


class Registry:
    """One repository of a registry. Close it to end its proxies."""

    def __init__(self, reference: Reference, access: Access) -> None:
        self._reference = reference
        self._access = access
        self._local = threading.local()
        self._proxies: list[_Proxy] = []

    def manifest(self) -> bytes:
        """The manifest or index that the reference names."""
        target = self._reference
        # skopeo refuses a tag beside a digest; the digest decides (containers-transports(5)).
        return self._inspect(f"{target.repository}@{target.digest}" if target.digest else str(target))

    def document(self, descriptor: Descriptor) -> Iterator[bytes]:
        """A manifest, index or configuration, in parts."""
        if "manifest" in descriptor.media_type or "index" in descriptor.media_type:
            yield self._inspect(f"{self._reference.repository}@{descriptor.digest}")
            return
        with self.layer(descriptor) as reader:
            while data := reader.read(STEP):
                yield data

    @contextlib.contextmanager
    def layer(self, descriptor: Descriptor) -> Iterator[Reader]:
        proxy = getattr(self._local, "proxy", None)
        if proxy is None:
            proxy = self._local.proxy = _Proxy(self._reference, self._access)
            self._proxies.append(proxy)
        with proxy.blob(descriptor) as reader:
            yield reader

    def close(self) -> None:
        for proxy in self._proxies:
            proxy.close()

    def _inspect(self, name: str) -> bytes:
        argv = ("skopeo", "inspect", "--raw", *self._access.options, f"docker://{name}")
        try:
            done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, check=False)
        except OSError as error:
            raise HostError(f"{self._reference}: pull: skopeo: {error.strerror}; install skopeo") from error
        if done.returncode != 0:
            raise explain(str(self._reference), done.stderr.decode("utf-8", "replace"))
        return done.stdout


class _Proxy:
    """One ``skopeo experimental-image-proxy`` with the image open; for one thread."""

    def __init__(self, reference: Reference, access: Access) -> None:
        self._what = str(reference)
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            argv = ("skopeo", "experimental-image-proxy", "--sockfd", str(theirs.fileno()), *access.options)
            self._process = subprocess.Popen(
                argv, pass_fds=(theirs.fileno(),), stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
        self._call("Initialize")
        name = f"{reference.repository}@{reference.digest}" if reference.digest else str(reference)
        self._image = self._call("OpenImage", f"docker://{name}")[0]["value"]

    @contextlib.contextmanager
    def blob(self, descriptor: Descriptor) -> Iterator[Reader]:
        answer, descriptors = self._call("GetBlob", self._image, descriptor.digest, descriptor.size)
        with open(descriptors[0], "rb", buffering=0) as pipe:
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, STEP)
            # Asked for at once, answered when the transfer has ended; only then is the pipe's other end closed.
            self._send("FinishPipe", answer["pipeid"])
            yield pipe
            while pipe.read(STEP):
                pass
        self._receive()

    def close(self) -> None:
        self._process.kill()  # first: it wakes whoever waits on the socket
        self._process.wait()
        self._socket.close()

    def _call(self, method: str, *arguments: object) -> tuple[dict[str, Any], list[int]]:
        self._send(method, *arguments)
        return self._receive()

    def _send(self, method: str, *arguments: object) -> None:
        try:
            self._socket.send(json.dumps({"method": method, "args": arguments}).encode())
        except BrokenPipeError as error:
            raise HostError(f"{self._what}: skopeo's image proxy ended; skopeo 1.6 or newer is needed") from error

    def _receive(self) -> tuple[dict[str, Any], list[int]]:
        data, descriptors, _, _ = socket.recv_fds(self._socket, _MESSAGE, 2)
        answer = json.loads(data) if data else {"error": "skopeo's image proxy ended"}
        if not answer.get("success"):
            for descriptor in descriptors:
                os.close(descriptor)
            raise explain(self._what, answer.get("error", ""))
        return answer, descriptors


#: What skopeo's own words contain, and what that means here. First match wins.
_MEANINGS: tuple[tuple[tuple[str, ...], type[UserError] | type[HostError], str], ...] = (
    (
        ("server gave HTTP response to HTTPS client",),
        UserError,
        "the registry speaks plain HTTP; use --tls-verify=false for a plain-HTTP registry",
    ),
    (
        ("x509:", "certificate"),
        UserError,
        "the registry's certificate is not trusted; install its CA, or --tls-verify=false",
    ),
    (
        ("authentication required", "unauthorized", "denied", "401", "403", "StatusCode: 400"),
        UserError,
        "the registry refuses access, or the repository does not exist; log in and name the file with --authfile",
    ),
    (("manifest unknown", "not found", "name unknown", "404"), NotFoundError, "the registry has no such image or tag"),
    (("toomanyrequests", "429"), UnreachableError, "the registry limits requests; try again later"),
    (("connection refused",), UnreachableError, "connection refused; is the registry running, and the port right"),
    (
        ("no such host", "server misbehaving", "dial tcp: lookup"),
        UnreachableError,
        "the registry's name cannot be resolved",
    ),
    (
        ("i/o timeout", "network is unreachable", "no route to host", "connection reset", "TLS handshake timeout"),
        UnreachableError,
        "the registry cannot be reached",
    ),
)


def explain(what: str, said: str) -> UserError | HostError:
    """The error for what skopeo *said* (its log line, or a proxy error). Pure."""
    line = next((x for x in reversed(said.strip().splitlines()) if x.strip()), "skopeo failed without a word")
    if 'msg="' in line:
        line = line.split('msg="', 1)[1].rstrip('"').replace('\\"', '"').replace("\\n", " ")
    for words, kind, meaning in _MEANINGS:
        if any(_has(line.lower(), word.lower()) for word in words):
            return kind(f"{what}: pull: {meaning} (skopeo: {line})")
    return HostError(f"{what}: pull: {line}")


def _has(line: str, word: str) -> bool:
    """A status is a number of its own, and no part of a port."""
    return bool(re.search(rf"(?<![\d:]){word}(?!\d)", line)) if word.isdigit() else word in line
