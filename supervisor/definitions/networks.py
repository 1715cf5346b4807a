"""Whose network a container sees: the values of Network=, NetworkAlias=, IP=, AddHost= and DNS*=, and of the options
of ``ctrctl run`` with the same meaning. Pure.

Follows podman-run(1) --network, --network-alias, --ip, --add-host and --dns. Whether a network exists is for others to
know.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from supervisor.definitions import values
from supervisor.errors import UserError
from supervisor.names import check_name
from supervisor.spec.network import DEFAULT, Attachment, NetworkMode

_MAC = re.compile(r"[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}")
_INTERFACE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,14}")

#: Words that mean the default network; podman's own is called 'podman'.
_DEFAULT_WORDS = frozenset({"bridge", "default", "podman", DEFAULT})

_USER_MODE = "is for rootless podman; remove the line for the default network, or name a network"
_REFUSED = {
    "slirp4netns": _USER_MODE,
    "pasta": _USER_MODE,
    "private": "says not which network; remove the line for the default network, or write none or a network's name",
    "ns": "cannot be joined by path; write container:NAME for the network of another container",
    "pod": "is no network; a definition joins a pod with Pod=NAME.pod",
}

#: What may stand in Network= without being a network's name.
RESERVED = frozenset({"host", "none", "container", *_DEFAULT_WORDS, *_REFUSED}) - {DEFAULT}

_OPTIONS = "ip=, ip6=, mac=, alias= and interface_name="


@dataclass(frozen=True, slots=True)
class Choice:
    """What one Network= says. *attachment* is set exactly with NetworkMode.NETWORKS, *container* with CONTAINER."""

    mode: NetworkMode
    attachment: Attachment | None = None
    container: str = ""


def network_name(text: str) -> str:
    """*text* if a network may be called so. A word that Network= knows would never mean the network."""
    check_name(text, "network name")
    if text in RESERVED:
        raise UserError(f"{text!r} has a meaning of its own in Network=; choose another name")
    return text


def choice(text: str, names: Mapping[str, str] | None = None) -> Choice:
    """``host``, ``none``, ``container:NAME``, or a network's name with ``:ip=…,alias=…``.

    *names* gives the meaning of ``NAME.network`` and ``NAME.container``, the definitions' file names; without it, on a
    command line, there are none.
    """
    word, colon, rest = text.partition(":")
    if word == "container":
        return Choice(NetworkMode.CONTAINER, container=check_name(rest))
    if word in _REFUSED:
        raise UserError(f"{word} {_REFUSED[word]}")
    if word in ("host", "none"):
        if colon:
            raise UserError(f"{values.short(text)}: {word} has no options; write {word} alone")
        return Choice(NetworkMode(word))
    if "," in word:
        raise UserError(f"{values.short(text)} names several networks; give each a line or an option of its own")
    if word.endswith(".container") and names is not None:
        if colon:
            raise UserError(f"{values.short(text)}: the network of another container has no options; write {word}")
        return Choice(NetworkMode.CONTAINER, container=_defined(word, names))
    return Choice(NetworkMode.NETWORKS, attachment(text, names))


def attachment(text: str, names: Mapping[str, str] | None = None) -> Attachment:
    """``NETWORK[:OPTION,…]``: `choice` with the attached network alone."""
    word, colon, rest = text.partition(":")
    if word.endswith(".network") and names is not None:
        network = _defined(word, names)
    else:
        network = DEFAULT if word in _DEFAULT_WORDS else network_name(word)
    found = Attachment(network)
    for option in rest.split(",") if colon else ():
        found = _with(found, option, text)
    return found


def _defined(file: str, names: Mapping[str, str]) -> str:
    if file in names:
        return names[file]
    raise UserError(f"there is no valid {file} beside this definition; add it, or write a name without suffix")


def _with(found: Attachment, option: str, text: str) -> Attachment:
    name, equals, value = option.partition("=")
    if name == "alias" and equals:
        return dataclasses.replace(found, aliases=(*found.aliases, alias(value)))
    member = {"ip": "ip", "ip6": "ip6", "mac": "mac", "interface_name": "interface"}.get(name)
    if member is None or not equals:
        raise UserError(f"{values.short(option or text)} is no option of a network; there are {_OPTIONS}")
    if getattr(found, member):
        raise UserError(f"{name}= is there twice; keep one")
    convert = {"ip": ipv4, "ip6": ipv6, "mac": mac, "interface": interface}[member]
    changes: dict[str, Any] = {member: convert(value)}
    return dataclasses.replace(found, **changes)


def together(first: Choice, other: Choice) -> None:
    """Raises `UserError` when one container cannot have both."""
    if first.attachment is None or other.attachment is None:
        raise UserError(f"{shown(first)} excludes {shown(other)}; keep one of the two")
    if first.attachment.network == other.attachment.network:
        raise UserError(f"the network {first.attachment.network} is there twice; keep one, with all its options")
    name = first.attachment.interface
    if name and name == other.attachment.interface:
        raise UserError(f"the interface {name} is there twice; choose another name for one")


def shown(one: Choice) -> str:
    """*one* as Network= writes it, without options."""
    if one.attachment is not None:
        return one.attachment.network
    return f"container:{one.container}" if one.container else one.mode.value


@dataclass(frozen=True, slots=True)
class Extras:
    """What keys beside Network= (``--network``) say of a container's attachments."""

    aliases: Sequence[str] = ()
    ip: str | None = None
    ip6: str | None = None
    mac: str | None = None


