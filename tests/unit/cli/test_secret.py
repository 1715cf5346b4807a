"""``ctrctl secret``: what it writes, lists, refuses and never prints. systemd-creds is the machine's own, or absent."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path

import pytest

from supervisor.cli.console import Console
from supervisor.cli.main import guarded
from supervisor.deploy.host import credential
from supervisor.paths import Layout
from supervisor.spec import codec
from supervisor.spec.container import Container
from supervisor.spec.record import Record
from supervisor.spec.secret import Secret

#: Stands for systemd-creds: takes the arguments ours must give it, writes it in ROT13.
CREDS = """#!/bin/sh
[ "$1" = encrypt ] && [ "$2" = "--name=$EXPECTED" ] && [ "$3 $4" = "- -" ] || exit 3
printf 'sealed:'; tr a-z n-za-m
"""
#: What it says on a host whose key cannot be made.
FAILING = (
    "#!/bin/sh\necho 'a hint' >&2\necho 'Failed to determine local credential host secret: Read-only' >&2\nexit 1\n"
)

STORE = "etc/credstore.encrypted"


class Outcome:
    """What one call printed and returned."""

    def __init__(self, root: Path, *argv: str, value: bytes = b"") -> None:
        out, err = io.StringIO(), io.StringIO()
        stdin = io.TextIOWrapper(io.BytesIO(value))
        self.code = guarded(("secret", *argv), Console(stdin, out, err, {}, Layout(str(root))))
        self.out, self.err = out.getvalue(), err.getvalue()


@pytest.fixture(autouse=True)
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory of programs in front of the machine's."""
    directory = tmp_path / "bin"
    directory.mkdir()
    install(directory, CREDS)
    monkeypatch.setenv("PATH", f"{directory}:{os.environ['PATH']}")
    monkeypatch.setenv("EXPECTED", "key")
    return directory


def install(directory: Path, text: str) -> None:
    (directory / "systemd-creds").write_text(text)
    (directory / "systemd-creds").chmod(0o755)


