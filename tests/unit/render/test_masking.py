"""Mask= and Unmask= do to podman's lists what podman does."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.errors import UserError
from supervisor.render.masking import HIDDEN, READ_ONLY, hidden, matches, read_only, shows_something, writable_cgroups
from supervisor.spec.security import Security


def test_the_usual_lists() -> None:
    """Nobody said anything; and nothing is hidden from a privileged container."""
    assert (hidden(Security(), privileged=False), read_only(Security(), privileged=False)) == (HIDDEN, READ_ONLY)
    assert (hidden(Security(), privileged=True), read_only(Security(), privileged=True)) == ((), ())


def test_what_is_masked_is_masked_for_everybody() -> None:
    """Also in a privileged container, and where it is unmasked too."""
    asked = Security(mask=("/proc/x", "/proc/acpi"), unmask=("ALL",))
    assert hidden(asked, privileged=True) == hidden(asked, privileged=False) == ("/proc/x", "/proc/acpi")
    assert hidden(Security(mask=("/proc/acpi",)), privileged=False).count("/proc/acpi") == 1


def test_unmasking() -> None:
    """A path, a pattern for what is hidden and what is read-only, ALL in any spelling."""
    assert "/proc/acpi" not in hidden(Security(unmask=("/proc/acpi",)), privileged=False)
    proc = Security(unmask=("/proc/*",))
    assert all(path.startswith("/sys/") for path in hidden(proc, privileged=False))
    assert read_only(proc, privileged=False) == ()
    assert hidden(Security(unmask=("aLL",)), privileged=False) == ()


def test_the_control_group_is_writable_when_asked_for() -> None:
    """By name or with ALL; a pattern does not do it, as with podman."""
    assert not writable_cgroups(Security(unmask=("/sys/fs/*",)))
    assert writable_cgroups(Security(unmask=("/sys/fs/cgroup/",))) and writable_cgroups(Security(unmask=("ALL",)))


def test_nested_labels_show_selinux() -> None:
    """Its file system, and nothing else that is hidden."""
    assert set(HIDDEN) - set(hidden(Security(label_nested=True), privileged=False)) == {"/sys/fs/selinux"}


@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [
        ("/proc/*", "/proc/acpi", True),
        ("/proc/*", "/proc/a/b", False),
        ("/proc*", "/proc/acpi", False),
        ("/proc/ac?i", "/proc/acpi", True),
        ("/proc?acpi", "/proc/acpi", False),
        ("/proc/[a-c]cpi", "/proc/acpi", True),
        ("/proc/[^a-c]cpi", "/proc/acpi", False),
        ("/proc[^a]acpi", "/proc/acpi", True),
        ("/proc/[]a]cpi", "/proc/acpi", None),
        ("/proc/[a", "/proc/acpi", None),
        ("/proc/[c-a]", "/proc/a", None),
        ("/proc/[-a]", "/proc/a", None),
        ("/proc/[\\]a]", "/proc/]", True),
        ("/proc/\\*", "/proc/*", True),
        ("/proc/\\*", "/proc/a", False),
        ("/proc/\\", "/proc/a", None),
        ("/proc/a.b", "/proc/aXb", False),
        ("", "", True),
    ],
)
def test_a_pattern_is_gos(pattern: str, path: str, expected: bool | None) -> None:
    """path/filepath.Match, whose own tests these are taken after; None is a bad pattern."""
    if expected is None:
        with pytest.raises(UserError, match="is not a pattern"):
            matches(pattern, path)
    else:
        assert matches(pattern, path) is expected


@given(st.text("/abc*?[]^-\\.", max_size=12), st.text("/abc]^-.*", max_size=8))
def test_no_pattern_crashes(pattern: str, path: str) -> None:
    """Whatever it is: it matches, or not, or is none; and a text without special characters matches itself alone."""
    with contextlib.suppress(UserError):
        matches(pattern, path)
        shows_something(pattern)
    if not set(pattern) & set("*?[\\"):
        assert matches(pattern, path) == (pattern == path)