def attachments(choices: Sequence[Choice], extras: Extras) -> tuple[Attachment, ...]:
    """The attachments of a container: aliases go to every network, addresses need a single one (podman-run(1) --ip).

    Without *choices* the extras are for the default network. Raises `UserError` for extras that have no place.
    """
    found = [one.attachment for one in choices if one.attachment is not None]
    addresses = {"ip": extras.ip or "", "ip6": extras.ip6 or "", "mac": extras.mac or ""}
    given: dict[str, Any] = {member: value for member, value in addresses.items() if value}
    if not given and not extras.aliases:
        return tuple(found)
    if choices and not found:
        raise UserError(f"has no meaning with the network {shown(choices[0])}; remove it, or name a network")
    if given and len(found) > 1:
        option = next(iter(given))
        raise UserError(f"says not in which of the {len(found)} networks; write it as option, like NETWORK:{option}=…")
    if given and found and any(getattr(found[0], member) for member in given):
        raise UserError(f"is an option of the network {found[0].network} too; keep one of the two")
    return tuple(
        dataclasses.replace(one, aliases=tuple(dict.fromkeys((*one.aliases, *extras.aliases))), **given)
        for one in found or [Attachment(DEFAULT)]
    )


def ipv4(text: str) -> str:
    """An IPv4 address for one interface."""
    try:
        return str(ipaddress.IPv4Address(text))
    except ValueError as error:
        raise UserError(f"{values.short(text)} is not an IPv4 address; write one like 10.90.0.5") from error


def ipv6(text: str) -> str:
    """An IPv6 address for one interface, in its shortest form."""
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    try:
        found = ipaddress.IPv6Address(bare)
    except ValueError as error:
        raise UserError(f"{values.short(text)} is not an IPv6 address; write one like fd00:90::5") from error
    if found.scope_id:
        raise UserError(f"{values.short(text)} holds a zone, which is for the host's own interfaces; remove it")
    return str(found)


def address(text: str) -> str:
    """An address of either family; IPv6 with or without brackets."""
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    try:
        return ipv6(bare) if ":" in bare else ipv4(bare)
    except UserError as error:
        raise UserError(f"{values.short(text)} is not an IP address; write one like 10.90.0.5 or fd00:90::5") from error


def mac(text: str) -> str:
    """A hardware address in lower case; multicast ones belong to no single interface."""
    if not _MAC.fullmatch(text):
        raise UserError(f"{values.short(text)} is not a hardware address; write one like 92:d0:c6:0a:29:33")
    if int(text[:2], 16) & 1:
        raise UserError(f"{values.short(text)} is a multicast address; make its first byte even")
    return text.lower()


def interface(text: str) -> str:
    """The name of a network interface: at most 15 characters."""
    if _INTERFACE.fullmatch(text):
        return text
    raise UserError(
        f"{values.short(text)} is not an interface name; use letters, digits, '-', '_' and '.', at most 15 characters"
    )


def alias(text: str) -> str:
    """A further name of a container in a network."""
    try:
        return values.domain(text)
    except UserError as error:
        raise UserError(
            f"{values.short(text)} is no name for a network; use letters, digits, '-' and '.', at most 253 characters"
        ) from error


def host(text: str) -> tuple[tuple[str, str], ...]:
    """``NAME[;NAME…]:ADDRESS``: lines of /etc/hosts, where 'host-gateway' is an address too."""
    names, colon, where = text.partition(":")
    if not colon or not names:
        raise UserError(f"{values.short(text)} is no line for /etc/hosts; write NAME:ADDRESS, like db:10.90.0.5")
    found = where if where == "host-gateway" else address(where)
    return tuple((values.domain(name), found) for name in names.split(";"))


def nameserver(text: str) -> str:
    """An address of a name server, or 'none': /etc/resolv.conf stays the image's."""
    if text == "none":
        return text
    try:
        return address(text)
    except UserError as error:
        raise UserError(f"{values.short(text)} is not a name server; write its IP address, or none") from error


def nameservers(found: Sequence[str]) -> tuple[str, ...]:
    """The name servers of one container, each once. Raises `UserError` for 'none' beside others."""
    if "none" in found and len(set(found)) > 1:
        raise UserError("none excludes every other name server; keep one or the other")
    return tuple(dict.fromkeys(found))


def resolver_option(text: str) -> str:
    """One word behind ``options`` in resolv.conf(5)."""
    if text and not re.search(r"[\s\x00-\x1f\x7f]", text):
        return text
    raise UserError(f"{values.short(text)} is no resolver option; write one word, like ndots:1")


def search_domain(text: str) -> str:
    """A domain that short names are looked up in; '.' alone is none."""
    return text if text == "." else values.domain(text.removesuffix("."))


def no_resolver(mode: NetworkMode) -> str:
    """Why DNS and its options cannot be set with *mode* (podman-run(1) --dns), or '' where they can."""
    if mode is NetworkMode.CONTAINER:
        return "cannot be set with another container's network, whose resolv.conf it is; write it there"
    return "has no meaning without a network; remove it, or name a network" if mode is NetworkMode.NONE else ""


def no_hosts(mode: NetworkMode) -> str:
    """Why lines cannot be added to /etc/hosts with *mode*, or '' where they can."""
    if mode is NetworkMode.CONTAINER:
        return "cannot be set with another container's network, whose /etc/hosts it is; write it there"
    return ""
