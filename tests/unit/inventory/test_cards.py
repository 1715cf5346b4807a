"""Cards: what everybody may know, read from what deploy wrote."""

from __future__ import annotations

from pathlib import Path

import pytest

from supervisor.inventory import cards
from supervisor.paths import Layout
from supervisor.spec.card import Card


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """systemd's directory of this host."""
    directory = tmp_path / "etc/systemd/system"
    directory.mkdir(parents=True)
    return directory


def write(units: Path, unit: str, text: str | bytes) -> None:
    directory = units / f"{unit}.d"
    directory.mkdir()
    (directory / "50-ctr.conf").write_bytes(text if isinstance(text, bytes) else text.encode())


def test_a_card_is_in_two_drop_ins(tmp_path: Path, units: Path) -> None:
    """The service's and its timer's; other sections' keys of the same name are not taken for it."""
    card = "[X-Container]\nImage=nginx\nProject=shop\n# Image=x\n"
    write(units, "ctr@web.service", f"[Unit]\nImage=no\n{card}[Service]\nA=b\n")
    write(units, "ctr-health@web.timer", "[Timer]\nIntervalSec=1\n[X-Probe]\nIntervalSec=2.5\n")
    assert cards.read("web", Layout(str(tmp_path))) == Card("web", "nginx", project="shop", interval=2.5)


@pytest.mark.parametrize(("line", "oneshot"), [("Oneshot=yes", True), ("Oneshot=no", False), ("Oneshot=", False)])
def test_whether_it_runs_to_completion(tmp_path: Path, units: Path, line: str, oneshot: bool) -> None:
    """As deploy writes it, or not."""
    write(units, "ctr@job.service", f"[X-Container]\n{line}\n")
    assert cards.read("job", Layout(str(tmp_path))) == Card("job", oneshot=oneshot)


def test_others_drop_ins_are_none_of_ours(tmp_path: Path, units: Path) -> None:
    """Of the template, of other units, and a person's own."""
    for unit in ("ctr@.service", "nginx.service", "ctr@bad name.service"):
        write(units, unit, "[X-Container]\nImage=x\n")
    (units / "ctr@mine.service.d").mkdir()
    assert cards.read_all(Layout(str(tmp_path))) == {}


@pytest.mark.parametrize("text", [b"\xff\xfe", b"", b"[X-Container]\nImage\n"])
def test_a_damaged_drop_in_is_no_crash(tmp_path: Path, units: Path, text: bytes) -> None:
    """It tells nothing, or nothing but the name."""
    write(units, "ctr@web.service", text)
    assert cards.read_all(Layout(str(tmp_path))) in ({}, {"web": Card("web")})


def test_an_interval_that_is_no_number_is_none(tmp_path: Path, units: Path) -> None:
    """Nobody is probed by it."""
    write(units, "ctr@web.service", "[X-Container]\n")
    write(units, "ctr-health@web.timer", "[X-Probe]\nIntervalSec=often\n")
    assert cards.read("web", Layout(str(tmp_path))) == Card("web")
