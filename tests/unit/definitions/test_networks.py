"""Network= and what belongs to it, value by value; how lines go together is in test_quadlet."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.definitions import networks
from supervisor.definitions.context import Context
from supervisor.definitions.networks import Extras, attachments, choice
from supervisor.definitions.quadlet import compile_file
from supervisor.errors import UserError
from supervisor.spec.network import Attachment, NetworkMode


def test_on_a_command_line_there_are_no_files() -> None:
    """A network may be called ``x.network`` there; nothing stands for a file."""
    assert choice("x.network").attachment == Attachment("x.network")
    assert choice("x.container").attachment == Attachment("x.container")


@pytest.mark.parametrize(
    "text",
    ["", ":", "host:", "none:ip=1.2.3.4", "container", "container:", "container:-x", "a b", "../x", "pasta",
     "pasta:-t,auto", "slirp4netns", "private", "ns:/proc/1/ns/net", "pod:x", "a,b", "x:", "x:ip",
     "x:ip=", "x:ip=1", "x:ip6=1.2.3.4", "x:mac=00", "x:mac=01:00:00:00:00:00", "x:interface_name=0123456789abcdef",
     "x:interface_name=a/b", "x:alias=",
     "x:alias=a b", "x:host_interface_name=a", "x:ip=1.2.3.4,ip=1.2.3.5", "x:ip6=fe80::1%eth0"],
)  # fmt: skip
def test_refused(text: str) -> None:
    """What is no network, or no option of one."""
    with pytest.raises(UserError):
        choice(text)


@pytest.mark.parametrize("name", sorted(networks.RESERVED))
def test_a_network_is_not_called_like_a_word_of_network(name: str) -> None:
    """``Network=NAME`` would mean something else."""
    with pytest.raises(UserError, match="a meaning of its own"):
        networks.network_name(name)


def test_the_default_network_may_be_defined() -> None:
    """``ctr`` means itself."""
    assert networks.network_name("ctr") == "ctr" == choice("ctr").attachment.network  # type: ignore[union-attr]


def test_one_container_has_one_interface_of_a_name() -> None:
    """In the container's namespace the names are the container's."""
    with pytest.raises(UserError, match="the interface in0 is there twice"):
        networks.together(choice("a:interface_name=in0"), choice("b:interface_name=in0"))
    networks.together(choice("a:interface_name=in0"), choice("b:interface_name=in1"))


def test_extras_without_a_network_are_for_the_default_one() -> None:
    """``--ip`` alone, as podman does it."""
    assert attachments((), Extras()) == ()
    assert attachments((), Extras(ip="10.0.0.1", mac="02:00:00:00:00:01")) == (
        Attachment("ctr", ip="10.0.0.1", mac="02:00:00:00:00:01"),
    )
    assert attachments((choice("host"),), Extras()) == ()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("db:10.0.0.1", (("db", "10.0.0.1"),)),
        ("a;b:fd00:0::1", (("a", "fd00::1"), ("b", "fd00::1"))),
        ("a:[::1]", (("a", "::1"),)),
        ("a.example:host-gateway", (("a.example", "host-gateway"),)),
    ],
)
def test_hosts(text: str, expected: tuple[tuple[str, str], ...]) -> None:
    """NAME[;NAME]:ADDRESS, the address of either family."""
    assert networks.host(text) == expected


@pytest.mark.parametrize("text", ["", "a", ":1.2.3.4", "a:", "a:b", "a;:1.2.3.4", "a b:1.2.3.4", "a:1.2.3.4/8"])
def test_refused_hosts(text: str) -> None:
    """What /etc/hosts could not hold."""
    with pytest.raises(UserError):
        networks.host(text)


def test_names_for_lookups() -> None:
    """A final dot is no part of a search domain; '.' alone is none; options are one word."""
    assert (networks.search_domain("a.b."), networks.search_domain(".")) == ("a.b", ".")
    long = ".".join(["a" * 60] * 4)
    assert networks.search_domain(long) == long == networks.alias(long) == networks.host(f"{long}:::1")[0][0]
    with pytest.raises(UserError, match="at most 253"):
        networks.search_domain(f"{long}.{long}")
    assert networks.nameservers(("1.1.1.1", "::1", "1.1.1.1")) == ("1.1.1.1", "::1")
    assert networks.nameservers(("none", "none")) == ("none",)
    for bad in ("", "a b", "a\tb"):
        with pytest.raises(UserError):
            networks.resolver_option(bad)


WORDS = st.sampled_from(
    [
        "host",
        "none",
        "container",
        "bridge",
        "podman",
        "private",
        "ctr",
        "x.network",
        "y.network",
        "x.container",
        ":",
        "=",
        ",",
        "ip",
        "ip6",
        "mac",
        "alias",
        "interface_name",
        "10.0.0.1",
        "fd00::1",
        "02:00:00:00:00:01",
        "a",
        "%N",
        "%H",
        "${X}",
        "$$",
        '"',
    ]
)


@given(st.lists(WORDS, max_size=8).map("".join) | st.text(max_size=16))
def test_every_refusal_names_line_and_key(text: str) -> None:
    """Never an exception; what is accepted fits together."""
    line = text.replace("\n", "").replace("\r", "").rstrip("\\")
    context = Context(names={"x.network": "x", "x.container": "c"})
    result = compile_file("/d/a.container", f"[Container]\nImage=x\nNetwork={line}\n", context)
    for problem in result.problems:
        assert problem.line == 3 and (problem.key == "Network" or "control character" in problem.message)
    if found := result.defined:
        assert bool(found.network_container) == (found.network is NetworkMode.CONTAINER)
        assert not found.attachments or found.network is NetworkMode.NETWORKS
