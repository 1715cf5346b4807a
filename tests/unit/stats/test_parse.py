"""The kernel's files as values; what they hold that we do not know never fails."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.stats import parse
from supervisor.stats.usage import Cpu, Interface, Io, Pressure, Stall

COUNT = st.integers(min_value=0, max_value=2**63 - 1)

#: Debian 13, a container with a bridge.
NET_DEV = b"""\
Inter-|   Receive                                                |  Transmit
 face |bytes packets errs drop fifo frame compressed multicast|bytes packets errs drop fifo colls carrier compressed
    lo:     840      10    0    0    0     0          0         0      840      10    0    0    0     0       0     0
  eth0:    1442      17    1    2    0     0          0         0      558       7    3    4    0     0       0     0
"""


@pytest.mark.parametrize(("text", "value"), [(b"42\n", 42), (b"max\n", None), (b"", None), (b"-1\n", None)])
def test_a_number_or_none(text: bytes, value: int | None) -> None:
    """'max' is no limit, and so is a file that is not there."""
    assert parse.number(text) == value


def test_cpu_without_the_controller_tells_the_time_only() -> None:
    """cpu.stat exists in every group; what the controller adds is None without it."""
    assert parse.cpu(b"usage_usec 30\nuser_usec 20\nsystem_usec 10\n") == Cpu(30, 20, 10)
    assert parse.cpu(b"") is None


def test_cpu_with_a_limit() -> None:
    """cpu.max is a quota of a period; in cores it is what docker's --cpus says."""
    stat = b"usage_usec 30\nuser_usec 20\nsystem_usec 10\nnr_periods 5\nnr_throttled 4\nthrottled_usec 99\n"
    assert parse.cpu(stat, b"150000 100000\n") == Cpu(30, 20, 10, 5, 4, 99, 1.5)
    assert parse.cores(b"max 100000\n") is None
    assert parse.cores(b"1 0\n") is None


def test_io_adds_up_all_devices() -> None:
    """One line for each device; a device without any numbers is one that was never used."""
    data = b"8:0 rbytes=10 wbytes=20 rios=1 wios=2 dbytes=0 dios=0\n7:1 \n7:0 rbytes=5 wbytes=0 rios=1 wios=0\n"
    assert parse.io(data) == Io(15, 20, 2, 2)
    assert parse.io(b"") == Io()


def test_pressure() -> None:
    """'full' is missing for the processor on older kernels."""
    some = b"some avg10=1.50 avg60=0.25 avg300=0.00 total=1234\n"
    full = b"full avg10=0.00 avg60=0.00 avg300=0.00 total=7\n"
    assert parse.pressure(some) == Pressure(Stall(1234, 1.5, 0.25))
    assert parse.pressure(some + full) == Pressure(Stall(1234, 1.5, 0.25), Stall(7))
    assert parse.pressure(full) is None


def test_interfaces_without_the_loopback() -> None:
    """Received bytes, packets, errors, drops, and the same of what was sent."""
    assert parse.interfaces(NET_DEV) == (Interface("eth0", 1442, 17, 1, 2, 558, 7, 3, 4),)


def test_a_hostile_interface_name_stays_a_name() -> None:
    """Root in a container may name an interface with escape sequences, '=' or bytes that are no UTF-8."""
    found = parse.interfaces(NET_DEV.replace(b"eth0", b"\x1b[2J=\xff"))
    assert [(one.name, one.received_bytes) for one in found] == [("\x1b[2J=\ufffd", 1442)]


@given(st.dictionaries(st.from_regex(rb"[a-z_]{1,20}", fullmatch=True), COUNT))
def test_flat_files_round_trip(values: dict[bytes, int]) -> None:
    """Every key comes back with its value."""
    assert parse.flat(b"".join(b"%s %d\n" % pair for pair in values.items())) == values


@given(st.lists(st.tuples(COUNT, COUNT, COUNT, COUNT)))
def test_io_is_a_sum(devices: list[tuple[int, int, int, int]]) -> None:
    """The order and number of devices play no part."""
    lines = [b"8:%d rbytes=%d wbytes=%d rios=%d wios=%d\n" % (at, *one) for at, one in enumerate(devices)]
    sums = tuple(map(sum, zip(*devices, strict=True))) or (0, 0, 0, 0)
    assert parse.io(b"".join(reversed(lines))) == Io(*sums)


@given(st.binary(max_size=300))
def test_no_bytes_break_a_parser(data: bytes) -> None:
    """A kernel that writes something else reads as one that does not tell."""
    parse.number(data), parse.flat(data), parse.cpu(data, data), parse.io(data)
    parse.pressure(data), parse.interfaces(data), parse.pressure(b"some " + data)
    parse.interfaces(b"\n\n" + data)
