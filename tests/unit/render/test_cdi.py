"""Devices of the Container Device Interface become what their vendors wrote down."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from supervisor.errors import UserError
from supervisor.paths import Layout
from supervisor.render import cdi, oci
from supervisor.render.cdi_spec import parse
from supervisor.render.devices import policy
from supervisor.render.facts import DeviceNode, HostText
from supervisor.render.users import Accounts
from tests.unit.render.sample import FACTS, IMAGE, container

PATH = "/etc/cdi/vendor.json"
EXAMPLES = Path(__file__).parents[2] / "examples" / "cdi"


def document(**changes: Any) -> dict[str, Any]:
    """One device of vendor.com/toy, 'one', that sets ONE=1; *changes* are members of the document."""
    device = {"name": "one", "containerEdits": {"env": ["ONE=1"]}}
    return {"cdiVersion": "0.6.0", "kind": "vendor.com/toy", "devices": [device]} | changes


def spec(path: str = PATH, **changes: Any) -> HostText:
    return HostText(path, json.dumps(document(**changes)))


def config(*specs: HostText, names: tuple[str, ...] = ("vendor.com/toy=one",), **more: Any) -> dict[str, Any]:
    node = DeviceNode("/dev/toy0", "c", 240, 7, 0o600)
    facts = dataclasses.replace(FACTS, cdi_specs=specs, devices=(*FACTS.devices, node))
    return oci.config(container(cdi_devices=names, **more), IMAGE, Accounts(), facts, Layout())


EDITS: dict[str, Any] = {
    "env": ["ONE=1", "NGINX=2", "EMPTY="],
    "deviceNodes": [
        {"path": "/dev/toy0", "permissions": "rw"},
        {"path": "/dev/toy1", "hostPath": "/dev/toy0", "fileMode": 0o640, "uid": 5, "gid": 6},
        {"path": "/dev/made", "type": "b", "major": 9, "minor": 1},
        {"path": "/dev/pipe", "type": "p"},
    ],
    "mounts": [
        {"hostPath": "/usr/lib/toy.so", "containerPath": "/usr/lib/toy.so", "options": ["ro", "nosuid", "bind"]},
        {"hostPath": "/run/toy", "containerPath": "/tmp/../etc/hostname"},
        {"hostPath": "/tmpfs", "containerPath": "/toys", "type": "tmpfs", "options": ["size=1m"]},
    ],
    "hooks": [
        {"hookName": "createContainer", "path": "/usr/bin/toy", "args": ["toy", "link"], "env": ["A=1"], "timeout": 5},
        {"hookName": "createContainer", "path": "/usr/bin/two"},
        {"hookName": "poststop", "path": "/usr/bin/end"},
    ],
    "additionalGids": [44, 0, 5],
}


def test_every_edit() -> None:
    """Variables win over the image's and the definition's, mounts over our own, and the scope lets the nodes be
    opened."""
    devices = [{"name": "one", "containerEdits": EDITS}]
    found = config(spec(devices=devices), environment=(("ONE", "0"),), user="33:33")
    env = dict(text.split("=", 1) for text in found["process"]["env"])
    assert (env["ONE"], env["NGINX"], env["EMPTY"]) == ("1", "2", "")
    nodes = {node["path"]: node for node in found["linux"]["devices"]}
    user = {"uid": 33, "gid": 33}
    toy = {"type": "c", "major": 240, "minor": 7}
    assert nodes["/dev/toy0"] == {"path": "/dev/toy0", **toy, "fileMode": 0o666, **user}
    assert nodes["/dev/toy1"] == {"path": "/dev/toy1", **toy, "fileMode": 0o640, "uid": 5, "gid": 6}
    assert nodes["/dev/made"]["type"] == "b" and nodes["/dev/pipe"]["type"] == "p"
    mounts = {mount["destination"]: mount for mount in found["mounts"]}
    assert mounts["/usr/lib/toy.so"]["options"] == ["ro", "nosuid", "bind"]
    assert (mounts["/etc/hostname"]["source"], mounts["/etc/hostname"]["options"]) == ("/run/toy", ["rbind"])
    assert (mounts["/toys"]["type"], mounts["/toys"]["options"]) == ("tmpfs", ["size=1m"])
    link = {"path": "/usr/bin/toy", "args": ["toy", "link"], "env": ["A=1"], "timeout": 5}
    assert found["hooks"] == {
        "createContainer": [link, {"path": "/usr/bin/two"}],
        "poststop": [{"path": "/usr/bin/end"}],
    }
    assert found["process"]["user"]["additionalGids"][-2:] == [44, 5]


def test_the_scope_lets_the_nodes_be_opened() -> None:
    """With the access that the vendor gives, also where several have the same number; a pipe needs none."""
    facts = dataclasses.replace(
        FACTS,
        cdi_specs=(spec(devices=[{"name": "one", "containerEdits": EDITS}]),),
        devices=(DeviceNode("/dev/toy0", "c", 240, 7, 0o600),),
    )
    found = policy(container(cdi_devices=("vendor.com/toy=one",)), facts)
    assert found[-3:] == (("/dev/char/240:7", "rw"), ("/dev/char/240:7", "rwm"), ("/dev/block/9:1", "rwm"))


def test_edits_of_the_whole_file_come_once_and_first() -> None:
    """With whichever of its devices, and not for one of another file."""
    devices = [{"name": n, "containerEdits": {"env": [f"N={n}", f"{n}=1"]}} for n in ("a", "b")]
    one = spec(devices=devices, containerEdits={"env": ["N=all"], "hooks": [{"hookName": "poststop", "path": "/x"}]})
    found = config(one, names=("vendor.com/toy=a", "vendor.com/toy=b"))
    assert found["hooks"] == {"poststop": [{"path": "/x"}]}
    assert {"N=b", "a=1", "b=1"} <= set(found["process"]["env"])
    other = spec("/etc/cdi/other.json", kind="vendor.com/other")
    assert "hooks" not in config(one, other, names=("vendor.com/other=one",))


def test_without_a_device_nothing_changes() -> None:
    """Specifications alone mean nothing."""
    assert config(spec(), names=()) == config(names=())


def test_all_of_a_kind() -> None:
    """A device of that name where the vendor has one; otherwise each."""
    devices = [{"name": n, "containerEdits": {"env": [f"{n}=1"]}} for n in ("a", "b")]
    env = config(spec(devices=devices), names=("vendor.com/toy=all",))["process"]["env"]
    assert {"a=1", "b=1"} <= set(env)
    named = [*devices, {"name": "all", "containerEdits": {"env": ["every=1"]}}]
    env = config(spec(devices=named), names=("vendor.com/toy=all",))["process"]["env"]
    assert "every=1" in env and "a=1" not in env


def test_the_later_directory_wins() -> None:
    """/run/cdi over /etc/cdi; two in one directory are a mistake of the host's."""
    late = spec("/run/cdi/a.json", devices=[{"name": "one", "containerEdits": {"env": ["ONE=2"]}}])
    assert "ONE=2" in config(spec(), late)["process"]["env"]
    assert "ONE=2" in config(spec("/etc/cdi/a.json"), spec(), late)["process"]["env"]
    with pytest.raises(UserError, match=r"both /etc/cdi/a.json and /etc/cdi/vendor.json describe it"):
        config(spec("/etc/cdi/a.json"), spec())


