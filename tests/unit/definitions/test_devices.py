"""AddDevice= and --device name nodes, directories and devices of the Container Device Interface."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.definitions.devices import device, is_qualified
from supervisor.definitions.quadlet import compile_file
from supervisor.errors import UserError
from supervisor.render import devices


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/dev/fuse", "/dev/fuse:/dev/fuse:rwm"),
        ("/dev/sda:r", "/dev/sda:/dev/sda:r"),
        ("/dev/sda:/dev/xvda", "/dev/sda:/dev/xvda:rwm"),
        ("/dev/sda:/dev/xvda:mr", "/dev/sda:/dev/xvda:mr"),
        ("-/dev/x", "-/dev/x:/dev/x:rwm"),
        ("-/dev/x:/dev/y:r", "-/dev/x:/dev/y:r"),
        ("nvidia.com/gpu=all", "nvidia.com/gpu=all"),
        ("nvidia.com/gpu=0:1", "nvidia.com/gpu=0:1"),
        ("a/b_c.d-e=f.g_h", "a/b_c.d-e=f.g_h"),
    ],
)
def test_a_device(text: str, expected: str) -> None:
    """What is left out is written out; rendering reads the result."""
    assert device(text) == expected
    if not is_qualified(text):
        devices.parse(expected)


@pytest.mark.parametrize(
    ("text", "instead"),
    [
        ("/a:/b:rwx", "combine r, w and m"),
        ("/a:/b:rw:x", "too many ':'"),
        ("dev/fuse", "begin it with '/'"),
        ("-", "begin it with '/'"),
        ("gpu=0", "write VENDOR/CLASS=DEVICE"),
        ("nvidia.com/gpu=", "write VENDOR/CLASS=DEVICE"),
        ("nvidia.com/gpu/x=0", "write VENDOR/CLASS=DEVICE"),
        ("-nvidia.com/gpu=0", "begin it with '/'"),
    ],
)
def test_a_mistake(text: str, instead: str) -> None:
    """Everything else is refused with what to write."""
    with pytest.raises(UserError, match=instead):
        device(text)


def test_names_and_nodes_are_kept_apart() -> None:
    """In one line or several; each once."""
    text = "[Container]\nImage=i\nAddDevice=/dev/fuse v.com/c=1\nAddDevice=-/dev/x v.com/c=1\n"
    found = compile_file("/etc/ctr/a.container", text).defined
    assert found is not None
    assert found.devices == ("/dev/fuse:/dev/fuse:rwm", "-/dev/x:/dev/x:rwm")
    assert found.cdi_devices == ("v.com/c=1",)


@given(st.text())
def test_no_text_is_too_strange(text: str) -> None:
    """Anything is read or refused."""
    with contextlib.suppress(UserError):
        device(text)
