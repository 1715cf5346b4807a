"""SELinux labels are the policy's, with what the definition changes in them. No host of ours has SELinux: these rules
are go-selinux's, and tried here alone."""

from __future__ import annotations

import dataclasses

import pytest

from supervisor.errors import UserError
from supervisor.launcher.plan import Plan
from supervisor.paths import Layout
from supervisor.render import oci, plan
from supervisor.render.facts import Selinux
from supervisor.render.labels import Labels, labels, relabelled
from supervisor.render.users import Accounts
from supervisor.spec.container import Mount, MountType, NamespaceMode
from supervisor.spec.image import Layer
from supervisor.spec.security import Security
from tests.unit.render.sample import FACTS, IMAGE, container

POLICY = Selinux("system_u:system_r:container_t:s0", "system_u:object_r:container_file_t:s0")


def test_without_selinux_nothing_is_labelled() -> None:
    """Whatever the definition says."""
    assert labels(container(security=Security(label_type="a_t")), None) == Labels()


def test_a_container_has_a_level_of_its_own() -> None:
    """Two different categories, the same for processes and files, and for every deployment; another container's
    differ."""
    one, other = labels(container(name="one"), POLICY), labels(container(name="other"), POLICY)
    start, _, level = one.process.partition("container_t:")
    first, second = (int(c.removeprefix("c")) for c in level.removeprefix("s0:").split(","))
    assert start == "system_u:system_r:" and 0 <= first < second < 1022
    assert one.files == f"system_u:object_r:container_file_t:{level}"
    assert one.shared == "system_u:object_r:container_file_t:s0"
    assert one == labels(container(name="one"), POLICY) and one != other


def test_levels_are_spread() -> None:
    """A thousand containers share few."""
    assert len({labels(container(name=f"c{number}"), POLICY).process for number in range(1000)}) > 990


def test_what_the_definition_changes() -> None:
    """Type of processes, type of files, and the level of both."""
    asked = Security(label_type="a_t", label_file_type="b_t", label_level="s0:c1,c2")
    assert labels(container(security=asked), POLICY) == Labels(
        "system_u:system_r:a_t:s0:c1,c2", "system_u:object_r:b_t:s0:c1,c2", "system_u:object_r:b_t:s0"
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"security": Security(label=False)},
        {"privileged": True},
        {"pid_namespace": NamespaceMode.HOST},
        {"ipc_namespace": NamespaceMode.HOST},
    ],
)
def test_without_separation(changes: dict[str, object]) -> None:
    """The process keeps its parent's label, its files the one for such containers."""
    found = labels(container(**changes), POLICY)
    assert found == Labels("", "system_u:object_r:container_file_t:s0:c1022,c1023", "")


def test_a_policy_without_containers_is_told() -> None:
    """It names the package, when the definition asks for a label; else containers have none, as with podman."""
    for asked in (Security(label_type="a_t"), Security(label_file_type="a_t"), Security(label_level="s0")):
        with pytest.raises(UserError, match="container-selinux"):
            labels(container(security=asked), Selinux("", ""))
    assert labels(container(), Selinux("", "")) == Labels()


def test_what_is_relabelled() -> None:
    """z and Z as podman has them, every named volume for all, and nothing when there is no separation."""
    found = labels(container(), POLICY)
    bind, volume = Mount(MountType.BIND, "/a", "/b"), Mount(MountType.VOLUME, "/a", "b")
    assert relabelled(bind, found) == ""
    assert relabelled(dataclasses.replace(bind, options=("z",)), found) == found.shared
    assert relabelled(dataclasses.replace(bind, options=("Z",)), found) == found.files
    assert relabelled(volume, found) == found.shared
    assert relabelled(volume, Labels()) == ""


def test_the_configuration_carries_them() -> None:
    """process.selinuxLabel and linux.mountLabel; with nested labels the runtime is told how to label mounts."""
    facts = dataclasses.replace(FACTS, selinux=POLICY)
    one = container(security=Security(label_nested=True))
    found = oci.config(one, IMAGE, Accounts(), facts, Layout())
    expected = labels(one, POLICY)
    assert found["process"]["selinuxLabel"] == expected.process
    assert found["linux"]["mountLabel"] == expected.files
    assert found["annotations"] == {"run.oci.mount_context_type": "rootcontext"}
    plain = oci.config(one, IMAGE, Accounts(), FACTS, Layout())
    assert "selinuxLabel" not in plain["process"] and "mountLabel" not in plain["linux"]
    assert plain["annotations"] == {}


def test_a_volume_is_labelled_once() -> None:
    """Every start is told of it, but not to go through all of it again; what is asked for is done each time."""
    mounts = (
        Mount(MountType.VOLUME, "/a", "a"),
        Mount(MountType.VOLUME, "/b", "b", ("Z",)),
        Mount(MountType.BIND, "/c", "/srv/c", ("z",)),
    )
    one = container(mounts=mounts)
    facts = dataclasses.replace(FACTS, selinux=POLICY)
    found = Plan(plan.text(one, IMAGE, (Layer("directory", "/l"),), facts, Layout(), Accounts())).relabels
    assert [(source.rpartition("/")[2], once) for source, _, once in found] == [("a", "1"), ("b", ""), ("c", "")]
