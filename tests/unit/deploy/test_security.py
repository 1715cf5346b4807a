"""What is found of a host's profiles, policies and descriptions of devices."""

from __future__ import annotations

from pathlib import Path

import pytest

from supervisor.deploy import security
from supervisor.paths import Layout
from supervisor.render.facts import HostText, Selinux
from supervisor.spec.container import Container
from supervisor.spec.security import Security


@pytest.fixture
def host(tmp_path: Path) -> Layout:
    return Layout(str(tmp_path))


def write(host: Layout, path: str, text: str) -> None:
    file = Path(host.root + path)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def test_a_host_without_modules(host: Layout) -> None:
    """None of both; and AppArmor that is compiled in and switched off is none."""
    assert (security.apparmor(host), security.selinux(host)) == (None, None)
    write(host, "/sys/module/apparmor/parameters/enabled", "N\n")
    assert security.apparmor(host) is None and not security.has_apparmor(host)
    write(host, "/sys/module/apparmor/parameters/enabled", "Y\n")  # in a container, which does not see the profiles
    assert security.apparmor(host) is None and not security.has_apparmor(host)


def test_loaded_profiles(host: Layout) -> None:
    """Their names may hold spaces; the mode is not part of them."""
    write(host, "/sys/module/apparmor/parameters/enabled", "Y\n")
    write(host, "/sys/kernel/security/apparmor/profiles", "strict (enforce)\na b (x) (complain)\n")
    assert security.apparmor(host) == {"strict", "a b (x)"}


def test_contexts_of_the_policy(host: Layout) -> None:
    """container-selinux's own file wins over the policy's, whose name is in the configuration; without any it is told
    when a container is rendered."""
    write(host, "/sys/fs/selinux/enforce", "1")
    assert security.selinux(host) == Selinux("", "")
    write(host, "/etc/selinux/config", "# x\nSELINUX=enforcing\nSELINUXTYPE=mls\n")
    write(host, "/etc/selinux/mls/contexts/lxc_contexts", 'process = "a:b:c:s0"\nfile = "d:e:f:s0"\n')
    assert security.selinux(host) == Selinux("a:b:c:s0", "d:e:f:s0")
    write(host, "/usr/share/containers/selinux/contexts", 'process="g:h:i:s0"\nfile="j:k:l:s0"\n; no\n')
    assert security.selinux(host) == Selinux("g:h:i:s0", "j:k:l:s0")


def test_descriptions_of_devices(host: Layout) -> None:
    """Both directories, the later one last; other files, directories and other containers' needs are passed over. A
    name in .yml is passed over too, as podman does it, and that is told."""
    for path in ("/run/cdi/a.json", "/etc/cdi/z.yaml", "/etc/cdi/b.json", "/etc/cdi/y.yml", "/etc/cdi/README"):
        write(host, path, path)
    Path(host.root + "/etc/cdi/dir.json").mkdir()
    Path(host.root + "/etc/cdi/c.json").symlink_to("nowhere")
    asks = Container("a", "x", cdi_devices=("v.com/c=1",))
    found = [one.path.removeprefix(host.root) for one in security.cdi_specs(host, (asks,))]
    assert found == ["/etc/cdi/b.json", "/etc/cdi/c.json", "/etc/cdi/y.yml", "/etc/cdi/z.yaml", "/run/cdi/a.json"]
    assert [one.problem for one in security.cdi_specs(host, (asks,)) if one.problem] == [
        "no such file or directory",
        "is not read; give it a name that ends in .json or .yaml",
    ]
    assert list(security.cdi_specs(host, (Container("a", "x"),))) == []


def test_profiles_that_are_named(tmp_path: Path) -> None:
    """Each once; what cannot be read, and why."""
    (tmp_path / "a").write_text("{}")
    (tmp_path / "b").write_bytes(b"\xff")
    named = [str(tmp_path / name) for name in "abc"]
    containers = [Container("x", "x", security=Security(seccomp=path)) for path in (*named, *named, "unconfined", "")]
    found = tuple(security.seccomp_profiles(containers))
    assert found == (
        HostText(named[0], "{}"),
        HostText(named[1], problem="is no text"),
        HostText(named[2], problem="no such file or directory"),
    )
