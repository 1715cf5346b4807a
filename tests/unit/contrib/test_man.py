"""The manual pages: nothing that a person can type or see in systemctl is missing from them."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import pytest

from supervisor.cli.main import VERBS, verb_parser

CHECKOUT = Path(__file__).resolve().parents[3]
MAN = CHECKOUT / "contrib" / "man"
UNITS = sorted(CHECKOUT.joinpath("units").glob("*.*"))
PROGRAM, SERVICES, API = MAN / "ctrctl.1", MAN / "ctr@.service.8", MAN / "io.ctr.Supervisor1.5"


def plain(text: str) -> str:
    """roff without its font changes and with plain hyphens."""
    return re.sub(r"\\f.", "", text).replace("\\-", "-").replace("\\(aq", "'")


def section(title: str) -> str:
    """What stands below ``.SS ctrctl TITLE``."""
    _, *parts = re.split(r"(?m)^\.S[SH] ", plain(PROGRAM.read_text()))
    (found,) = [part for part in parts if re.match(rf"ctrctl {title}(\s|$)", part)]
    return found


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_an_entry(verb: str) -> None:
    """One, under its own heading."""
    assert section(verb)


@pytest.mark.parametrize("verb", [verb for verb in VERBS if verb not in ("create", "image", "restart")])
def test_every_option_of_a_verb_is_in_its_entry(verb: str) -> None:
    """The longest spelling; the verbs left out refer to another's entry."""
    words = set(re.findall(r"--?[a-z][a-z0-9-]*", section(verb)))
    for action in verb_parser(verb)[1]._actions:
        if action.option_strings and action.help != argparse.SUPPRESS and action.dest != "help":
            assert max(action.option_strings, key=len) in words


@pytest.mark.parametrize("unit", [unit.name for unit in UNITS])
def test_every_unit_is_named(unit: str) -> None:
    """Templates as their files are called."""
    assert unit in plain(SERVICES.read_text())


def test_name_and_synopsis_have_every_unit() -> None:
    """``man ctr-apply.path`` finds the page by NAME; instances in SYNOPSIS are called NAME and the like."""
    text = plain(SERVICES.read_text())
    parts = {part.partition("\n")[0]: part for part in re.split(r"(?m)^\.SH ", text)}
    units = {
        unit.name for unit in UNITS if unit.suffix in (".service", ".socket", ".timer", ".path", ".target", ".slice")
    }
    assert set(re.findall(r"ctr[-.@\w]*\.\w+", parts["NAME"])) == units
    synopsis = re.sub(r'@"? [A-Z]+ ', "@", re.sub(r"(?m)^\.[A-Z]+ ", "", parts["SYNOPSIS"]))
    assert set(re.findall(r"ctr[-@\w]*\.\w+", synopsis)) == units


@pytest.mark.parametrize("unit", UNITS, ids=[unit.name for unit in UNITS])
def test_documentation_leads_to_a_page(unit: Path) -> None:
    """``systemctl help`` opens what Documentation= names."""
    pages = re.findall(r"man:(\S+)\((\d)\)", unit.read_text())
    assert pages
    assert all((MAN / f"{name}.{number}").is_file() for name, number in pages)


@pytest.mark.parametrize("page", [PROGRAM, SERVICES, API], ids=["ctrctl", "ctr@.service", "io.ctr.Supervisor1"])
def test_a_page_is_where_its_title_says(page: Path) -> None:
    """``contrib/install`` takes the section from the file's name; no text line is taken for a request by mistake."""
    name, number = page.stem, page.suffix[1:]
    assert re.search(rf"(?m)^\.TH {re.escape(name.upper())} {number} ", page.read_text())
    known = {"TH", "SH", "SS", "TP", "IP", "PP", "B", "I", "BR", "BI", "RB", "RI", "IR", "br", "EX", "EE", '\\"'}
    assert {line[1:].split()[0] for line in page.read_text().splitlines() if line[:1] in (".", "'")} <= known
