"""Mounts: podman's defaults, the user's wishes, their order."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.errors import UserError
from supervisor.paths import Layout
from supervisor.render.mounts import OciMount, mounts, volume_directories
from supervisor.spec.container import Mount, MountType
from supervisor.spec.network import NetworkMode
from tests.unit.render.sample import FACTS, container


def by_target(facts: Any = FACTS, **changes: Any) -> dict[str, OciMount]:
    return {m.destination: m for m in mounts(container(**changes), facts, Layout())}


@pytest.mark.parametrize(
    ("kind", "options", "expected"),
    [
        (MountType.BIND, (), ("rw", "rprivate", "rbind")),
        (MountType.BIND, ("ro",), ("ro", "rprivate", "rbind")),
        (MountType.BIND, ("ro", "rslave", "bind", "noexec"), ("ro", "rslave", "noexec", "bind")),
        (MountType.BIND, ("z", "Z"), ("rw", "rprivate", "rbind")),
        (MountType.VOLUME, (), ("rw", "rprivate", "nosuid", "nodev", "rbind")),
        (MountType.VOLUME, ("suid", "ro", "nocopy"), ("ro", "rprivate", "nodev", "rbind")),
        (MountType.TMPFS, ("size=1m",), ("size=1m", "rw", "rprivate", "nosuid", "nodev", "tmpcopyup")),
        (MountType.TMPFS, ("notmpcopyup", "exec", "mode=1777"), ("mode=1777", "rw", "rprivate", "nosuid", "nodev")),
    ],
)
def test_options_are_completed_as_podman_does(
    kind: MountType, options: tuple[str, ...], expected: tuple[str, ...]
) -> None:
    """Compared with what podman 4.3 and 5.4 write into config.json for the same words."""
    source = {MountType.BIND: "/srv", MountType.VOLUME: "data", MountType.TMPFS: ""}[kind]
    assert by_target(mounts=(Mount(kind, "/x", source, options),))["/x"].options == expected


@pytest.mark.parametrize(
    "mount",
    [
        Mount(MountType.BIND, "x", "/srv"),
        Mount(MountType.BIND, "/", "/srv"),
        Mount(MountType.BIND, "//", "/srv"),
        Mount(MountType.BIND, "/a/../..", "/srv"),
        Mount(MountType.BIND, "/x", "srv"),
        Mount(MountType.TMPFS, "/x", "", ("O=1",)),
        Mount(MountType.BIND, "/x", "/srv", ("size=1",)),
        Mount(MountType.TMPFS, "/x", "", ("bind",)),
    ],
)
def test_what_cannot_be_mounted_is_named(mount: Mount) -> None:
    """A wrong target, source or option is an error that says which mount."""
    with pytest.raises(UserError, match="mount"):
        by_target(mounts=(mount,))


def test_two_mounts_on_one_target_are_refused() -> None:
    """The second would hide the first; a trailing slash does not make it another target."""
    with pytest.raises(UserError, match="given twice"):
        by_target(mounts=(Mount(MountType.TMPFS, "/x"), Mount(MountType.BIND, "/x/", "/srv")))


@given(st.lists(st.sampled_from(["/a", "/a/b", "/a/b/c", "/dev/x", "/run", "/run/.ctr-init/y", "/etc"]), unique=True))
def test_parents_come_before_children(targets: list[str]) -> None:
    """A mount is never hidden by one that was made later on its parent."""
    made = [
        m.destination
        for m in mounts(
            container(mounts=tuple(Mount(MountType.TMPFS, t) for t in targets), run_init=True, read_only=True),
            FACTS,
            Layout(),
        )
    ]
    for index, target in enumerate(made):
        assert not any(target.startswith(f"{later}/") for later in made[index + 1 :])


def test_network_files() -> None:
    """With the host's network its own files, read-only, if it has them; in networks those of the namespace, which the
    container may change; without a network ours, and no resolv.conf."""
    host = by_target(network=NetworkMode.HOST)
    assert host["/etc/hosts"].source == "/etc/hosts" and "ro" in host["/etc/hosts"].options
    assert host["/etc/resolv.conf"].source == "/etc/resolv.conf"
    bare = dataclasses.replace(FACTS, existing=frozenset())
    assert "/etc/resolv.conf" not in by_target(bare, network=NetworkMode.HOST)
    joined = by_target(network=NetworkMode.CONTAINER, network_container="other")
    for owner, targets in (("web", by_target()), ("other", joined)):
        for path in ("/etc/hosts", "/etc/resolv.conf"):
            mount = targets[path]
            directory = f"/var/lib/ctr/containers/{owner}/resolving"
            assert mount.source == f"{directory}/{path.removeprefix('/etc/')}" and "rw" in mount.options
    none = by_target(network=NetworkMode.NONE)
    assert none["/etc/hosts"].source == "/var/lib/ctr/containers/web/current/hosts"
    assert "/etc/resolv.conf" not in none


def test_a_user_mount_replaces_ours() -> None:
    """Whoever mounts /etc/hosts or /dev/shm wants that one."""
    found = by_target(mounts=(Mount(MountType.BIND, "/etc/hosts", "/srv/hosts"), Mount(MountType.TMPFS, "/dev/shm")))
    assert found["/etc/hosts"].source == "/srv/hosts"
    assert found["/dev/shm"].source == "tmpfs"


def test_timezones() -> None:
    """A zone's file, the host's with 'local', and a clear word about one that is not there or leads elsewhere."""
    assert by_target(timezone="Europe/Berlin")["/etc/localtime"].source == "/usr/share/zoneinfo/Europe/Berlin"
    assert by_target(timezone="local")["/etc/localtime"].source == "/etc/localtime"
    for wrong in ("Europe/Bärlin", "../../etc/shadow", "/etc/shadow"):
        with pytest.raises(UserError, match="timezone"):
            by_target(timezone=wrong)


def test_an_init_is_needed_for_run_init() -> None:
    """RunInit= on a host without one names the package."""
    assert by_target(run_init=True)["/run/.ctr-init"].source == "/usr/bin/tini-static"
    with pytest.raises(UserError, match="tini"):
        by_target(dataclasses.replace(FACTS, init_path=""), run_init=True)


def test_shared_memory_has_its_size_and_volumes_are_listed_once() -> None:
    """ShmSize= in bytes; a volume mounted at two places is one directory."""
    assert "size=4096" in by_target(shm_size=4096)["/dev/shm"].options
    two = container(mounts=(Mount(MountType.VOLUME, "/a", "v"), Mount(MountType.VOLUME, "/b", "v")))
    assert volume_directories(two, Layout()) == ("/var/lib/ctr/volumes/v",)
