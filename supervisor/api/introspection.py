"""Introspection data of our objects, as XML. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from supervisor.api.tables import Arguments, Interface

_DOCTYPE = (
    '<!DOCTYPE node PUBLIC "-//freedesktop//DTD D-BUS Object Introspection 1.0//EN"\n'
    ' "http://www.freedesktop.org/standards/dbus/1.0/introspect.dtd">\n'
)
_EMITS = "org.freedesktop.DBus.Property.EmitsChangedSignal"


def document(interfaces: Iterable[Interface], children: Iterable[str]) -> str:
    """The answer to Introspect of an object with these *interfaces* and *children* (the last part of their paths).

    Nothing is escaped: every word comes from `supervisor.api.tables` or is part of an object path.
    """
    lines = [line for interface in interfaces for line in _interface(interface)]
    lines += [f' <node name="{child}"/>' for child in children]
    return "\n".join([f"{_DOCTYPE}<node>", *lines, "</node>\n"])


def _interface(interface: Interface) -> Iterator[str]:
    yield f' <interface name="{interface.name}">'
    for method in interface.methods:
        yield f'  <method name="{method.name}">'
        yield from _arguments(method.takes, ' direction="in"')
        yield from _arguments(method.gives, ' direction="out"')
        yield "  </method>"
    for name, arguments in interface.signals:
        yield f'  <signal name="{name}">'
        yield from _arguments(arguments, "")
        yield "  </signal>"
    for item in interface.properties:
        yield f'  <property name="{item.name}" type="{item.type}" access="read">'
        yield f'   <annotation name="{_EMITS}" value="{item.emits}"/>'
        yield "  </property>"
    yield " </interface>"


def _arguments(arguments: Arguments, direction: str) -> Iterator[str]:
    for name, kind in arguments:
        yield f'   <arg name="{name}" type="{kind}"{direction}/>'
