"""The drop-in, the plan and the tree: what goes on lines that systemd and the launcher read."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.errors import UserError
from supervisor.inventory import cards
from supervisor.launcher.plan import Plan
from supervisor.paths import Layout
from supervisor.render import dropins, plan, signals
from supervisor.render.tree import TEMPLATE, tree
from supervisor.spec.card import Card
from supervisor.spec.container import (
    Container,
    Entry,
    LogDriver,
    Mount,
    MountType,
    ScopeProperty,
    UnitSections,
)
from supervisor.spec.image import Layer
from supervisor.spec.network import NetworkMode
from supervisor.systemd.scope import typed
from tests.unit.render.sample import FACTS, IMAGE, container

LAYERS = (Layer("erofs", "/img/1", "/img/1.tar"), Layer("directory", "/img/2"))


def parsed(**changes: Any) -> Plan:
    one = container(**changes)
    layers = LAYERS if one.image else ()
    return Plan(plan.text(one, IMAGE if one.image else None, layers, FACTS, Layout()))


def lines(one: Container) -> list[str]:
    return dropins.text(one, IMAGE, FACTS, Layout()).splitlines()


def test_the_launcher_reads_what_render_writes() -> None:
    """Both ends of the plan agree on every key."""
    read = parsed(
        environment=(("B", "1"), ("A", "2")),
        environment_files=("/etc/e1", "/etc/e2"),
        mounts=(Mount(MountType.VOLUME, "/v", "data"),),
        terminal=True,
        oneshot=True,
        log_driver=LogDriver.NONE,
    )
    assert (read.name, read.runtime, read.identifier) == ("web", "crun", "web")
    assert read.rootfs == "/run/ctr/containers/web/rootfs"
    assert read.layers == (("erofs", "/img/1", "/img/1.tar"), ("directory", "/img/2"))
    assert read.upper == "/var/lib/ctr/containers/web/layer" and read.fresh
    assert read.volumes == ("/var/lib/ctr/volumes/data",)
    assert read.env_files == ("/etc/e1", "/etc/e2") and read.env_keep == {"A", "B"}
    assert read.terminal and read.oneshot and not read.attach and read.log == "none"
    assert not parsed(keep_layer=True).fresh
    assert parsed(source="ctrctl run").attach
    direct = parsed(image=None, rootfs="/srv/root", command=("a",))
    assert direct.directory == "/srv/root" and not direct.layers and not direct.upper


def test_scope_properties_reach_systemd_typed() -> None:
    """Device policy, the default task limit, the stop settings, and what the definition set, which wins."""
    found = dict(typed(parsed(stop_timeout=1.5).properties))
    assert found["DevicePolicy"] == ("s", "strict")
    allowed = found["DeviceAllow"][1]
    assert isinstance(allowed, list) and ("/dev/null", "rwm") in allowed and ("char-*", "m") in allowed
    assert found["TasksMax"] == ("t", 2048)
    assert found["KillSignal"] == ("i", 3)
    assert found["TimeoutStopUSec"] == ("t", 1_500_000)
    mine = (
        ScopeProperty("TasksMax", "t", str(2**64 - 1)),
        ScopeProperty("DeviceAllow", "a(ss)", "/dev/null rw\nchar-input r"),
    )
    found = dict(typed(parsed(scope_properties=mine, devices=("/dev/fuse:r",)).properties))
    assert found["TasksMax"] == ("t", 2**64 - 1)
    allowed = found["DeviceAllow"][1]
    assert isinstance(allowed, list)
    assert allowed[-3:] == [("/dev/char/10:229", "r"), ("/dev/null", "rw"), ("char-input", "r")]


@pytest.mark.parametrize(("name", "kind"), [("DeviceAllow", "a(ss)"), ("IOReadBandwidthMax", "a(st)")])
def test_a_limit_on_a_device_that_is_not_there_is_refused(name: str, kind: str) -> None:
    """systemd would log it, and apply none."""
    limit = ScopeProperty(name, kind, f"/dev/null 5\n/dev/nosuch {'5' if kind == 'a(st)' else 'r'}")
    with pytest.raises(UserError, match="device /dev/nosuch: no such device node"):
        parsed(scope_properties=(limit,))


def test_privileged_has_no_device_policy() -> None:
    """It may open everything the host has."""
    assert not {"DevicePolicy", "DeviceAllow"} & set(dict(typed(parsed(privileged=True).properties)))


def test_an_image_without_layers_cannot_run() -> None:
    """There would be nothing to mount."""
    with pytest.raises(UserError, match="no layers"):
        plan.text(container(), IMAGE, (), FACTS, Layout())


def test_the_drop_in_carries_stop_settings_and_the_definitions_lines() -> None:
    """Ours first, so the author's lines win; a TimeoutStopSec= of the author's replaces ours."""
    sections = UnitSections(
        unit=(Entry("Description", "50% of %i"), Entry("After", "db.service")),
        service=(Entry("Restart", "always"), Entry("TimeoutStopSec", "70")),
    )
    found = lines(container(unit=sections, mounts=(Mount(MountType.BIND, "/x", '/srv/a b%"\\'),)))
    assert found[found.index("[Unit]") + 1 : found.index("[Service]") - 1] == [
        "Description=Container web (nginx)",
        "SourcePath=/etc/ctr/web.container",
        "Requires=ctr-netns@web.service",
        "After=ctr-netns@web.service",
        'RequiresMountsFor="/srv/a b%%\\"\\\\"',
        "Description=50% of %i",
        "After=db.service",
    ]
    service = found[found.index("[Service]") + 1 : found.index("[X-Container]") - 1]
    assert service == ["KillSignal=SIGQUIT", "Restart=always", "TimeoutStopSec=70"]


def test_the_drop_in_carries_what_everybody_may_know(tmp_path: Path) -> None:
    """The supervisor finds image, definition and project of a container where deploy put them."""
    layout = Layout(str(tmp_path))
    sections = UnitSections(unit=(Entry("PartOf", "ctr@shop.target"),))
    shown = container(unit=sections)
    directory = tmp_path / "etc/systemd/system/ctr@web.service.d"
    directory.mkdir(parents=True)
    (directory / "50-ctr.conf").write_text(dropins.text(shown, IMAGE, FACTS, layout))
    assert cards.read_all(layout) == {"web": Card("web", "nginx", IMAGE.id, shown.source, "shop")}
    (directory / "50-ctr.conf").write_text(dropins.text(container(oneshot=True), IMAGE, FACTS, layout))
    assert cards.read_all(layout) == {"web": Card("web", "nginx", IMAGE.id, shown.source, oneshot=True)}


@pytest.mark.parametrize(("seconds", "text"), [(10.0, "10s"), (0.2, "1s"), (1.25, "1250ms"), (math.inf, "infinity")])
def test_stop_timeouts(seconds: float, text: str) -> None:
    """systemd's own syntax; never so short that cleanup could not start."""
    assert f"TimeoutStopSec={text}" in lines(container(stop_timeout=seconds))


