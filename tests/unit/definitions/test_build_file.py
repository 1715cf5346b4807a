"""A ``.build`` file compiles into what its author wants built, or into every mistake it has."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.definitions.build_file import compile_unit
from supervisor.definitions.compiled import Compiled
from supervisor.definitions.coverage import State, keys
from supervisor.definitions.unitfile import parse
from supervisor.spec.container import PullPolicy
from supervisor.spec.sourcing import Build, Fetch

PATH = "/etc/ctr/web.build"
BASE = "ImageTag=web\nSetWorkingDirectory=unit\n"


def compiled(lines: str, rest: str = "") -> Compiled[Build]:
    result = compile_unit(parse(PATH, f"[Build]\n{lines}\n{rest}"))
    assert (result.defined is None) == bool(result.problems)
    return result


def build(lines: str, rest: str = "") -> Build:
    result = compiled(lines, rest)
    assert result.problems == () and result.defined is not None
    return result.defined


def problem(lines: str, rest: str = "") -> str:
    (found,) = compiled(lines, rest).problems
    return str(found)


def test_the_least() -> None:
    """A name, and where things are."""
    assert build(BASE) == Build("web", PATH, ("localhost/web",), context="/etc/ctr")


EFFECTS: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "Annotation": ("a=b", {"annotations": (("a", "b"),)}, {}),
    "Arch": ("x86_64", {}, {"architecture": "amd64"}),
    "AuthFile": ("/auth.json", {}, {"auth_file": "/auth.json"}),
    "BuildArg": ('A=1 "B=2 3" A=4', {"arguments": (("A", "4"), ("B", "2 3"))}, {}),
    "DNS": ("192.0.2.53", {"dns": ("192.0.2.53",)}, {}),
    "DNSOption": ("ndots:1", {"dns_options": ("ndots:1",)}, {}),
    "DNSSearch": ("example.org", {"dns_search": ("example.org",)}, {}),
    "Environment": ("A=b", {"environment": (("A", "b"),)}, {}),
    "File": ("sub/Recipe", {"file": "/etc/ctr/sub/Recipe"}, {}),
    "ForceRM": ("no", {"force_remove": False}, {}),
    "GroupAdd": ("audio", {"group_add": ("audio",)}, {}),
    "IgnoreFile": ("ignore", {"ignore_file": "/etc/ctr/ignore"}, {}),
    "ImageTag": ("quay.io/x:1", {"tags": ("localhost/web", "quay.io/x:1")}, {}),
    "Label": ("a=b", {"labels": (("a", "b"),)}, {}),
    "Network": ("none", {"network": "none"}, {}),
    "Pull": ("always", {"pull": PullPolicy.ALWAYS}, {}),
    "Retry": ("5", {}, {"retries": 5}),
    "RetryDelay": ("5s", {}, {"retry_delay": 5.0}),
    "Secret": ("id=a,src=./key", {"secrets": ("id=a,src=/etc/ctr/key",)}, {}),
    "SetWorkingDirectory": ("/srv/web", {"context": "/srv/web"}, {}),
    "Target": ("second", {"target": "second"}, {}),
    "TLSVerify": ("false", {}, {"tls_verify": False}),
    "Variant": ("v8", {}, {"variant": "v8"}),
    "Volume": ("./cache:/cache:rw", {"volumes": ("/etc/ctr/cache:/cache:rw",)}, {}),
}


@pytest.mark.parametrize("key", sorted(EFFECTS))
def test_a_key_changes_what_it_should_and_nothing_else(key: str) -> None:
    """Each key that is done has an effect, and only its own."""
    value, source, fetch = EFFECTS[key]
    expected = dataclasses.replace(build(BASE), **source, fetch=dataclasses.replace(Fetch(), **fetch))
    assert build(f"{BASE}{key}={value}") == expected


def test_every_done_key_is_tested() -> None:
    assert EFFECTS.keys() == {key.name for key in keys("Build") if key.state is State.DONE and key.section == "Build"}


@pytest.mark.parametrize(
    ("lines", "context", "recipe"),
    [
        ("SetWorkingDirectory=unit", "/etc/ctr", ""),
        ("SetWorkingDirectory=unit\nFile=x/R", "/etc/ctr", "/etc/ctr/x/R"),
        ("SetWorkingDirectory=file\nFile=x/R", "/etc/ctr/x", "/etc/ctr/x/R"),
        ("SetWorkingDirectory=file\nFile=/srv/R", "/srv", "/srv/R"),
        ("SetWorkingDirectory=web\nFile=R", "/etc/ctr/web", "/etc/ctr/web/R"),
        ("SetWorkingDirectory=/srv/web", "/srv/web", ""),
        ("File=/srv/web/R", "/srv/web", "/srv/web/R"),
        ("SetWorkingDirectory=/srv\nFile=/other/R", "/srv", "/other/R"),
        ("SetWorkingDirectory=Unit\nFile=R", "/etc/ctr", "/etc/ctr/R"),
        ("SetWorkingDirectory=FILE\nFile=x/R", "/etc/ctr/x", "/etc/ctr/x/R"),
        ("SetWorkingDirectory=unit\nFile=/srv/R", "/srv", "/srv/R"),
    ],
)
def test_where_the_context_is(lines: str, context: str, recipe: str) -> None:
    """podman-systemd.unit(5): the definition's directory, the recipe's, or the one that is named."""
    found = build(f"ImageTag=web\n{lines}")
    assert (found.context, found.file) == (context, recipe)


@pytest.mark.parametrize(
    ("lines", "context", "recipe"),
    [
        ("File=R", "/var/lib/web", "/var/lib/web/R"),
        ("SetWorkingDirectory=unit\nFile=R", "/var/lib/web", "/var/lib/web/R"),
        ("SetWorkingDirectory=file\nFile=R", "/var/lib/web", "/var/lib/web/R"),
        ("SetWorkingDirectory=./sub\nFile=R", "/var/lib/web", "/var/lib/web/R"),
        ("SetWorkingDirectory=/other\nFile=R", "/other", "/other/R"),
        ("File=/other/R", "/other", "/other/R"),
    ],
)
def test_the_working_directory_of_the_service(lines: str, context: str, recipe: str) -> None:
    """It counts more than what is relative to the definition, and less than an absolute context, as in quadlet.go; its
    specifiers are replaced."""
    found = build(f"ImageTag=web\n{lines}", "[Service]\nWorkingDirectory=%S/web\nTimeoutStartSec=20min\n")
    assert (found.context, found.file, found.fetch.timeout) == (context, recipe, 1200.0)


@pytest.mark.parametrize("value", ["sub", "~", "/srv/%H"])
def test_a_working_directory_that_is_none(value: str) -> None:
    """One message, with its line."""
    assert f"{PATH}:6: WorkingDirectory=" in problem(BASE, f"[Service]\nWorkingDirectory={value}\n")


@pytest.mark.parametrize(
    ("lines", "service", "path"),
    [
        ("SetWorkingDirectory=unit", "", "/etc/ctr/key"),
        ("SetWorkingDirectory=sub", "", "/etc/ctr/key"),
        ("SetWorkingDirectory=file\nFile=sub/R", "", "/etc/ctr/sub/key"),
        ("SetWorkingDirectory=/srv", "/other", "/other/key"),
        ("SetWorkingDirectory=unit", "/other", "/other/key"),
    ],
)
def test_where_a_secret_lies(lines: str, service: str, path: str) -> None:
    """In the working directory, in which podman would be run; where that is the root, nobody means it."""
    rest = f"[Service]\nWorkingDirectory={service}\n" if service else ""
    assert build(f"ImageTag=web\n{lines}\nSecret=id=a,src=key", rest).secrets == (f"id=a,src={path}",)
    assert "write an absolute path" in problem("ImageTag=web\nSetWorkingDirectory=/srv\nSecret=id=a,src=key")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("web", "localhost/web"),
        ("web:1", "localhost/web:1"),
        ("team/web", "localhost/team/web"),
        ("localhost/web", "localhost/web"),
        ("quay.io/web", "quay.io/web"),
        ("host:5000/web", "host:5000/web"),
    ],
)
def test_names_are_of_this_host(text: str, name: str) -> None:
    """Unless they say otherwise, as podman has it."""
    assert build(f"ImageTag={text}\nSetWorkingDirectory=unit").tags == (name,)


@pytest.mark.parametrize(("text", "policy"), [("true", "always"), ("false", "missing"), ("ifnewer", "newer")])
def test_podmans_words_for_pull(text: str, policy: str) -> None:
    """A boolean, too."""
    assert build(f"{BASE}Pull={text}").pull is PullPolicy(policy)


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ("SetWorkingDirectory=unit", "write ImageTag=localhost/web in [Build]"),
        ("ImageTag=web", "says not what to build; write File= or SetWorkingDirectory="),
        ("ImageTag=web\nFile=R", "is relative, and nothing says to what"),
        ("ImageTag=web\nSetWorkingDirectory=file", "needs File= beside it"),
        ("ImageTag=web\nFile=https://example.org/R", "download it, and write its path"),
        ("ImageTag=web\nSetWorkingDirectory=git://example.org/x", "download it, and write its path"),
        (f"{BASE}Network=bridge", "write host or none"),
        (f"{BASE}Network=x.network", "write host or none"),
        (f"{BASE}Network=none\nDNS=192.0.2.1", "there is nobody to ask"),
        (f"{BASE}DNS=server", "is not an address"),
        (f"{BASE}Volume=data:/x", "no named volumes"),
        (f"{BASE}Volume=x.volume:/x", "no named volumes"),
        (f"{BASE}Volume=/x", "write HOST:CONTAINER"),
        (f"{BASE}Volume=/x:/y:banana", "is no option of a build's volume"),
        (f"{BASE}Secret=id=a,env=B", "nothing secret is in the environment"),
        (f"{BASE}Secret=mine", "write id=NAME,src=PATH"),
        (f"{BASE}BuildArg=A", "has no value"),
        (f"{BASE}Target=a b", "is no stage"),
        (f"{BASE}Nothing=1", "no such key"),
    ],
)
def test_mistakes(lines: str, words: str) -> None:
    """One each, with what to write instead."""
    assert words in problem(lines)


@given(st.text(max_size=60), st.sampled_from([*sorted(EFFECTS), "PodmanArgs"]))
def test_any_text_gives_a_build_or_problems(value: str, key: str) -> None:
    """Never an exception."""
    compiled(f"{BASE}{key}={value}")
    compiled(f"ImageTag=x\n{key}={value}")