@pytest.fixture
def host(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    root.mkdir()
    return root


def put(host: Path, path: str) -> Path:
    file = host / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("opaque")
    return file


def deploy(host: Path, name: str, *secrets: str) -> None:
    """A deployed container that names *secrets*."""
    current = host / "var/lib/ctr/containers" / name / "current"
    current.mkdir(parents=True)
    spec = Container(name, "x", image="i", secrets=tuple(Secret(s, f"/run/secrets/{s}") for s in secrets))
    (current / "spec.json").write_text(codec.dumps(spec))
    (current / "deployed.json").write_text(codec.dumps(Record("x")))
    for file in ("spec.json", "deployed.json"):
        (current.parent / file).symlink_to(f"current/{file}")


# create


def test_a_value_is_encrypted_into_the_store(host: Path) -> None:
    """Directory 0700, file 0600, nothing beside it; the value goes through a pipe, never an argument."""
    outcome = Outcome(host, "create", "key", "-", value=b"hunter2")
    assert (outcome.code, outcome.out, outcome.err) == (0, "key\n", "")
    directory = host / STORE
    assert directory.stat().st_mode & 0o777 == 0o700
    assert os.listdir(directory) == ["key"]
    assert (directory / "key").stat().st_mode & 0o777 == 0o600
    assert (directory / "key").read_text() == "sealed:uhagre2"


def test_a_value_from_a_file(host: Path, tmp_path: Path) -> None:
    """FILE is read by us; a missing one is named."""
    (tmp_path / "value").write_text("abc")
    assert Outcome(host, "create", "key", str(tmp_path / "value")).code == 0
    assert (host / STORE / "key").read_text() == "sealed:nop"
    missing = Outcome(host, "create", "--replace", "key", "/nonexistent")
    assert (missing.code, "/nonexistent: No such file" in missing.err) == (125, True)


def test_one_that_exists_is_replaced_only_when_asked(host: Path) -> None:
    """And who will see the new value is said."""
    Outcome(host, "create", "key", "-", value=b"one")
    deploy(host, "web", "key")
    again = Outcome(host, "create", "key", "-", value=b"two")
    assert (again.code, again.err) == (125, "ctrctl: secret 'key': exists; use --replace\n")
    assert (host / STORE / "key").read_text() == "sealed:bar"
    replaced = Outcome(host, "create", "-r", "key", "-", value=b"two")
    assert (replaced.code, replaced.err) == (0, "web: will see the new value when started again\n")
    assert (host / STORE / "key").read_text() == "sealed:gjb"


def test_another_stores_credential_is_not_shadowed(host: Path) -> None:
    """A container would go on with the one it was deployed with; --replace does not help."""
    put(host, "etc/credstore/key")
    outcome = Outcome(host, "create", "--replace", "key", "-", value=b"x")
    assert (outcome.code, outcome.err) == (125, "ctrctl: secret 'key': exists; remove /etc/credstore/key first\n")


@pytest.mark.parametrize("value", [b"", b"x" * (1024 * 1024 + 1)])
def test_a_value_systemd_would_not_load_is_refused(host: Path, value: bytes) -> None:
    """Empty, or more than it takes for one unit."""
    outcome = Outcome(host, "create", "key", "-", value=value)
    assert outcome.code == 125
    assert "give it 1 to 1048576" in outcome.err
    assert not (host / STORE / "key").exists()


def test_what_systemd_creds_says_is_passed_on(host: Path, programs: Path) -> None:
    """Its last line and what to try; no half-written file stays, and the old value does."""
    Outcome(host, "create", "key", "-", value=b"one")
    install(programs, FAILING)
    outcome = Outcome(host, "create", "-r", "key", "-", value=b"two")
    assert outcome.code == 125
    assert "secret 'key': systemd-creds: Failed to determine local credential host secret: Read-only; " in outcome.err
    assert "'systemd-creds setup'" in outcome.err
    assert os.listdir(host / STORE) == ["key"]
    assert (host / STORE / "key").read_text() == "sealed:bar"


def test_without_systemd_creds(host: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An older systemd has none: said, and nothing is kept unencrypted instead."""
    monkeypatch.setenv("PATH", str(tmp_path / "nowhere"))
    outcome = Outcome(host, "create", "key", "-", value=b"x")
    assert (outcome.code, "systemd-creds: not installed" in outcome.err) == (125, True)
    assert os.listdir(host / STORE) == []


@pytest.mark.parametrize("name", ["../x", "a b", "", "a/b", ".x"])
def test_a_name_is_a_file_name(host: Path, name: str) -> None:
    """Nothing is written anywhere else."""
    outcome = Outcome(host, "create", name, "-", value=b"x")
    assert (outcome.code, "secret name" in outcome.err) == (125, True)
    assert list(host.iterdir()) == []


# ls, inspect


def test_all_stores_are_listed_the_first_wins(host: Path) -> None:
    """In the order in which deploy looks, with whether encrypted and by whom used; drafts and directories are none."""
    put(host, "etc/credstore/both")
    put(host, f"{STORE}/both")
    put(host, "run/credstore/plain")
    put(host, f"{STORE}/.key.17")
    (host / STORE / "directory").mkdir()
    deploy(host, "web", "both", "both")
    deploy(host, "db", "both")
    assert Outcome(host, "ls", "-q").out == "both\nplain\n"
    both, plain = json.loads(Outcome(host, "ls", "--format", "json").out)
    assert both["path"] == "/etc/credstore.encrypted/both"
    assert (both["encrypted"], both["used_by"]) == (True, ["db", "web"])
    assert (plain["encrypted"], plain["used_by"], plain["path"]) == (False, [], "/run/credstore/plain")
    assert both["modified"].endswith("Z")
    rows = Outcome(host, "ls").out.splitlines()
    assert rows[0].split() == ["NAME", "ENCRYPTED", "MODIFIED", "USED", "BY"]
    assert rows[1].split()[:2] == ["both", "yes"]
    assert rows[1].endswith("db, web")
    assert credential(Layout(str(host)), "both") == (both["path"], True)


def test_none_is_an_empty_table(host: Path) -> None:
    """No store, no secrets, no error."""
    assert Outcome(host, "ls", "--format", "json").out == "[]\n"
    assert Outcome(host, "ls", "-q").out == ""


def test_inspect_shows_all_but_the_value(host: Path) -> None:
    """Those that exist, and an error for the others."""
    put(host, f"{STORE}/key")
    outcome = Outcome(host, "inspect", "key", "nosuch")
    assert outcome.code == 125
    assert [found["name"] for found in json.loads(outcome.out)] == ["key"]
    assert "opaque" not in outcome.out
    assert "secret 'nosuch': does not exist" in outcome.err


# rm


def test_one_in_use_stays(host: Path) -> None:
    """Unless forced; the others go."""
    used, free = put(host, f"{STORE}/used"), put(host, "etc/credstore/free")
    deploy(host, "web", "used")
    outcome = Outcome(host, "rm", "used", "free", "nosuch")
    assert (outcome.code, outcome.out) == (125, "free\n")
    assert "secret 'used': used by web; remove it there first, or use --force" in outcome.err
    assert used.exists()
    assert not free.exists()
    assert Outcome(host, "rm", "-f", "used").code == 0
    assert not used.exists()


def test_a_packages_file_stays(host: Path) -> None:
    """What lies in /usr is not ours to remove."""
    file = put(host, "usr/lib/credstore/key")
    outcome = Outcome(host, "rm", "-f", "key")
    assert (outcome.code, "belongs to a package" in outcome.err) == (125, True)
    assert file.exists()