def test_no_time_to_stop_is_sigkill() -> None:
    """0 means "at once" to podman and "never" to systemd, and the timeout is also that of ExecStopPost=."""
    found = lines(container(stop_timeout=0.0))
    assert "KillSignal=SIGKILL" in found and "TimeoutStopSec=10s" in found


def test_oneshot_is_a_type_that_restart_must_fit() -> None:
    """systemd refuses to load the unit otherwise; better said at apply."""
    found = lines(container(oneshot=True))
    assert "Type=oneshot" in found and "RemainAfterExit=yes" in found
    with pytest.raises(UserError, match="Restart=always"):
        lines(container(oneshot=True, unit=UnitSections(service=(Entry("Restart", "always"),))))


@pytest.mark.parametrize(
    ("text", "value", "name"),
    [
        ("SIGTERM", 15, "SIGTERM"),
        ("quit", 3, "SIGQUIT"),
        ("9", 9, "SIGKILL"),
        ("SIGRTMIN+3", 37, "SIGRTMIN+3"),
        ("RTMAX-1", 63, "SIGRTMIN+29"),
        ("SIGRTMAX", 64, "SIGRTMIN+30"),
    ],
)
def test_stop_signals(text: str, value: int, name: str) -> None:
    """Every spelling that images use, as systemd wants it."""
    assert signals.number(text, "x") == value
    assert signals.name(value) == name


