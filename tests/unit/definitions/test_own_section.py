"""[X-Ctr], the section that ctr has to itself, and the sockets of [Service]."""

from __future__ import annotations

import pytest

from supervisor.definitions import coverage
from supervisor.definitions.compiled import Compiled
from supervisor.definitions.load import load
from supervisor.definitions.quadlet import compile_file
from supervisor.spec.container import Container, Entry
from tests.unit.definitions.trees import tree


def compiled(*lines: str) -> Compiled[Container]:
    return compile_file("/etc/ctr/web.container", "\n".join(["[Container]", "Image=busybox", *lines]) + "\n")


def problem(*lines: str) -> str:
    found = compiled(*lines)
    assert found.defined is None
    return "; ".join(f"{one.line} {one.key}: {one.message}" for one in found.problems)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("10min", 600), ("90", 90), ("1h 30s", 3630), ("1s", 1), ("1500ms", 1.5), ("infinity", 0), ("", 0)],
)
def test_idle_time(text: str, seconds: float) -> None:
    """systemd's time spans; infinity, as nothing at all, is never."""
    found = compiled("[X-Ctr]", f"StopWhenIdleSec={text}")
    assert found.defined is not None
    assert found.defined.idle_timeout == seconds


def test_without_the_section_it_is_never_idle() -> None:
    """Sections of others that begin with X- are left alone."""
    found = compiled("[X-Other]", "StopWhenIdleSec=nonsense", "Key=x")
    assert found.defined is not None
    assert (found.defined.idle_timeout, found.warnings) == (0, ())


@pytest.mark.parametrize("text", ["0", "999ms", "-1", "soon", "5 apples", "9" * 30])
def test_a_time_that_cannot_be_is_refused(text: str) -> None:
    """Too short to tell, or no time at all."""
    assert problem("[X-Ctr]", f"StopWhenIdleSec={text}").startswith("4 StopWhenIdleSec: ")


def test_the_section_is_ours() -> None:
    """A key we do not know, or the section in other letters, is a mistake, not somebody else's business."""
    assert "did you mean StopWhenIdleSec?" in problem("[X-Ctr]", "StopWhenIdle=1")
    assert "did you mean [X-Ctr]?" in problem("[X-CTR]", "StopWhenIdleSec=1min")


def test_a_job_that_ends_is_not_idle() -> None:
    """Type=oneshot ends by itself."""
    assert "ends by itself" in problem("[Service]", "Type=oneshot", "[X-Ctr]", "StopWhenIdleSec=1min")


def test_the_table_explains_it() -> None:
    """As every other key."""
    (key,) = coverage.keys("X-Ctr")
    assert (key.name, key.state) == ("StopWhenIdleSec", coverage.State.DONE)


def test_sockets_of_another_unit_go_through() -> None:
    """systemd.service(5), Sockets= and NonBlocking=."""
    found = compiled("[Service]", "Sockets=a.socket b.socket", "NonBlocking=yes")
    assert found.defined is not None
    assert found.defined.unit.service == (Entry("Sockets", "a.socket b.socket"), Entry("NonBlocking", "yes"))


@pytest.mark.parametrize("kind", ["Pod", "Network", "Volume", "Image", "Build"])
def test_the_section_is_a_containers(kind: str) -> None:
    """In another file nobody would read it."""
    text = f"[{kind}]\nImage=x\nImageTag=x\nFile=/x\n[X-Ctr]\nStopWhenIdleSec=1min\n"
    path = f"/d/x.{kind.lower()}"
    loaded = load(path, tree({path: text.encode()}))
    said = "[X-Ctr] has a meaning in .container files only: its keys are about one container; move it there"
    assert f"{path}:5: {said}" in [str(problem) for problem in loaded.problems]
