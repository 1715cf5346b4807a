"""A ``.image`` file compiles into what its author wants fetched, or into every mistake it has."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.definitions.compiled import Compiled
from supervisor.definitions.coverage import State, keys
from supervisor.definitions.image_file import compile_unit
from supervisor.definitions.load import load
from supervisor.definitions.unitfile import parse
from supervisor.spec.container import PullPolicy
from supervisor.spec.sourcing import Fetch, ImageSource

PATH = "/etc/ctr/web.image"


def compiled(lines: str, rest: str = "") -> Compiled[ImageSource]:
    result = compile_unit(parse(PATH, f"[Image]\n{lines}\n{rest}"))
    assert (result.defined is None) == bool(result.problems)
    return result


def image(lines: str, rest: str = "") -> ImageSource:
    result = compiled(lines, rest)
    assert result.problems == () and result.defined is not None
    return result.defined


def problem(lines: str, rest: str = "") -> str:
    (found,) = compiled(lines, rest).problems
    return str(found)


def test_a_reference_is_enough() -> None:
    """Fetched when it is missing, as podman run does; the name is the file's."""
    assert image("Image=quay.io/team/web:1") == ImageSource("web", PATH, "quay.io/team/web:1")
    assert image("Image=docker://web").reference == "web"


EFFECTS: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "Arch": ("aarch64", {}, {"architecture": "arm64"}),
    "AuthFile": ("./auth.json", {}, {"auth_file": "/etc/ctr/auth.json"}),
    "CertDir": ("/etc/certs/", {}, {"certificates": "/etc/certs"}),
    "Creds": ("me:se:cret", {}, {"credentials": "me:se:cret"}),
    "Image": ("other:2", {"reference": "other:2"}, {}),
    "ImageTag": ("localhost/mine", {"tag": "localhost/mine"}, {}),
    "OS": ("linux", {}, {"os": "linux"}),
    "Policy": ("newer", {"pull": PullPolicy.NEWER}, {}),
    "Retry": ("0", {}, {"retries": 0}),
    "RetryDelay": ("1min 30s", {}, {"retry_delay": 90.0}),
    "TLSVerify": ("no", {}, {"tls_verify": False}),
    "Variant": ("v7", {}, {"variant": "v7"}),
}


@pytest.mark.parametrize("key", sorted(EFFECTS))
def test_a_key_changes_what_it_should_and_nothing_else(key: str) -> None:
    """Each key that is done has an effect, and only its own."""
    value, source, fetch = EFFECTS[key]
    expected = dataclasses.replace(image("Image=web"), **source, fetch=dataclasses.replace(Fetch(), **fetch))
    assert image(f"Image=web\n{key}={value}") == expected


def test_every_done_key_is_tested() -> None:
    assert EFFECTS.keys() == {key.name for key in keys("Image") if key.state is State.DONE and key.section == "Image"}


@pytest.mark.parametrize(
    "text", ["oci-archive:/srv/web.tar", "docker-archive:./web.tar:web:1", "dir:/srv/web", "oci:./x"]
)
def test_images_in_files(text: str) -> None:
    """Their paths become absolute; the name they shall have is said."""
    assert image(f"Image={text}\nImageTag=localhost/web").reference == text.replace("./", "/etc/ctr/")
    assert "write ImageTag= beside it" in problem(f"Image={text}")


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ("Arch=x", "says not what to fetch; write Image= in [Image]"),
        ("Image=web\nAllTags=yes", "write a .image file for each other one"),
        ("Image=web\nDecryptionKey=/k", "skopeo copy --decryption-key"),
        ("Image=web\nOS=windows", "does not run on this kernel"),
        ("Image=web\nArch=a b", "is no part of a platform"),
        ("Image=web\nAuthFile=auth.json", "is not absolute"),
        ("Image=web\nCreds=:x", "has no user name"),
        ("Image=web\nPolicy=sometimes", "is not a pull policy"),
        ("Image=web\nRetry=-1", "is not a number"),
        ("Image=containers-storage:web", "is of another tool's store"),
        ("Image=web\nImage", "has no '='"),
        ("Image=web\nNames=x", "no such key"),
    ],
)
def test_mistakes(lines: str, words: str) -> None:
    """One each, with what to write instead."""
    assert words in problem(lines)


def test_no_message_has_a_login() -> None:
    """A message is read by more people than the file."""
    assert "correct-horse" not in problem("Image=web\nCreds=me:correct-horse\x01")
    assert "correct-horse" not in problem("Image=web\nCreds=:correct-horse")


def test_it_is_no_unit() -> None:
    """Of the sections of systemd only the time it may take counts; others do nothing, and are said to, or refused where
    that would surprise."""
    result = compiled(
        "Image=web",
        "[Unit]\nDescription=x\nAfter=network-online.target\n[Service]\nRestart=always\nTimeoutStartSec=15min\n"
        "[Install]\nWantedBy=multi-user.target\n",
    )
    assert result.defined is not None and result.defined.fetch.timeout == 900
    assert [warning.key for warning in result.warnings] == ["After", "Restart", "WantedBy"]
    assert "runs no commands around it" in problem("Image=web", "[Service]\nExecStartPre=/bin/true\n")
    assert "no such key" in problem("Image=web", "[Service]\nTimeoutStart=1\n")


@pytest.mark.parametrize(("value", "seconds"), [("infinity", 86400.0), ("0", 86400.0), ("1d", 86400.0), ("", 0.0)])
def test_the_longest_time(value: str, seconds: float) -> None:
    """A day; systemd's words for no limit mean that."""
    assert image("Image=web", f"[Service]\nTimeoutSec={value}\n").fetch.timeout == seconds
    assert "a day is the longest" in problem("Image=web", "[Service]\nTimeoutSec=25h\n")


def _loaded(**files: str) -> tuple[tuple[object, ...], tuple[str, ...]]:
    texts = {f"/d/{name.replace('_', '.')}": text.encode() for name, text in files.items()}

    def read(path: str) -> bytes | tuple[str, ...]:
        if path == "/d":
            return tuple(sorted(name.removeprefix("/d/") for name in texts))
        if path not in texts:
            raise FileNotFoundError(2, "no such file", path)
        return texts[path]

    result = load("/d", read)
    found = tuple((c.image, c.fetched_by) for c in result.containers)
    return found, tuple(map(str, result.problems))


def test_containers_refer_to_it() -> None:
    """They run its further name, if it has one; what is wrong with the file is told once, there and here."""
    container = "[Container]\nImage=x.image\n"
    assert _loaded(x_image="[Image]\nImage=web:1\n", c_container=container) == ((("web:1", "x.image"),), ())
    tagged = "[Image]\nImage=web:1\nImageTag=localhost/w\n"
    assert _loaded(x_image=tagged, c_container=container)[0] == (("localhost/w", "x.image"),)
    assert "there is no x.image beside this definition" in _loaded(c_container=container)[1][0]
    problems = _loaded(x_image="[Image]\n", c_container=container)[1]
    assert "x.image has mistakes of its own" in problems[0] and "says not what to fetch" in problems[1]


@given(st.text(max_size=60), st.sampled_from([*sorted(EFFECTS), "AllTags", "PodmanArgs"]))
def test_any_text_gives_an_image_or_problems(value: str, key: str) -> None:
    """Never an exception."""
    compiled(f"Image=web\n{key}={value}")