@pytest.mark.parametrize("text", ["", "0", "65", "SIGFOO", "SIGTERM+1", "SIGRTMIN-1", "SIGRTMIN+31", "²", "RTMIN+999"])
def test_unknown_stop_signals_are_refused(text: str) -> None:
    """It would make the unit unloadable."""
    with pytest.raises(UserError, match="stop signal"):
        signals.number(text, "image x")


CONTROL = st.sampled_from(["\n", "\r", "\t", "\x00", "\x1b", "\x7f", "\x85", "\u2028"])


@given(CONTROL, st.integers(0, 6))
def test_no_value_can_add_a_line(character: str, place: int) -> None:
    """A control character in anything that reaches the plan or the drop-in is refused with the value's name."""
    evil = f"/a{character}b"
    changes: dict[str, Any] = [
        {"source": evil},
        {"mounts": (Mount(MountType.BIND, "/x", evil),)},
        {"environment_files": (evil,)},
        {"image": None, "rootfs": evil, "command": ("a",)},
        {"scope_properties": (ScopeProperty("X", "s", evil),)},
        {"unit": UnitSections(service=(Entry("Slice", evil),))},
        {"unit": UnitSections(install=(Entry("WantedBy", evil),))},
    ][place]
    one = container(**changes)
    with pytest.raises(UserError):
        tree(one, IMAGE if one.image else None, LAYERS if one.image else (), FACTS, Layout())


def test_install_becomes_links() -> None:
    """As ``systemctl enable`` would make them; an empty value resets, words are listed once."""
    install = (
        Entry("WantedBy", "gone.target"),
        Entry("WantedBy", ""),
        Entry("WantedBy", "multi-user.target default.target default.target"),
        Entry("RequiredBy", "app.service"),
        Entry("UpheldBy", "x.target"),
        Entry("Alias", "httpd@web.service"),
    )
    made = tree(container(unit=UnitSections(install=install)), IMAGE, LAYERS, FACTS, Layout("/r")).links
    assert [link.path.removeprefix("/r/etc/systemd/system/") for link in made] == [
        "app.service.requires/ctr@web.service",
        "default.target.wants/ctr@web.service",
        "httpd@web.service",
        "multi-user.target.wants/ctr@web.service",
        "x.target.upholds/ctr@web.service",
    ]
    assert {link.target for link in made} == {TEMPLATE}


@pytest.mark.parametrize(
    "entry",
    [
        Entry("WantedBy", "../../../etc/x.target"),
        Entry("WantedBy", "a/b.target"),
        Entry("WantedBy", ".target"),
        Entry("WantedBy", "default"),
        Entry("WantedBy", "*.target"),
        Entry("Alias", "web.service"),
        Entry("Alias", "ctr@web.service"),
        Entry("Also", "x.service"),
    ],
)
def test_impossible_install_lines_are_refused(entry: Entry) -> None:
    """No link outside systemd's directory, none that systemd would reject."""
    with pytest.raises(UserError, match=r"^web: "):
        tree(container(unit=UnitSections(install=(entry,))), IMAGE, LAYERS, FACTS, Layout())


