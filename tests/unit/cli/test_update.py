"""What ``ctrctl update`` makes of a container, before anything is done with it."""

from __future__ import annotations

import pytest

from supervisor.cli import run_limits
from supervisor.cli.parser import parser
from supervisor.cli.update import changed, configure
from supervisor.errors import UserError
from supervisor.spec.container import Container, Entry, ScopeProperty, UnitSections

INFINITY = str(2**64 - 1)
WEB = Container("web", "ctrctl run", image="nginx")


def limits(words: str, **before: str) -> dict[str, str]:
    options = parser("update", "summary", ())
    configure("update", options)
    args = options.parse_args([*words.split(), "web"])
    given = tuple(ScopeProperty(name, "t", value) for name, value in before.items())
    return {p.name: p.value for p in run_limits.properties(args, given)}


@pytest.mark.parametrize(
    ("words", "before", "after"),
    [
        ("-m 2k", {}, {"MemoryMax": "2048", "MemorySwapMax": "2048"}),
        ("-m 2k", {"MemoryMax": "5", "MemorySwapMax": "5"}, {"MemoryMax": "2048", "MemorySwapMax": "2048"}),
        ("-m 2k", {"MemoryMax": "5", "MemorySwapMax": "0"}, {"MemoryMax": "2048"}),
        ("-m 2k --memory-swap 3k", {"MemoryMax": "5"}, {"MemoryMax": "2048", "MemorySwapMax": "1024"}),
        ("--memory-swap 3k", {"MemoryMax": "2048"}, {"MemorySwapMax": "1024"}),
        ("--memory-swap -1", {"MemoryMax": "2048"}, {"MemorySwapMax": INFINITY}),
        ("-m 0", {"MemoryMax": "5", "MemorySwapMax": "5"}, {"MemoryMax": INFINITY, "MemorySwapMax": INFINITY}),
        ("--device-read-bps /dev/vda:1m", {}, {"IOReadBandwidthMax": "/dev/vda 1048576"}),
        ("--device-write-iops /dev/vda:0", {}, {"IOWriteIOPSMax": f"/dev/vda {INFINITY}"}),
        ("--blkio-weight-device /dev/vda:10", {}, {"IODeviceWeight": "/dev/vda 1"}),
    ],
)
def test_limits_stand_in_relation_to_those_in_force(words: str, before: dict[str, str], after: dict[str, str]) -> None:
    """Swap is counted from the memory that the container has; a choice about swap that was made stays."""
    assert limits(words, **before) == after


@pytest.mark.parametrize(
    ("words", "before", "message"),
    [
        ("--memory-swap 3k", {}, "--memory-swap: a limit for swap needs one for memory"),
        ("--memory-swap 1k", {"MemoryMax": "2048"}, "is less than the container's memory of 2048 bytes"),
        ("--device-read-bps /dev/vda", {}, "--device-read-bps: '/dev/vda' has no value"),
        ("--device-read-bps vda:1m", {}, "--device-read-bps: the device 'vda' is not absolute"),
        ("--device-write-iops /dev/vda:few", {}, "--device-write-iops: 'few'"),
    ],
)
def test_mistakes_name_the_option(words: str, before: dict[str, str], message: str) -> None:
    """Every message begins with what to correct."""
    with pytest.raises(UserError, match=message):
        limits(words, **before)


def test_other_limits_stay() -> None:
    """An amount takes the place of a share; a list grows, and its last word about a device counts."""
    old = (
        ScopeProperty("MemoryMaxScale", "u", "5"),
        ScopeProperty("CPUWeight", "t", "7"),
        ScopeProperty("IOReadIOPSMax", "a(st)", "/dev/a 1\n/dev/b 2"),
    )
    new = (ScopeProperty("MemoryMax", "t", "9"), ScopeProperty("IOReadIOPSMax", "a(st)", "/dev/b 3\n/dev/c 4"))
    made = changed(Container("web", "ctrctl run", image="nginx", scope_properties=old), new, None)
    assert {p.name: p.value for p in made.scope_properties} == {
        "CPUWeight": "7",
        "MemoryMax": "9",
        "IOReadIOPSMax": "/dev/a 1\n/dev/b 3\n/dev/c 4",
    }


def test_a_restart_policy_replaces_the_old_one_alone() -> None:
    """What else the unit has stays."""
    needs, score = Entry("Requires", "ctr@db.service"), Entry("OOMScoreAdjust", "5")
    base = Container("web", "ctrctl run", image="nginx", unit=UnitSections((needs,), (score,)))
    always = changed(base, (), "always")
    assert Entry("Restart", "always") in always.unit.service
    assert changed(always, (), "no") == base
    assert changed(changed(always, (), "on-failure:3"), (), "no") == base
    assert changed(always, (), None) == always


def test_what_is_removed_at_its_end_is_not_restarted() -> None:
    """As with ``run --rm --restart``."""
    with pytest.raises(UserError, match="--restart always: it is removed once it has stopped"):
        changed(Container("web", "ctrctl run", image="nginx", remove=True), (), "always")
