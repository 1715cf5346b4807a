"""Joining systemd's words with deployed files: phases, names, commands, scopes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from supervisor.cli import containers
from supervisor.cli.containers import Exit
from supervisor.errors import NotFoundError, UserError
from supervisor.lifecycle.phase import Phase
from supervisor.paths import Layout
from supervisor.stats.scopes import scope_directories

ENDED = Exit("a" * 32, "exit-code", "exited", 3, 1700000000.0)


def test_an_end_is_one_with_a_status() -> None:
    """Without a process there is none."""
    assert ENDED.is_an_end
    assert not Exit("", "resources", "", 0, 1.0).is_an_end


@pytest.mark.parametrize(("code", "status", "number"), [("exited", 3, 3), ("killed", 9, 137), ("dumped", 11, 139)])
def test_exit_numbers_are_a_shells(code: str, status: int, number: int) -> None:
    """128 plus the signal, as docker and podman report it."""
    assert Exit("", "", code, status, 0.0).number == number


def _deploy(root: Path, name: str, spec: dict[str, object], config: str = "") -> Layout:
    directory = root / "var/lib/ctr/containers" / name
    directory.mkdir(parents=True)
    (directory / "spec.json").write_text(json.dumps({"name": name, "source": "test", **spec}))
    if config:
        (directory / "config.json").write_text(config)
    return Layout(str(root))


def test_deployed_names_are_directories_with_names(tmp_path: Path) -> None:
    """Deploy's own half-finished work (names with a dot first) is not a container."""
    layout = _deploy(tmp_path, "web", {})
    (tmp_path / "var/lib/ctr/containers/.new.web").mkdir()
    assert containers.deployed(layout) == {"web"}
    assert containers.deployed(Layout(str(tmp_path / "elsewhere"))) == set()


def test_unknown_names_come_with_advice(tmp_path: Path) -> None:
    """The nearest name, or where to look."""
    layout = _deploy(tmp_path, "web", {})
    containers.check_deployed(["web"], layout)
    with pytest.raises(NotFoundError, match=r"^no container 'wbe'; did you mean 'web'\?$"):
        containers.check_deployed(["web", "wbe"], layout)
    with pytest.raises(NotFoundError, match=r"^no container 'zzz'; 'ctrctl ps -a' lists all$"):
        containers.check_deployed(["zzz"], layout)


def test_details_from_the_spec(tmp_path: Path) -> None:
    """Entrypoint and command of the spec are the command line when both are given."""
    layout = _deploy(
        tmp_path, "web", {"image": "nginx", "entrypoint": ["/e"], "command": ["a", "b"], "labels": [["k", "v"]]}
    )
    details = containers.read_details("web", layout)
    assert details is not None
    assert (details.image, details.command, details.labels) == ("nginx", ("/e", "a", "b"), (("k", "v"),))


def test_ports_from_the_record(tmp_path: Path) -> None:
    """deployed.json says where the ports ended up, and is not even opened for a container that publishes none."""
    record = json.dumps({"origin": "x", "ports": [{"container": 80, "host": 8080}]})
    for name, spec in (("web", {"ports": [{"container": 80}]}), ("all", {"publish_all": True}), ("none", {})):
        layout = _deploy(tmp_path, name, spec)
        (tmp_path / f"var/lib/ctr/containers/{name}/deployed.json").write_text(record)
        details = containers.read_details(name, layout)
        assert details is not None
        assert [port.host for port in details.ports] == ([] if name == "none" else [8080])


def test_a_pod_has_the_ports_of_what_is_in_it(tmp_path: Path) -> None:
    """As its network is the container's."""
    layout = _deploy(tmp_path, "web", {"pod": "shop"})
    _deploy(tmp_path, "shop", {})
    record = json.dumps({"origin": "x", "ports": [{"container": 80, "host": 8080}]})
    (tmp_path / "var/lib/ctr/containers/shop/deployed.json").write_text(record)
    details = containers.read_details("web", layout)
    assert details is not None
    assert (details.pod, [port.host for port in details.ports]) == ("shop", [8080])


def test_the_images_command_from_the_configuration(tmp_path: Path) -> None:
    """What the image adds is read from config.json, an init's own words left out, tricky values not mistaken."""
    tricky = {
        "ociVersion": "1.0.2",
        "process": {"env": ['X="args": ["no"]'], "args": ["/run/init", "--", "nginx", "-g", 'x "y"\ud7ff']},
        "linux": {"seccomp": {"syscalls": [{"args": [1]}]}},
    }
    layout = _deploy(tmp_path, "web", {"image": "nginx", "run_init": True}, json.dumps(tricky, indent=1))
    details = containers.read_details("web", layout)
    assert details is not None
    assert details.command == ("nginx", "-g", 'x "y"\ud7ff')


@pytest.mark.parametrize("size", [10, 8000, 8192, 20000])
def test_a_long_environment_does_not_hide_the_command(tmp_path: Path, size: int) -> None:
    """The command is found wherever it lies, also across the border of the part that is read first."""
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"process": {"env": ["A=" + "x" * size], "args": ["run", "me"]}}))
    assert containers.deployed_command(str(path)) == ("run", "me")


def test_a_configuration_without_a_command_is_no_error(tmp_path: Path) -> None:
    """Missing, empty or other files give an empty command."""
    assert containers.deployed_command(str(tmp_path / "none")) == ()
    (tmp_path / "odd").write_text('{"linux": {"args": ["no"]}}')
    assert containers.deployed_command(str(tmp_path / "odd")) == ()


