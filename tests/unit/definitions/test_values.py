"""Single values: what is accepted, what it means, and that nothing but `UserError` is ever raised."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from supervisor.definitions import mounts, resources, specifiers, values
from supervisor.errors import UserError
from supervisor.spec.container import ScopeProperty, Ulimit

PLACE = mounts.Place("/etc/ctr", "web")


@pytest.mark.parametrize(
    ("function", "text", "value"),
    [
        *[(values.boolean, text, True) for text in ("1", "yes", "Y", "TRUE", "t", "On")],
        *[(values.boolean, text, False) for text in ("0", "no", "N", "false", "F", "off")],
        (values.size, "0", 0),
        (values.size, "512", 512),
        (values.size, "1b", 1),
        (values.size, "64k", 65536),
        (values.size, "1.5g", 1610612736),
        (values.size, "100MiB", 104857600),
        (values.size, "10 KB", 10240),
        (values.size, "2T", 2 * 1024**4),
        (values.duration, "90", 90.0),
        (values.duration, "1.5", 1.5),
        (values.duration, "1min 30s", 90.0),
        (values.duration, "1h30min", 5400.0),
        (values.duration, "250ms", 0.25),
        (values.duration, "2 h", 7200.0),
        (values.duration, "1M", 2629800.0),
        (values.duration, "3µs", 0.000003),
        (values.duration, "1w 2d 3hr 4m 5sec", 788645.0),
        (values.signal, "term", "SIGTERM"),
        (values.signal, "SIGINT", "SIGINT"),
        (values.signal, "RTMIN+3", "SIGRTMIN+3"),
        (values.signal, "09", "9"),
        (values.capability, "net_admin", "CAP_NET_ADMIN"),
        (values.capability, "Cap_Sys_Ptrace", "CAP_SYS_PTRACE"),
        (values.capability, "all", "ALL"),
        (values.ulimit, "nofile=1024:4096", Ulimit("nofile", 1024, 4096)),
        (values.ulimit, "RLIMIT_CORE=0", Ulimit("core", 0, 0)),
        (values.ulimit, "memlock=-1", Ulimit("memlock", -1, -1)),
        (values.ulimit, "nproc=5:unlimited", Ulimit("nproc", 5, -1)),
        (values.sysctl, "net.core.somaxconn=1024", ("net.core.somaxconn", "1024")),
        (values.sysctl, "fs.mqueue.msg_max=10", ("fs.mqueue.msg_max", "10")),
        (values.sysctl, "kernel.shm_rmid_forced=1", ("kernel.shm_rmid_forced", "1")),
        (values.environment, "A=", ("A", "")),
        (values.environment, "A=b=c\n", ("A", "b=c\n")),
        (values.label, "a", ("a", "")),
        (values.hostname, "a.example", "a.example"),
        (values.timezone, "America/Argentina/Buenos_Aires", "America/Argentina/Buenos_Aires"),
        (values.timezone, "local", "local"),
        (values.user, "0:007", "0:7"),
        (values.user, "www-data:adm", "www-data:adm"),
        (values.image, "docker.io/library/nginx:1.27@sha256:aa", "docker.io/library/nginx:1.27@sha256:aa"),
        (values.path, "//a/../b/.", "/b"),
        (resources.mask, "0", "01"),
        (resources.mask, "0-3,8", "0f01"),
        (resources.mask, "7 8", "8001"),
        (resources.memory, "0", ()),
        (resources.pids_limit, "-1", ScopeProperty("TasksMax", "t", str(2**64 - 1))),
    ],
)
def test_value(function: Callable[[str], object], text: str, value: object) -> None:
    """A value as people write it means what the manuals say."""
    assert function(text) == value


@pytest.mark.parametrize(
    ("function", "text", "instead"),
    [
        (values.boolean, "maybe", "write yes or no"),
        (values.boolean, "", "write yes or no"),
        (values.size, "-1", "like 512m"),
        (values.size, "1x", "like 512m"),
        (values.size, "\u0661", "like 512m"),
        (values.size, "9" * 5000, "like 512m"),
        (values.size, "999999999p", "write less"),
        (values.duration, "", "like '1min 30s'"),
        (values.duration, "infinity", "like '1min 30s'"),
        (values.duration, "5 parsecs", "like '1min 30s'"),
        (values.duration, "9" * 20 + "y", "write less"),
        (values.signal, "SIGTREM", "did you mean TERM?"),
        (values.signal, "0", "from 1 to 64"),
        (values.signal, "RTMIN+99", "write a name"),
        (values.capability, "NET_ADMN", "did you mean CAP_NET_ADMIN?"),
        (values.ulimit, "nofile", "write NAME=SOFT[:HARD]"),
        (values.ulimit, "nofile=5:4", "write the smaller one first"),
        (values.ulimit, "nofile=-1:4", "write the smaller one first"),
        (values.ulimit, "host", "write the limits themselves"),
        (values.sysctl, "kernel.hostname=x", "sysctl.d(5)"),
        (values.sysctl, "vm.swappiness=1", "sysctl.d(5)"),
        (values.sysctl, "net.core.somaxconn", "write NAME=VALUE"),
        (values.sysctl, "../x=1", "write NAME=VALUE"),
        (values.environment, "A", "write A=VALUE"),
        (values.environment, "=x", "write NAME=VALUE"),
        (values.label, "=x", "write NAME=VALUE"),
        (values.hostname, "a" * 65, "at most 64"),
        (values.hostname, "-a", "at most 64"),
        (values.timezone, "../etc", "Europe/Berlin"),
        (values.user, "4294967295", "from 0 to 4294967294"),
        (values.user, "a b", "write its name or number"),
        (values.user, "a:b:c", "write its name or number"),
        (values.group, "keep-groups", "name the groups"),
        (values.image, "-v", "write one like"),
        (values.image, "docker://nginx", "write one like"),
        (values.path, "a", "begin it with '/'"),
        (values.path, "/a\n", "remove it"),
        (resources.mask, "", "write numbers and ranges"),
        (resources.mask, "3-1", "write numbers and ranges"),
        (resources.mask, "99999", "write numbers and ranges"),
        (resources.pids_limit, "0", "write -1 for no limit"),
    ],
)
def test_refused_value(function: Callable[[str], object], text: str, instead: str) -> None:
    """A refusal quotes the value, shortly, and says what to write instead."""
    with pytest.raises(UserError) as raised:
        function(text)
    assert instead in str(raised.value)
    assert len(str(raised.value)) < 400


@pytest.mark.parametrize(
    ("key", "text", "expected"),
    [
        ("MemoryMax", "1G", ("MemoryMax", "t", str(1024**3))),
        ("MemoryMax", "infinity", ("MemoryMax", "t", "18446744073709551615")),
        ("MemorySwapMax", "0", ("MemorySwapMax", "t", "0")),
        ("MemoryMax", "50%", ("MemoryMaxScale", "u", "2147483648")),
        ("TasksMax", "100%", ("TasksMaxScale", "u", "4294967295")),
        ("StartupCPUWeight", "idle", ("StartupCPUWeight", "t", "0")),
        ("MemoryZSwapMax", "0", ("MemoryZSwapMax", "t", "0")),
        ("IOReadBandwidthMax", "/dev/vda 5M", ("IOReadBandwidthMax", "a(st)", "/dev/vda 5000000")),
        ("IOWriteIOPSMax", "/dev/vda  1K", ("IOWriteIOPSMax", "a(st)", "/dev/vda 1000")),
        ("IODeviceWeight", "/dev/vda 20", ("IODeviceWeight", "a(st)", "/dev/vda 20")),
        ("IODeviceLatencyTargetSec", "/dev/vda 25ms", ("IODeviceLatencyTargetUSec", "a(st)", "/dev/vda 25000")),
        ("DeviceAllow", "/dev/fuse", ("DeviceAllow", "a(ss)", "/dev/fuse rwm")),
        ("DeviceAllow", "char-pts rw", ("DeviceAllow", "a(ss)", "char-pts rw")),
        ("DevicePolicy", "auto", ("DevicePolicy", "s", "closed")),
        ("OOMPolicy", "kill", ("OOMPolicy", "s", "kill")),
        ("CPUQuota", "150%", ("CPUQuotaPerSecUSec", "t", "1500000")),
        ("CPUQuota", "0.5%", ("CPUQuotaPerSecUSec", "t", "5000")),
        ("CPUQuotaPeriodSec", "10ms", ("CPUQuotaPeriodUSec", "t", "10000")),
        ("CPUWeight", "idle", ("CPUWeight", "t", "0")),
        ("TasksMax", "infinity", ("TasksMax", "t", "18446744073709551615")),
        ("AllowedMemoryNodes", "1", ("AllowedMemoryNodes", "ay", "02")),
        ("IOAccounting", "on", ("IOAccounting", "b", "true")),
    ],
)
def test_scope_property(key: str, text: str, expected: tuple[str, str, str]) -> None:
    """A limit of [Service] becomes the D-Bus property of the scope."""
    assert resources.scope_property(key, text) == ScopeProperty(*expected)


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("MemoryMax", "0"),
        ("MemoryMax", "0%"),
        ("MemoryMax", "101%"),
        ("MemoryMax", "-1G"),
        ("StartupMemoryMax", "50%"),
        ("CPUQuota", "200x"),
        ("IOReadBandwidthMax", "5M"),
        ("IOReadBandwidthMax", "/dev/vda 0"),
        ("IOReadBandwidthMax", "/dev/v da 5M"),
        ("IOReadBandwidthMax", "/srv 5M"),
        ("IODeviceWeight", "/dev/vda idle"),
        ("DeviceAllow", "/etc/passwd r"),
        ("DeviceAllow", "/dev/fuse rx"),
        ("DevicePolicy", "open"),
        ("OOMPolicy", "ignore"),
        ("ManagedOOMSwap", "yes"),
        ("TasksMax", "0"),
        ("CPUQuota", "2"),
        ("CPUQuota", "0%"),
        ("CPUWeight", "0"),
        ("IOWeight", "idle"),
        ("CPUQuotaPeriodSec", "2s"),
    ],
)
def test_refused_limit(key: str, text: str) -> None:
    """Limits that would let nothing run, or that depend on the host, are refused."""
    with pytest.raises(UserError):
        resources.scope_property(key, text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("%N %n %p %% %t %h", "web ctr@shop.service web % /run /root"),
        ("100%", "100%"),
        ("%1 % ", "%1 % "),
        ("a$b $(c) $1", "a$b $(c) $1"),
        ("$$x $$$$ a$${b}", "$x $$ a${b}"),
    ],
)
def test_specifiers(text: str, value: str) -> None:
    """What is the same on every host is expanded as systemd would have; other '%' and '$' stay."""
    assert specifiers.expand(text, stem="web", unit="ctr@shop.service") == value


@given(st.text("ab-\\x2/%iINnpPjJfd \t", max_size=20), st.text("ab-@\\x20c%", min_size=1, max_size=12))
@example("%N", "a%%b")
def test_specifiers_in_units(text: str, stem: str) -> None:
    """What comes from a name is text for systemd to read: expanded by it once more, nothing of the name changes."""
    try:
        found = specifiers.in_unit(text, stem)
    except UserError:
        return
    names = specifiers.of_name(stem) | {"%": "%"}
    letter = re.compile("%([%A-Za-z])")
    expected = letter.sub(lambda match: names.get(match[1], match[0]), text)
    assert letter.sub(lambda match: "%" if match[1] == "%" else match[0], found) == expected


@pytest.mark.parametrize(
    ("text", "value"), [("a-b", "a/b"), ("a\\x2db", "a-b"), ("\\xc3\\xa9", "é"), ("\\x00\\xzz", "\\x00\\xzz")]
)
def test_unescape(text: str, value: str) -> None:
    """As systemd-escape(1) has it; what is no escape, or none that a setting can hold, stays."""
    assert specifiers.unescape(text) == value


@pytest.mark.parametrize("text", ["%i", "%H", "a%m", "%%%b", "${A}", "a${A}", "$A", "$1", "%y"])
def test_refused_specifiers(text: str) -> None:
    """What only systemd knows on the running host is refused by name."""
    with pytest.raises(UserError, match=r"write (the|%N)"):
        specifiers.expand(text, stem="web", unit="ctr@web.service")


UNITS = {"b": 1, "k": 1024, "m": 1024**2, "g": 1024**3, "": 1, "KiB": 1024, "MB": 1024**2}


@given(st.integers(0, 10**9), st.sampled_from(sorted(UNITS)))
def test_sizes_round_trip(number: int, unit: str) -> None:
    """A size written with any unit is that many bytes."""
    assert values.size(f"{number}{unit}") == number * UNITS[unit]


@given(st.integers(0, 2**62))
def test_durations_round_trip(microseconds: int) -> None:
    """A span written out in units is that long again."""
    seconds, rest = divmod(microseconds, 1_000_000)
    assert values.microseconds(f"{seconds // 60}min {seconds % 60}s {rest}us") == microseconds
    assert values.microseconds(f"{seconds}.{rest:06}") == microseconds


@given(st.sets(st.integers(0, 200), min_size=1))
def test_masks_round_trip(numbers: set[int]) -> None:
    """The bits that are set are the numbers of the list."""
    bits = int.from_bytes(bytes.fromhex(resources.mask(",".join(map(str, numbers)))), "little")
    assert {n for n in range(201) if bits >> n & 1} == numbers


PARSERS: list[Callable[[str], object]] = [
    values.boolean,
    values.size,
    values.duration,
    values.signal,
    values.capability,
    values.ulimit,
    values.sysctl,
    values.environment,
    values.label,
    values.hostname,
    values.timezone,
    values.user,
    values.group,
    values.image,
    values.path,
    resources.mask,
    resources.memory,
    resources.pids_limit,
    mounts.tmpfs,
    lambda text: mounts.volume(text, PLACE),
    lambda text: mounts.mount(text, PLACE),
    lambda text: specifiers.expand(text, stem="a", unit="b"),
    *[lambda text, key=key: resources.scope_property(key, text) for key in resources.KEYS],
]

#: Pieces that values are made of, so that the search comes further than the first character.
PIECES = st.lists(
    st.sampled_from(
        [
            "/",
            "a",
            ":",
            ",",
            "=",
            "-",
            ".",
            "..",
            "1",
            "9",
            "0",
            "%",
            " ",
            "\n",
            '"',
            "type",
            "bind",
            "source",
            "target",
            "ro",
            "mode",
            "size",
            "net.",
            "SIG",
            "RT",
            "MIN+",
            "é",
            "\u0663",
            "\0",
            "g",
            "s",
            "$",
            "{",
        ]
    )
    | st.text(max_size=3),
    max_size=12,
).map("".join)


@pytest.mark.parametrize("parser", PARSERS)
@settings(max_examples=40)
@given(text=PIECES)
def test_parsers_raise_only_user_errors(parser: Callable[[str], object], text: str) -> None:
    """Any text is a value or a `UserError` whose message is one printable line."""
    try:
        parser(text)
    except UserError as error:
        assert str(error)
        assert len(str(error)) < 500
