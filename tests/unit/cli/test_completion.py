"""Shell completion: what is offered where, and that the scripts are the packaged ones."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from supervisor.cli.completion import SCRIPTS, candidates
from supervisor.cli.main import VERBS
from supervisor.paths import Layout

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """A host with two containers."""
    for name in ("web", "db"):
        (tmp_path / "var/lib/ctr/containers" / name).mkdir(parents=True)
    return Layout(str(tmp_path))


def _words(layout: Layout, *words: str) -> list[str]:
    return [word for word, _ in candidates(words, layout)]


def test_verbs_first(layout: Layout) -> None:
    """The first word is a verb."""
    assert set(_words(layout, "")) == {*VERBS, "help"}
    assert _words(layout, "sta") == ["start", "stats"]
    assert _words(layout, "help", "un") == ["unpause"]


def test_containers_after_a_verb(layout: Layout) -> None:
    """Verbs that take names get names, also after options with values."""
    assert _words(layout, "stop", "") == ["db", "web"]
    assert _words(layout, "stop", "-t", "5", "w") == ["web"]
    assert _words(layout, "stop", "web", "d") == ["db"]
    assert _words(layout, "logs", "web", "") == []


def test_networks_after_the_actions_that_take_one(layout: Layout) -> None:
    """``rm`` and ``inspect`` get those that exist, ``create`` has to be given a new name."""
    Path(layout.networks).mkdir()
    for file in ("back.json", "ctr.json", ".half.json.new"):
        (Path(layout.networks) / file).write_text("{}")
    assert _words(layout, "network", "rm", "") == _words(layout, "network", "inspect", "") == ["back", "ctr"]
    assert _words(layout, "network", "rm", "back", "c") == ["ctr"]
    assert _words(layout, "network", "create", "") == []
    assert _words(layout, "port", "w") == ["web"]


def test_projects_after_graph(layout: Layout) -> None:
    """Those that a container belongs to; ``plot``, ``deps`` and ``diagnose`` get containers."""
    directory = Path(layout.units) / "ctr@web.service.d"
    directory.mkdir(parents=True)
    (directory / "50-ctr.conf").write_text("[X-Container]\nProject=shop\n")
    assert _words(layout, "graph", "") == ["shop"]
    assert _words(layout, "graph", "shop", "") == []
    assert _words(layout, "deps", "") == _words(layout, "diagnose", "") == _words(layout, "plot", "") == ["db", "web"]
    assert _words(layout, "deps", "web", "") == []


def test_options_and_their_choices(layout: Layout) -> None:
    """Options come from the verb's own parser, choices from the option."""
    assert "--follow" in _words(layout, "logs", "-")
    assert _words(layout, "ps", "--format", "") == ["table", "json"]
    assert _words(layout, "stop", "-t", "") == []
    assert _words(layout, "completion", "") == [*SCRIPTS, "words"]


def test_filters_of_ps(layout: Layout) -> None:
    """What they may be, the pods that there are among them."""
    shop = Path(layout.container("shop"))
    shop.mkdir()
    (shop / "pod.json").write_text("{}")
    assert _words(layout, "ps", "--filter", "p") == ["pod=shop"]
    assert _words(layout, "ps", "-a", "-f", "status=r") == ["status=running", "status=restarting"]
    assert "health=unhealthy" in _words(layout, "ps", "-f", "")
    assert _words(layout, "volume", "ls", "--filter", "") == []


def test_keys_after_explain(layout: Layout) -> None:
    """With their sections, as several have keys of one name."""
    found = dict(candidates(["check", "--explain", "Container.Mem"], layout))
    assert list(found) == ["Container.Memory"]
    assert "Pod.Volume" in dict(candidates(["check", "--explain", ""], layout))


def test_secrets_after_the_actions_that_take_one(layout: Layout) -> None:
    """``rm`` and ``inspect`` get those that exist, ``create`` has to be given a new name."""
    store = Path(layout.root) / "etc/credstore.encrypted"
    store.mkdir(parents=True)
    (store / "key").write_text("")
    assert "create" in _words(layout, "secret", "")
    assert _words(layout, "secret", "rm", "") == _words(layout, "secret", "inspect", "") == ["key"]
    assert _words(layout, "secret", "create", "") == []


def test_nothing_to_offer(layout: Layout) -> None:
    """Unknown verbs and what follows ``--`` are left to the shell."""
    assert _words(layout, "nonsense", "") == []
    assert _words(layout, "stop", "--", "") == []


@pytest.mark.parametrize(("shell", "file"), [("bash", "ctrctl.bash"), ("zsh", "_ctrctl"), ("fish", "ctrctl.fish")])
def test_packaged_scripts_are_these(shell: str, file: str) -> None:
    """contrib/completions holds what ``ctrctl completion`` prints."""
    assert (ROOT / "contrib/completions" / file).read_text() == SCRIPTS[shell]


@pytest.mark.parametrize(
    ("line", "replies"),
    [
        ("ctrctl st", ["start", "stop"]),
        ("ctrctl stop ", ["db", "web"]),
        ("ctrctl run localhost/nginx:la", ["latest"]),
        ("ctrctl ps --filter status=ru", ["running"]),
    ],
)
def test_bash_completes(tmp_path: Path, line: str, replies: list[str]) -> None:
    """The script, run by bash, turns the answer into replies; what stands before ':' or '=' is not repeated."""
    (tmp_path / "ctrctl").write_text(
        """#!/bin/bash
case "${@: -1}" in
st) printf 'start\\tx y\\nstop\\tz\\n' ;;
status=ru) printf 'status=running\\tstatus\\n' ;;
localhost/nginx:la) printf 'localhost/nginx:latest\\timage\\n' ;;
"") printf 'db\\tc\\nweb\\tc\\n' ;;
esac
"""
    )
    (tmp_path / "ctrctl").chmod(0o755)
    script = f"""{SCRIPTS["bash"]}
COMP_LINE={line!r}; COMP_POINT={len(line)}; _ctrctl; printf '%s\\n' "${{COMPREPLY[@]}}" """
    environ = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    done = subprocess.run(["bash", "-c", script], check=True, capture_output=True, text=True, env=environ)
    assert done.stdout.split() == replies
    assert done.stderr == ""