def test_the_digest_is_of_the_content() -> None:
    """Same container, same digest; anything that a reader could see changes it."""
    one = tree(container(), IMAGE, LAYERS, FACTS, Layout())
    assert one.digest == tree(container(), IMAGE, LAYERS, FACTS, Layout()).digest
    assert one.digest != tree(container(labels=(("a", "b"),)), IMAGE, LAYERS, FACTS, Layout()).digest
    secret = {f.path: f.mode for f in one.files}
    assert secret["spec.json"] == secret["config.json"] == secret["plan"] == 0o600
    other = dataclasses.replace(FACTS, hostname="elsewhere")
    assert one.digest == tree(container(), IMAGE, LAYERS, other, Layout()).digest


def test_how_a_container_reloads() -> None:
    """A signal goes to its program; a command is a process like the container's own, with other words."""
    assert "ExecReload=/usr/lib/ctr/ctr-reload web 1" in lines(container(reload_signal="SIGHUP"))
    assert not any(line.startswith("ExecReload=") for line in lines(container()))
    one = container(reload_command=("sh", "-c", "a b"), terminal=True, environment=(("A", "1"),))
    assert "ExecReload=/usr/lib/ctr/ctr-reload web --within 85" in lines(one)
    process = json.loads(tree(one, IMAGE, LAYERS, FACTS, Layout()).text("reload.json") or "")
    assert process["args"] == ["sh", "-c", "a b"] and not process["terminal"] and "A=1" in process["env"]
    assert tree(container(), IMAGE, LAYERS, FACTS, Layout()).text("reload.json") is None


def test_the_tag_of_the_lines() -> None:
    """The relay and journald put it into SYSLOG_IDENTIFIER; no specifier of systemd is read in it."""
    assert parsed(log_tag="a b%i").identifier == "a b%i"
    assert "SyslogIdentifier=a b%%i" in lines(container(log_tag="a b%i"))
    assert not any(line.startswith("SyslogIdentifier=") for line in lines(container()))


def test_the_hosts_environment_reaches_the_launcher() -> None:
    """As a flag: the launcher's own environment is what systemd gives the unit."""
    assert parsed(environment_host=True).env_host and not parsed().env_host


@pytest.mark.parametrize(
    ("entries", "within"),
    [
        ((), "85"),
        ((Entry("TimeoutStartSec", "4"),), "3"),
        ((Entry("TimeoutSec", "1s"),), "0.75"),
        ((Entry("TimeoutStartSec", "4"), Entry("TimeoutSec", "2min")), "115"),
        ((Entry("TimeoutStartSec", "infinity"),), ""),
        ((Entry("TimeoutStartSec", "0"),), ""),
        ((Entry("TimeoutStartSec", "%i"),), "85"),
    ],
)
def test_a_reload_ends_before_systemd_ends_it(entries: tuple[Entry, ...], within: str) -> None:
    """systemd would kill ctr-reload, and leave the command in the container."""
    made = container(reload_command=("a",), unit=UnitSections(service=entries))
    (line,) = [line for line in lines(made) if line.startswith("ExecReload=")]
    assert line.partition("ctr-reload web")[2] == (f" --within {within}" if within else "")


@pytest.mark.parametrize(
    ("changes", "owner"),
    [
        ({"network": NetworkMode.NETWORKS}, "web"),
        ({"network": NetworkMode.CONTAINER, "network_container": "db"}, "db"),
        ({"network": NetworkMode.POD, "pod": "shop"}, "shop"),
        ({"network": NetworkMode.NONE}, ""),
        ({"network": NetworkMode.HOST}, ""),
    ],
)
def test_whose_network_the_launcher_waits_for(changes: dict[str, Any], owner: str) -> None:
    """That of whoever the namespaces are made for; before the runtime begins only if that is to change it."""
    read = parsed(**changes)
    assert (read.network, read.network_first) == (owner, False)
    assert not parsed(**changes, sysctls=(("kernel.shm_rmid_forced", "1"),)).network_first
    if owner:
        assert parsed(**changes, sysctls=(("net.ipv4.conf.eth0.forwarding", "1"),)).network_first