def test_the_description_tells_the_image_to_everyone() -> None:
    """Without the right to read specs the image comes from the unit's description, if it still is ours."""
    from supervisor.systemd.manager import UnitStatus

    def unit(description: str) -> UnitStatus:
        return UnitStatus("ctr@web.service", description, "loaded", "active", "running", 0)

    nowhere = Layout("/nonexistent")
    for words, image in (("Container web (localhost/nginx:1)", "localhost/nginx:1"), ("My web (fast)", ""), ("", "")):
        found = containers.described("web", unit(words), nowhere)
        assert (found.image, found.readable) == (image, False)
    assert containers.described("web", None, nowhere).image == ""


def test_the_card_tells_the_image_to_everyone(tmp_path: Path) -> None:
    """Of a container that systemd has not loaded, or that describes itself in other words."""
    drop_in = tmp_path / "etc/systemd/system/ctr@web.service.d"
    drop_in.mkdir(parents=True)
    (drop_in / "50-ctr.conf").write_text("[X-Container]\nImage=localhost/nginx:1\n")
    assert containers.described("web", None, Layout(str(tmp_path))).image == "localhost/nginx:1"


@pytest.mark.parametrize("details", [True, False])
@pytest.mark.parametrize("readable", [True, False])
def test_a_working_oneshot_runs_for_everyone(tmp_path: Path, details: bool, readable: bool) -> None:
    """Whether specs may be read or not, or are not wanted (monitor); another that starts, starts."""
    from supervisor.systemd.manager import UnitStatus

    found = {}
    for name, oneshot in (("job", True), ("web", False)):
        if readable:
            _deploy(tmp_path, name, {"oneshot": oneshot})
        drop_in = tmp_path / f"etc/systemd/system/ctr@{name}.service.d"
        drop_in.mkdir(parents=True)
        (drop_in / "50-ctr.conf").write_text("[X-Container]\n" + "Oneshot=yes\n" * oneshot)
        unit = UnitStatus(f"ctr@{name}.service", "", "loaded", "activating", "start", 0)
        found[name] = containers._listing(name, unit, None, Layout(str(tmp_path)), details).phase
    assert found == {"job": Phase.RUNNING, "web": Phase.STARTING}


def test_last_exit_is_read(tmp_path: Path) -> None:
    """What cleanup wrote is what we see; rubbish is as good as nothing."""
    layout = _deploy(tmp_path, "web", {})
    path = tmp_path / "var/lib/ctr/containers/web/last-exit"
    assert containers.read_exit("web", layout) is None
    path.write_text('{"invocation": "ab", "result": "signal", "code": "killed", "status": 9, "time": 17.5}')
    last = containers.read_exit("web", layout)
    assert last is not None
    assert (last.invocation, last.result, last.number, last.time) == ("ab", "signal", 137, 17.5)
    path.write_text("{")
    assert containers.read_exit("web", layout) is None


def test_scopes_are_found_in_any_slice(tmp_path: Path) -> None:
    """Only slices are walked; other people's scopes are not ours."""
    root = tmp_path / "sys/fs/cgroup"
    for path in (
        "ctr.slice/ctr-web.scope",
        "ctr.slice/ctr-shop.slice/ctr-shop-db-1.scope/ctr-inner.scope",
        "my.slice/ctr-own.scope",
        "system.slice/foo.service/ctr-hidden.scope",
        "user.slice/session-1.scope",
    ):
        (root / path).mkdir(parents=True)
    assert set(scope_directories(Layout(str(tmp_path)))) == {"web", "shop-db-1", "own"}


def test_frozen_is_what_the_kernel_says(tmp_path: Path) -> None:
    """cgroup.freeze decides; no file, not frozen."""
    assert not containers.is_frozen(str(tmp_path))
    for text, frozen in (("0\n", False), ("1\n", True)):
        (tmp_path / "cgroup.freeze").write_text(text)
        assert containers.is_frozen(str(tmp_path)) is frozen


def test_the_invocation_link_gives_start_and_id(tmp_path: Path) -> None:
    """systemd's own link tells both without a call."""
    units = tmp_path / "run/systemd/units"
    units.mkdir(parents=True)
    layout = Layout(str(tmp_path))
    assert (containers.started_at("web", layout), containers.invocation_of("web", layout)) == (None, "")
    link = units / "invocation:ctr@web.service"
    link.symlink_to("ab" * 16)
    assert containers.invocation_of("web", layout) == "ab" * 16
    assert containers.started_at("web", layout) == link.lstat().st_mtime


def test_a_signal_has_a_number_and_a_name() -> None:
    """As events tell it, and with the name that people know; a real-time signal has none."""
    assert containers.signal_words(9) == "signal 9 (SIGKILL)"
    assert containers.signal_words(40) == "signal 40"


@pytest.mark.parametrize(("text", "number"), [("KILL", 9), ("SIGTERM", 15), ("hup", 1), ("9", 9), ("SIGRTMIN", 34)])
def test_signals_by_any_name(text: str, number: int) -> None:
    """With SIG or without, any case, or as a number."""
    assert containers.signal_number(text) == number


@pytest.mark.parametrize("text", ["FOO", "0", "999", "", "_IGN", "SIG_DFL", "-9"])
def test_no_such_signal(text: str) -> None:
    """Anything else is refused."""
    with pytest.raises(UserError, match="no such signal"):
        containers.signal_number(text)