def test_a_device_that_is_not_described() -> None:
    """The message says what there is, and which files could not be read."""
    with pytest.raises(UserError, match=r"there is vendor.com/toy=one$"):
        config(spec(), names=("vendor.com/toy=two",))
    with pytest.raises(UserError, match=r"no specification of a device in /etc/cdi or /run/cdi"):
        config()
    with pytest.raises(UserError, match=r"/etc/cdi/x.json: permission denied"):
        config(HostText("/etc/cdi/x.json", problem="permission denied"))
    with pytest.raises(UserError, match=r"that can be read describes it. /etc/cdi/x.json:1: cannot be read"):
        config(HostText("/etc/cdi/x.json", "{"))
    assert "ONE=1" in config(HostText("/etc/cdi/x.json", "{"), spec())["process"]["env"]


def test_a_node_that_is_not_on_the_host() -> None:
    """Unless the vendor gives its number."""
    missing = [{"name": "one", "containerEdits": {"deviceNodes": [{"path": "/dev/nosuch"}]}}]
    with pytest.raises(UserError, match="device node /dev/nosuch: is not on this host"):
        config(spec(devices=missing))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"cdiVersion": "9.0.0"}, "cdiVersion: '9.0.0' is not known"),
        ({"cdiVersion": 1}, "cdiVersion: is not a text"),
        ({"devices": []}, "devices: is empty"),
        ({"devices": None}, "vendor.json: devices: is missing"),
        ({"devices": {}}, "devices: is not a list"),
        ({"devices": [1]}, r"devices\[0\]: is not an object"),
        ({"container": 1}, "container: is not known"),
        ({"containerEdits": {"netDevices": [{}]}}, "containerEdits.netDevices: network interfaces are not moved"),
        ({"containerEdits": {"intelRdt": {"closID": "a"}}}, "containerEdits.intelRdt: caches are not divided"),
        ({"containerEdits": {"env": ["a"]}}, r"containerEdits.env\[0\]: 'a' is not NAME=VALUE"),
        ({"containerEdits": {"env": [1]}}, r"containerEdits.env\[0\]: is not a text"),
        ({"containerEdits": {"hooks": [{"hookName": "x", "path": "/a"}]}}, r"hooks\[0\].hookName: 'x' is not one of"),
        ({"containerEdits": {"hooks": [{"hookName": "poststop", "path": "a"}]}}, r"hooks\[0\].path: is not an"),
        ({"containerEdits": {"mounts": [{"hostPath": "/a"}]}}, r"mounts\[0\].containerPath: is missing"),
        ({"containerEdits": {"deviceNodes": [{"path": "/a", "major": -1}]}}, r"deviceNodes\[0\].major: is not a"),
        ({"containerEdits": {"deviceNodes": [{"path": "/a", "type": "x"}]}}, r"deviceNodes\[0\]: type 'x'"),
        ({"containerEdits": {"additionalGids": ["a"]}}, r"additionalGids\[0\]: is not a number"),
        ({"containerEdits": {"additionalGids": [2**32 - 1]}}, r"additionalGids\[0\]: is not a group's number"),
        ({"devices": [{"name": "a", "edits": {}}]}, r"devices\[0\].edits: is not known"),
        ({"devices": [{"name": "a"}, {"name": "a"}]}, r"devices\[1\].name: 'a' is there twice"),
        ({"devices": [{"name": "a b"}]}, r"devices\[0\].name: 'a b' is not a name"),
        ({"kind": "toy"}, "kind: 'toy' is not VENDOR/CLASS"),
    ],
)
def test_a_mistake_names_its_place(changes: dict[str, Any], message: str) -> None:
    """In the words of the file."""
    with pytest.raises(UserError, match=message):
        parse(PATH, json.dumps(document(**changes)))


