"""The keys about seccomp, AppArmor, SELinux and hidden paths, and --security-opt, which says the same."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.definitions.compiled import Compiled
from supervisor.definitions.context import Context
from supervisor.definitions.mounts import Place
from supervisor.definitions.quadlet import compile_file
from supervisor.definitions.security import option
from supervisor.errors import UserError
from supervisor.spec.container import Container
from supervisor.spec.security import Security

ANY = Place("/etc/ctr", "web", selinux=True, apparmor=True)


def compiled(lines: str, **host: bool) -> Compiled[Container]:
    return compile_file("/etc/ctr/a.container", f"[Container]\nImage=i\n{lines}", Context(**host))


@pytest.mark.parametrize(
    "key", ["AppArmor=a", "SecurityLabelType=a_t", "SecurityLabelLevel=s0", "SecurityLabelNested=yes"]
)
def test_what_the_host_lacks_is_skipped_aloud(key: str) -> None:
    """One warning with the line; with the module there is none, and the spec is the same."""
    without, having = compiled(key + "\n"), compiled(key + "\n", selinux=True, apparmor=True)
    assert [warning.line for warning in without.warnings] == [3]
    assert "has no effect on this host" in str(without.warnings[0])
    assert (without.problems, having.problems, having.warnings) == ((), (), ())
    assert without.defined == having.defined


def test_disabling_labels_says_nothing_without_selinux() -> None:
    """There is none to separate then, which is what was asked for."""
    assert compiled("SecurityLabelDisable=true\n").warnings == ()


def test_lines_of_paths_add_up() -> None:
    """Several in a line, several lines, separated by spaces or colons."""
    found = compiled("Mask=/proc/a:/proc/b /sys/c\nMask=/d\nUnmask=/proc/*:/sys/firmware\nUnmask=all\n")
    assert found.defined is not None and found.warnings == ()
    assert found.defined.security.mask == ("/proc/a", "/proc/b", "/sys/c", "/d")
    assert found.defined.security.unmask == ("/proc/*", "/sys/firmware", "all")


def test_unmasking_nothing_is_told() -> None:
    """A pattern that fits none of the hidden paths has no effect."""
    assert "Unmask=: has no effect" in str(compiled("Unmask=/proc/nothing\n").warnings[0])


@pytest.mark.parametrize(
    ("lines", "instead"),
    [
        ("Mask=proc/x", "begin it with '/'"),
        ("Mask=/a:", "begin it with '/'"),
        ("Unmask=proc", "or ALL"),
        ("Unmask=/proc/[a", "close every"),
        ("Unmask=:", "names no path"),
        ("AppArmor=a b", "aa-status"),
        ("SecurityLabelType=a:b", "not an SELinux type"),
        ("SecurityLabelLevel=c1", "not an SELinux level"),
        ("SecurityLabelNested=often", "SecurityLabelNested="),
    ],
)
def test_a_mistake_names_its_line(lines: str, instead: str) -> None:
    """And says what to write."""
    found = compiled(lines + "\n")
    assert [problem.line for problem in found.problems] == [3]
    assert instead in str(found.problems[0])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("seccomp=unconfined", Security(seccomp="unconfined")),
        ("seccomp=./a.json", Security(seccomp="/etc/ctr/a.json")),
        ("apparmor:strict", Security(apparmor="strict")),
        ("label=disable", Security(label=False)),
        ("label:disable", Security(label=False)),
        ("label=nested", Security(label_nested=True)),
        ("label=type:a_t", Security(label_type="a_t")),
        ("label=level:s0:c1,c2", Security(label_level="s0:c1,c2")),
        ("label=filetype:b_t", Security(label_file_type="b_t")),
        ("mask=/a:/b", Security(mask=("/a", "/b"))),
        ("unmask=ALL", Security(unmask=("ALL",))),
        ("systempaths=unconfined", Security(unmask=("ALL",))),
    ],
)
def test_option(text: str, expected: Security) -> None:
    """As podman reads it, with '=' or docker's older ':'."""
    assert option(text, Security(), ANY) == (expected, "")


def test_an_option_without_effect_is_told() -> None:
    """As with the keys."""
    place = Place("/", "web")
    assert "no SELinux" in option("label=type:a_t", Security(), place)[1]
    assert "no AppArmor" in option("apparmor=x", Security(), place)[1]
    assert option("label=disable", Security(), place)[1] == option("apparmor=unconfined", Security(), place)[1] == ""


@given(st.text())
def test_no_option_is_too_strange(text: str) -> None:
    """Anything is read or refused."""
    with contextlib.suppress(UserError):
        option(text, Security(), ANY)
