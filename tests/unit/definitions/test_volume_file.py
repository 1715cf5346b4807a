"""A ``.volume`` file compiles into the volume its author meant, or into every mistake it has."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.definitions.compiled import Compiled
from supervisor.definitions.coverage import State, keys
from supervisor.definitions.unitfile import parse
from supervisor.definitions.volume_file import compile_unit
from supervisor.spec.volume import Volume

PATH = "/etc/ctr/data.volume"


def compiled(lines: str, path: str = PATH) -> Compiled[Volume]:
    result = compile_unit(parse(path, f"[Volume]\n{lines}"))
    assert (result.defined is None) == bool(result.problems)
    return result


def volume(lines: str) -> Volume:
    result = compiled(lines)
    assert result.problems == () and result.defined is not None
    return result.defined


def test_an_empty_section_is_a_volume() -> None:
    """A directory; its name is the file's, without podman's 'systemd-'."""
    assert volume("") == Volume("data", PATH)
    assert compiled("").warnings == ()


EFFECTS = {
    "Copy": ("no", {"copy": False}),
    "Device": ("/dev/vg/../sda", {"device": "/dev/sda"}),
    "Driver": ("local", {}),
    "Image": ("x\nDriver=image", {"image": "x"}),
    "GID": ("5", {"gid": 5}),
    "Group": ("0", {"gid": 0}),
    "Label": ("a b=c", {"labels": (("a", ""), ("b", "c"))}),
    "Options": ("ro,noatime", {"options": "ro,noatime"}),
    "Type": ("ext4", {"type": "ext4"}),
    "UID": ("70000", {"uid": 70000}),
    "User": ("7", {"uid": 7}),
    "VolumeName": ('"%N-1"', {"name": "data-volume-1"}),
}


@pytest.mark.parametrize("key", sorted(EFFECTS))
def test_a_key_changes_what_it_should_and_nothing_else(key: str) -> None:
    """Each key that is done has an effect, and only its own."""
    line, expected = EFFECTS[key]
    device = "" if key in ("Device", "Image") else "Device=/dev/sdb\n"
    assert volume(f"{device}{key}={line}\n") == dataclasses.replace(volume(device), **expected)


def test_every_done_key_is_tested() -> None:
    """The table promises nothing that is not shown to work."""
    assert {key.name for key in keys("Volume") if key.section == "Volume" and key.state is State.DONE} == set(EFFECTS)


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("Type=tmpfs\nOptions=size=1m\n", ("tmpfs", "tmpfs", "size=1m")),
        ("Type=nfs\nDevice=host:/x\nOptions=addr=10.0.0.1,rw\n", ("nfs", "host:/x", "addr=10.0.0.1,rw")),
        ("Type=bind\nDevice=/srv/x/\n", ("none", "/srv/x", "bind")),
        ("Type=bind\nDevice=/srv/x\nOptions=ro\n", ("none", "/srv/x", "bind,ro")),
        ("Type=none\nDevice=/srv/x\nOptions=rbind\n", ("none", "/srv/x", "rbind")),
        ("Device=/srv/x.img\nOptions=loop\n", ("", "/srv/x.img", "loop")),
    ],
)
def test_what_is_mounted(lines: str, expected: tuple[str, str, str]) -> None:
    """Type, device and options as mount(8) has them."""
    found = volume(lines)
    assert (found.type, found.device, found.options) == expected


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("VolumeName=/x\n", ":2: VolumeName=: volume name '/x' is not valid"),
        ("Driver=image\n", ":2: Driver=: says not which image; add Image="),
        ("Driver=image\nImage=x.image\n", ":3: Image=: there is no x.image beside"),
        ("Driver=image\nImage=x\nType=nfs\nDevice=a:/b\n", ":4: Type=: is for volumes that are mounted"),
        ("Driver=nfs\n", ":2: Driver=: 'nfs' is not a volume driver; write local, with Type= and Device="),
        ("Image=x\n", ":2: Image=: has no effect without Driver=image; add that"),
        ("Type=nfs\n", ":2: Type=: there is no device to mount"),
        ("Options=ro\n", ":2: Options=: there is no device to mount"),
        ("Type=a b\nDevice=/x\n", ":2: Type=: 'a b' is not a type of file system"),
        ("Device=./x\n", ":2: Device=: './x' is relative"),
        ("Device=/x\nOptions=ro, noexec\n", ":3: Options=: 'ro, noexec' is not a list of mount options"),
        ("User=www-data\n", ":2: User=: 'www-data' is not the number of an account"),
        ("GID=-1\n", ":2: GID=: '-1' is not the number of an account"),
        ("User=1\nUID=1\n", ":3: UID=: User= in line 2 says the same; keep one"),
        ("Copy=maybe\n", ":2: Copy=: 'maybe' is not a boolean"),
        ("Lable=x\n", ":2: Lable=: no such key in [Volume]; did you mean Label?"),
        ("[Unit]\nRequire=a.service\n", ":3: Require=: no such key in [Unit]; did you mean Requires?"),
        ("[Service]\nExecStartPost=/x\n", ":3: ExecStartPost=: a volume is no unit, so it would not be run"),
        ("[Pod]\n", ":2: [Pod] is not a section of a .volume file"),
    ],
)
def test_a_mistake_is_named_with_line_and_key(lines: str, message: str) -> None:
    """One message for one mistake."""
    (found,) = (str(problem).removeprefix(PATH) for problem in compiled(lines).problems)
    assert found.startswith(message)


@given(st.lists(st.tuples(st.sampled_from([*EFFECTS, "Image"]), st.text(max_size=12)), max_size=6))
def test_any_values_compile_without_an_exception(lines: list[tuple[str, str]]) -> None:
    """Every refusal names line and key."""
    text = "".join(f"{key}={''.join(value.splitlines())}\n" for key, value in lines)
    for problem in compiled(text).problems:
        assert problem.line and (problem.key in EFFECTS or problem.key in ("", "Image"))
