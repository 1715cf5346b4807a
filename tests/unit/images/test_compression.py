"""Expanding: formats, concatenation, damage, bombs."""

from __future__ import annotations

import bz2
import ctypes
import gzip
import io
import lzma
import zlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.errors import UserError
from supervisor.images.compression import STEP, expand, is_plain


def zstd(data: bytes) -> bytes:
    """One frame, by the library itself."""
    library = ctypes.CDLL("libzstd.so.1")
    library.ZSTD_compressBound.restype = library.ZSTD_compress.restype = ctypes.c_size_t
    size = library.ZSTD_compressBound(ctypes.c_size_t(len(data)))
    out = ctypes.create_string_buffer(size)
    packed = library.ZSTD_compress(out, ctypes.c_size_t(size), data, ctypes.c_size_t(len(data)), 3)
    return out.raw[:packed]


FORMATS = {"plain": bytes, "gzip": gzip.compress, "zstd": zstd, "xz": lzma.compress, "bzip2": bz2.compress}
COMPRESSED = {name: function for name, function in FORMATS.items() if name != "plain"}


class Trickle(io.BytesIO):
    """Gives a few bytes at a time, as a pipe may."""

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(min(size or 0, 7))


@pytest.mark.parametrize("compress", FORMATS.values(), ids=FORMATS)
@given(data=st.binary(max_size=300), reader=st.sampled_from([io.BytesIO, Trickle]))
def test_all_formats_give_the_plain_bytes(
    compress: Callable[[bytes], bytes], data: bytes, reader: type[io.BytesIO]
) -> None:
    """However the bytes arrive."""
    plain = b"\0tar" + data
    assert b"".join(expand(reader(compress(plain)))) == plain
    assert is_plain(compress(plain)[:8]) == (compress is bytes)


@pytest.mark.parametrize("compress", COMPRESSED.values(), ids=COMPRESSED)
def test_concatenated_members_are_one_stream(compress: Callable[[bytes], bytes]) -> None:
    """As gzip(1), zstd(1), xz(1) and bzip2(1) read them; zeros behind a gzip stream are padding."""
    assert b"".join(expand(io.BytesIO(compress(b"a" * 9) + compress(b"b" * 9)))) == b"a" * 9 + b"b" * 9
    assert b"".join(expand(io.BytesIO(gzip.compress(b"x") + bytes(512)))) == b"x"


@pytest.mark.parametrize("compress", COMPRESSED.values(), ids=COMPRESSED)
def test_damage_and_missing_ends_are_errors(compress: Callable[[bytes], bytes]) -> None:
    """Never silently less than was packed."""
    packed = compress(bytes(range(256)) * 40)
    with pytest.raises(UserError, match="ends too early"):
        list(expand(io.BytesIO(packed[:-5])))
    with pytest.raises(UserError, match=r"damaged|ends too early"):
        list(expand(io.BytesIO(packed[:8] + bytes([packed[8] ^ 255]) + packed[9:20] + b"\xff" * 30)))


@pytest.mark.parametrize("compress", COMPRESSED.values(), ids=COMPRESSED)
def test_a_bomb_comes_in_bounded_steps(compress: Callable[[bytes], bytes]) -> None:
    """A thousandfold expansion never yields more than one step at once."""
    steps = [len(data) for data in expand(io.BytesIO(compress(bytes(5 * STEP))))]
    assert max(steps) <= STEP
    assert sum(steps) == 5 * STEP


def test_zstd_skippable_frames_are_passed_over() -> None:
    """zstd:chunked images carry their table of contents in one."""
    skippable = b"\x50\x2a\x4d\x18" + (5).to_bytes(4, "little") + b"table"
    assert b"".join(expand(io.BytesIO(zstd(b"a") + skippable + zstd(b"b")))) == b"ab"


def test_a_deflate_stream_without_gzip_header_is_plain() -> None:
    """Only a magic makes a format; anything else is taken as it is."""
    data = zlib.compress(b"x" * 100)
    assert b"".join(expand(io.BytesIO(data))) == data
