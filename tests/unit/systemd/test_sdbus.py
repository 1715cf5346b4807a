"""Marshalling helpers of the sd-bus door; the door itself is tried on a real systemd in tests/system."""

from __future__ import annotations

import pytest

from supervisor.systemd.manager import unit_path
from supervisor.systemd.sdbus import _split


@pytest.mark.parametrize(
    ("signature", "types"),
    [
        ("", []),
        ("ss", ["s", "s"]),
        ("ssa(sv)a(sa(sv))", ["s", "s", "a(sv)", "a(sa(sv))"]),
        ("a{sv}au(s(uu))v", ["a{sv}", "au", "(s(uu))", "v"]),
        ("aay", ["aay"]),
    ],
)
def test_signatures_split_into_complete_types(signature: str, types: list[str]) -> None:
    """A signature is cut where the D-Bus specification ("Type System") ends a complete type."""
    assert list(_split(signature)) == types


def test_unit_path_escapes_as_systemd_does() -> None:
    """Everything but letters and digits becomes _xx."""
    assert unit_path("ctr@a-b.service") == "/org/freedesktop/systemd1/unit/ctr_40a_2db_2eservice"
    assert unit_path("1.scope") == "/org/freedesktop/systemd1/unit/_31_2escope"
