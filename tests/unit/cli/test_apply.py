"""ctrctl apply, and check of files: which definitions, which images, what is said."""

from __future__ import annotations

import argparse
import io
from pathlib import Path

import pytest

from supervisor.cli import apply, check
from supervisor.cli.console import Console
from supervisor.deploy.records import NetworkRecord, VolumeRecord
from supervisor.errors import DefinitionError
from supervisor.paths import Layout
from supervisor.spec import codec
from supervisor.spec.network import Network
from supervisor.spec.volume import Volume


class Terminal(Console):
    """A console whose output can be read."""

    def __init__(self, root: Path) -> None:
        self.out, self.err = io.StringIO(), io.StringIO()
        super().__init__(io.StringIO(), self.out, self.err, {}, Layout(str(root)))


@pytest.fixture
def console(tmp_path: Path) -> Terminal:
    (tmp_path / "etc/ctr").mkdir(parents=True)
    return Terminal(tmp_path)


MODULES = {"apply": apply, "check": check}


def run(verb: str, console: Console, *arguments: str) -> int:
    parser = argparse.ArgumentParser()
    MODULES[verb].configure(verb, parser)
    return MODULES[verb].run(verb, parser.parse_args(arguments), console)


def define(console: Terminal, name: str, text: str) -> Path:
    path = Path(console.layout.definitions, name)
    path.write_text(text)
    return path


def test_check_counts_what_is_valid(console: Terminal) -> None:
    """Without arguments it reads the whole directory."""
    define(console, "a.container", "[Container]\nImage=nginx\n")
    define(console, "b.container", "[Container]\nImage=nginx\n")
    assert run("check", console) == 0
    assert console.out.getvalue() == "valid: 2 containers\nkeys done: 2\n"


def test_every_mistake_comes_with_file_and_line(console: Terminal) -> None:
    """Definitions and settings in one list, for check and apply alike: nothing else happens."""
    path = define(console, "a.container", "[Container]\nImage=nginx\nStopTimeout=never\nNonsense=1\n")
    conf = define(console, "ctr.conf", "[ctr]\nruntime=x\n")
    for verb in ("check", "apply"):
        with pytest.raises(DefinitionError) as caught:
            run(verb, console)
        found = [str(p) for p in caught.value.problems]
        assert any(f.startswith(f"{path}:3: ") for f in found)
        assert any(f.startswith(f"{path}:4: ") for f in found)
        assert any(f.startswith(f"{conf}:2: ") for f in found)


def test_check_takes_files(console: Terminal) -> None:
    """A path that is not there is a mistake like any other."""
    path = define(console, "a.container", "[Container]\nImage=nginx\n")
    assert run("check", console, str(path)) == 0
    with pytest.raises(DefinitionError, match=r"missing\.container"):
        run("check", console, str(path.with_name("missing.container")))


def test_definitions_refer_to_what_is_deployed(console: Terminal) -> None:
    """One file can be checked alone; what its directory does not have any more is no excuse for the whole directory."""
    layout = console.layout
    for directory, name, record in (
        (
            layout.networks,
            "shop",
            NetworkRecord(Network("shop", f"{layout.definitions}/s.network"), Network("shop", "")),
        ),
        (layout.volume_records, "data", VolumeRecord(Volume("data", f"{layout.definitions}/d.volume"))),
    ):
        Path(directory).mkdir(parents=True)
        Path(directory, f"{name}.json").write_text(codec.dumps(record))
    text = "[Container]\nImage=nginx\nNetwork=s.network\nVolume=d.volume:/data\n"
    path = define(console, "a.container", text)
    assert run("check", console, str(path)) == 0
    with pytest.raises(DefinitionError) as caught:
        run("check", console)
    assert [problem.line for problem in caught.value.problems] == [3, 4]
