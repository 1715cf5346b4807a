"""The quick walk over tar headers, held against tarfile."""

from __future__ import annotations

import contextlib
import io
import os
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.errors import UserError
from supervisor.images.members import step
from supervisor.images.scan import Scan, directory_header, scan

names = st.lists(st.sampled_from(["a", "bé", "c" * 90, "d" * 150]), min_size=1, max_size=3).map("/".join)
members = st.tuples(names, st.sampled_from([tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE]), st.integers(0, 1500))


def tar(entries: list[tuple[str, bytes, int]], kind: int = tarfile.PAX_FORMAT) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=kind) as archive:
        for name, type_, size in entries:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = type_, "x" * 120
            info.size = size if type_ == tarfile.REGTYPE else 0
            archive.addfile(info, io.BytesIO(bytes(info.size)))
    return out.getvalue()


def scanned(data: bytes) -> Scan:
    descriptor = os.memfd_create("tar")
    try:
        os.write(descriptor, data)
        return scan(descriptor)
    finally:
        os.close(descriptor)


@given(st.lists(members, max_size=6), st.sampled_from([tarfile.PAX_FORMAT, tarfile.GNU_FORMAT]))
def test_it_sees_what_tarfile_sees(entries: list[tuple[str, bytes, int]], kind: int) -> None:
    """As many members, in both formats with long names; the end is where the next member would go."""
    data = tar(entries, kind)
    found = scanned(data)
    assert found.members == len(entries)
    grown = data[: found.end] + directory_header("new") + bytes(1024)
    with tarfile.open(fileobj=io.BytesIO(grown)) as archive:
        assert archive.getnames() == [*(name for name, _, _ in entries), "new"]


@given(st.lists(members, max_size=6))
def test_unnamed_directories_are_the_parents_without_a_member(entries: list[tuple[str, bytes, int]]) -> None:
    """So that adding one header for each leaves no directory to be invented, unless names clash."""
    found = scanned(tar(entries))
    directories = {step(name).path for name, type_, _ in entries if type_ == tarfile.DIRTYPE}
    others = {step(name).path for name, type_, _ in entries if type_ != tarfile.DIRTYPE}
    parents = {""}
    for name, _, _ in entries:
        components = name.split("/")
        parents |= {"/".join(components[:n]) for n in range(len(components))}
    assert set(found.unnamed) == parents - directories
    assert found.unfit == bool(others & (directories | parents))


def test_refusals_name_the_member() -> None:
    """Names, hard links and attributes that `members` refuses."""
    with pytest.raises(UserError, match=r"member '\.\./x'"):
        scanned(tar([("../x", tarfile.REGTYPE, 0)]))
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        info = tarfile.TarInfo("a")
        info.type, info.linkname = tarfile.LNKTYPE, "../etc/shadow"
        archive.addfile(info)
    with pytest.raises(UserError, match=r"hard link to '\.\./etc/shadow'"):
        scanned(out.getvalue())


def test_sparse_members_are_told(tmp_path: Path) -> None:
    """GNU's pax form hides the real name behind GNU.sparse.name."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        info = tarfile.TarInfo("GNUSparseFile.0/real")
        info.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "real"}
        archive.addfile(info)
    assert scanned(out.getvalue()).unfit


@given(st.binary(max_size=1200))
def test_any_bytes_are_walked_or_refused(data: bytes) -> None:
    """Garbage ends the walk or is refused; it never loops or fails otherwise."""
    with contextlib.suppress(UserError):
        scanned(data)
