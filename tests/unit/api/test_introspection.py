"""Introspection data and the manual page: they say what `supervisor.api.tables` says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from dbus_next.introspection import Node

from supervisor.api.introspection import document
from supervisor.api.limits import ALL_PLACES, BURST, PATIENCE, PLACES, RATE
from supervisor.api.tables import CONTAINER, MANAGER, PROJECT, STANDARD, SUPERVISOR, Arguments, Interface
from supervisor.events.event import Kind
from supervisor.lifecycle.phase import Phase

PAGE = Path(__file__).resolve().parents[3] / "contrib/man/io.ctr.Supervisor1.5"
OURS = (SUPERVISOR, CONTAINER, PROJECT)
NAMES = [interface.name for interface in OURS]


def plain() -> str:
    """The page without font changes, on one line per line."""
    return re.sub(r"\\f.|(?m:^\.[BI]R? )", "", PAGE.read_text()).replace("\\-", "-")


def arguments(listed: Arguments, direction: str = "") -> list[str]:
    return [f"{direction}{kind} {name}" for name, kind in listed]


def declarations(interface: Interface) -> list[str]:
    """What the page has to have between the braces, line by line."""
    lines = ["methods:"] if interface.methods else []
    for method in interface.methods:
        listed = arguments(method.takes, "in ") + arguments(method.gives, "out ")
        lines.append(f"{method.name}({', '.join(listed)});")
    lines += ["signals:"] if interface.signals else []
    lines += [f"{name}({', '.join(arguments(listed))});" for name, listed in interface.signals]
    emits = {"true": "", "false": "silent ", "const": "const "}
    return [*lines, "properties:", *(f"{emits[p.emits]}readonly {p.type} {p.name};" for p in interface.properties)]


@pytest.mark.parametrize("interface", OURS, ids=NAMES)
def test_the_manual_page_declares_the_interface(interface: Interface) -> None:
    """Every member with its types, in this order, and no other."""
    found = re.search(rf"(?s)interface {re.escape(interface.name)} {{\n(.*?)\n  }};", plain())
    assert found
    assert [line.strip() for line in found[1].splitlines()] == declarations(interface)


@pytest.mark.parametrize("interface", OURS, ids=NAMES)
def test_the_manual_page_explains_every_member(interface: Interface) -> None:
    """Outside of the declarations."""
    prose = re.sub(r"(?s)\.EX.*?\.EE", "", plain())
    members = [item.name for item in (*interface.properties, *interface.methods)]
    assert [name for name in members if not re.search(rf"\b{name}\b", prose) and name != "Name"] == []


def test_the_manual_page_has_the_words_and_numbers_of_the_code() -> None:
    """Kinds, phases, limits."""
    prose = " ".join(plain().split())
    for word in (*(kind.value for kind in Kind), *(phase.value for phase in Phase)):
        assert re.search(rf"\b{word}\b", prose), word
    credits = (f"{BURST:,.0f} credits", f"{RATE:,.0f} a second", f"{PATIENCE:.0f} refusals")
    assert all(words in prose for words in (*credits, f"{ALL_PLACES} in all"))
    assert PLACES == 8 and "Eight actions" in prose


@pytest.mark.parametrize("interface", [*OURS, *STANDARD, MANAGER], ids=lambda interface: interface.name)
def test_introspection_data_is_what_the_table_says(interface: Interface) -> None:
    """As another library reads it."""
    node = Node.parse(document([interface], ["web_2d1"]))
    (found,) = node.interfaces
    assert [child.name for child in node.nodes] == ["web_2d1"]
    assert found.name == interface.name
    assert {(item.name, item.signature, item.access.value) for item in found.properties} == {
        (item.name, item.type, "read") for item in interface.properties
    }
    assert {(m.name, m.in_signature, m.out_signature) for m in found.methods} == {
        (m.name, m.signature, "".join(kind for _, kind in m.gives)) for m in interface.methods
    }
    assert {(s.name, s.signature) for s in found.signals} == {
        (name, "".join(kind for _, kind in listed)) for name, listed in interface.signals
    }