def test_what_nvidia_writes() -> None:
    """The file of the examples, with which the ollama of the gallery finds its cards: the same as in JSON."""
    text = (EXAMPLES / "nvidia.yaml").read_text()
    found = parse("/etc/cdi/nvidia.yaml", text)
    assert found == parse("/etc/cdi/nvidia.json", json.dumps(yaml.safe_load(text)))
    assert (found.kind, [name for name, _ in found.devices]) == ("nvidia.com/gpu", ["0", "all"])
    every = cdi.edits(container(cdi_devices=("nvidia.com/gpu=all",)), (HostText("/etc/cdi/nvidia.yaml", text),))
    assert [node.path for node in every.nodes][3:5] == ["/dev/nvidiactl", "/dev/nvidia0"]
    assert [hook.arguments[1] for hook in every.hooks] == ["create-symlinks", "update-ldcache"]
    assert every.mounts[1].options == ("ro", "nosuid", "nodev", "bind")


def test_one_that_is_written_by_hand() -> None:
    """Of the examples, too."""
    path = EXAMPLES / "stick.yaml"
    ((name, found),) = parse(str(path), path.read_text()).devices
    assert (name, found.nodes[0].path, found.nodes[0].mode) == ("stick", "/dev/zigbee", 0o660)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("name: one", "name: on", "4: devices[0].name: is not a text: on is a truth value in YAML; put it in quotes"),
        ("name: one", "names: one", "4: devices[0].names: is not known"),
        ("[ONE=1]", "[ONE]", "6: devices[0].containerEdits.env[0]: 'ONE' is not NAME=VALUE"),
        ("[ONE=1]", "[ONE=1", "6: cannot be read: "),
        ("env: [ONE=1]", "additionalGids: [044]", "6: devices[0].containerEdits.additionalGids[0]: is octal in YAML"),
        ("kind:", "kind: a.b/c\nkind:", "3: cannot be read: 'kind' is there twice, first in line 2"),
        ('"0.6.0"', "0.6", "1: cdiVersion: is not a text: 0.6 is a number in YAML; put it in quotes"),
    ],
)
def test_a_mistake_in_yaml_has_a_line(old: str, new: str, message: str) -> None:
    """Which is told when a device is not found for it."""
    text = 'cdiVersion: "0.6.0"\nkind: vendor.com/toy\ndevices:\n- name: one\n  containerEdits:\n    env: [ONE=1]\n'
    right = HostText("/etc/cdi/a.yaml", text)
    assert "ONE=1" in config(right)["process"]["env"]
    with pytest.raises(UserError, match=re.escape(f"/etc/cdi/a.yaml:{message}")):
        config(dataclasses.replace(right, text=text.replace(old, new)))


def test_a_number_may_name_a_device() -> None:
    """Without quotes, as with podman."""
    text = "cdiVersion: 0.5.0\nkind: vendor.com/toy\ndevices:\n- name: 0\n- name: 1:0\n"
    assert [name for name, _ in parse("/etc/cdi/a.yaml", text).devices] == ["0", "1:0"]


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["env", "path", "mounts"]), inner),
    max_leaves=6,
)


@given(st.text(max_size=30) | st.dictionaries(st.sampled_from(sorted(document())), VALUES).map(json.dumps))
def test_no_document_is_too_strange(text: str) -> None:
    """Anything is read or refused."""
    with contextlib.suppress(UserError):
        parse(PATH, text)


@given(st.sampled_from(sorted(EDITS)), VALUES)
def test_no_edit_is_too_strange(name: str, value: object) -> None:
    """The same inside."""
    with contextlib.suppress(UserError):
        cdi.edits(container(cdi_devices=("vendor.com/toy=one",)), (spec(containerEdits={name: value}),))
