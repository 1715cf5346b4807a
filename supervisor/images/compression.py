"""Compressed bytes in, plain bytes out, in bounded steps: gzip, zstd, xz, bzip2 or nothing, told apart by their magic.

A step never yields more than `STEP` bytes however well the input was compressed, so a caller that counts can stop a
bomb. zstd goes through libzstd, which systemd itself needs, by ctypes: Python has no module for it before 3.14.
Verifies no digest (`layers` does).
"""

from __future__ import annotations

import bz2
import ctypes
import lzma
import zlib
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from supervisor.errors import HostError, UserError

#: Bytes read and yielded at a time, at most.
STEP = 1 << 20

#: Bytes 1 to 3 of a skippable frame (RFC 8878, 3.1.2); zstd:chunked images end with one.
_ZSTD_SKIPPABLE = b"\x2a\x4d\x18"

_XZ_MEMORY = 256 * 1024 * 1024


class Reader(Protocol):
    """Anything with ``read``; a short read is not the end, an empty one is."""

    def read(self, size: int, /) -> bytes: ...


class _Stream(Protocol):
    """One compressed stream (gzip member, zstd frame…) being decoded."""

    @property
    def eof(self) -> bool: ...
    def step(self, data: bytes) -> tuple[bytes, bytes]:
        """Consume some of *data*; at most `STEP` bytes of output and the rest of *data*."""


def expand(source: Reader) -> Iterator[bytes]:
    """The plain bytes of *source*. Raises `UserError` for data that is damaged or cut short."""
    head = _read_head(source)
    for magic, factory in _FORMATS:
        if head.startswith(magic):
            yield from _decode(source, head, magic, factory)
            return
    while head:
        yield head
        head = source.read(STEP)


def is_plain(head: bytes) -> bool:
    """Whether data that starts with *head* is not compressed."""
    return not any(head.startswith(magic) for magic, _ in _FORMATS)


def _read_head(source: Reader) -> bytes:
    head = b""
    while len(head) < 8 and (more := source.read(STEP)):
        head += more
    return head


def _decode(source: Reader, data: bytes, magic: bytes, factory: Callable[[], _Stream]) -> Iterator[bytes]:
    stream = factory()
    while True:
        try:
            plain, left = stream.step(data)
        except (zlib.error, lzma.LZMAError, OSError, EOFError) as error:
            raise UserError(f"compressed data is damaged: {error}") from error
        if plain:
            yield plain
        progressed = bool(plain) or len(left) < len(data)
        data = left
        if stream.eof:
            while len(data) < 4 and (more := source.read(STEP)):
                data += more
            # Concatenated members are one stream; what follows in no known form is padding (gzip(1)).
            if not data.startswith(magic) and data[1:4] != _ZSTD_SKIPPABLE:
                return
            stream = factory()
        elif not progressed:
            more = source.read(STEP)
            if not more:
                raise UserError("compressed data ends too early")
            data += more


class _Gzip:
    def __init__(self) -> None:
        self._inner = zlib.decompressobj(wbits=31)

    @property
    def eof(self) -> bool:
        return self._inner.eof

    def step(self, data: bytes) -> tuple[bytes, bytes]:
        plain = self._inner.decompress(data, STEP)
        return plain, self._inner.unused_data if self._inner.eof else self._inner.unconsumed_tail


class _Buffered:
    """lzma and bz2: the decoder keeps unread input itself."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    @property
    def eof(self) -> bool:
        return bool(self._inner.eof)

    def step(self, data: bytes) -> tuple[bytes, bytes]:
        plain: bytes = self._inner.decompress(data, STEP)
        return plain, self._inner.unused_data if self._inner.eof else b""


class _InBuffer(ctypes.Structure):
    _fields_ = (("src", ctypes.c_char_p), ("size", ctypes.c_size_t), ("pos", ctypes.c_size_t))


class _OutBuffer(ctypes.Structure):
    _fields_ = (("dst", ctypes.c_void_p), ("size", ctypes.c_size_t), ("pos", ctypes.c_size_t))


class _Zstd:
    """ZSTD_decompressStream of zstd.h; its default window limit of 128 MiB bounds memory."""

    _library: Any = None

    def __init__(self) -> None:
        self._zstd = self._load()
        self._context = self._zstd.ZSTD_createDStream()
        self._out = ctypes.create_string_buffer(STEP)
        self.eof = False

    def __del__(self) -> None:
        if getattr(self, "_context", None):
            self._zstd.ZSTD_freeDStream(self._context)

    def step(self, data: bytes) -> tuple[bytes, bytes]:
        source = _InBuffer(data, len(data), 0)
        target = _OutBuffer(ctypes.addressof(self._out), STEP, 0)
        code = self._zstd.ZSTD_decompressStream(self._context, ctypes.byref(target), ctypes.byref(source))
        if self._zstd.ZSTD_isError(code):
            raise OSError(self._zstd.ZSTD_getErrorName(code).decode())
        self.eof = code == 0
        return ctypes.string_at(self._out, target.pos), data[source.pos :]

    @classmethod
    def _load(cls) -> Any:
        if cls._library is None:
            try:
                library = ctypes.CDLL("libzstd.so.1")
            except OSError as error:
                raise HostError(f"libzstd.so.1: {error}; install libzstd1") from error
            library.ZSTD_createDStream.restype = ctypes.c_void_p
            library.ZSTD_freeDStream.argtypes = (ctypes.c_void_p,)
            library.ZSTD_decompressStream.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)
            library.ZSTD_decompressStream.restype = ctypes.c_size_t
            library.ZSTD_isError.argtypes = (ctypes.c_size_t,)
            library.ZSTD_getErrorName.argtypes = (ctypes.c_size_t,)
            library.ZSTD_getErrorName.restype = ctypes.c_char_p
            cls._library = library
        return cls._library


_FORMATS: tuple[tuple[bytes, Callable[[], _Stream]], ...] = (
    (b"\x1f\x8b", _Gzip),
    (b"\x28\xb5\x2f\xfd", _Zstd),
    (b"\xfd7zXZ\x00", lambda: _Buffered(lzma.LZMADecompressor(memlimit=_XZ_MEMORY))),
    (b"BZh", lambda: _Buffered(bz2.BZ2Decompressor())),
)
