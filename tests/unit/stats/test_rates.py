"""Two readings make rates."""

from __future__ import annotations

from supervisor.stats.rates import Rates, Sampler, between
from supervisor.stats.usage import Cpu, Interface, Io, Memory, Pressure, Stall, Usage


def _usage(at: float, count: int, group: int = 1) -> Usage:
    return Usage(
        at,
        group,
        cpu=Cpu(count),
        io=Io(read_bytes=count, written_bytes=2 * count),
        cpu_pressure=Pressure(Stall(count)),
        interfaces=(Interface("eth0", received_bytes=count), Interface("eth1", sent_bytes=count)),
    )


def test_rates_are_per_second() -> None:
    """Two cores busy for half of two seconds are one core."""
    found = between(_usage(10, 0), _usage(12, 2_000_000))
    assert found == Rates(2, 1.0, 1e6, 2e6, 1e6, 1e6, 1.0)


def test_what_the_host_does_not_tell_has_no_rate() -> None:
    """No controller, no number, in either reading."""
    assert between(Usage(1, 1), Usage(2, 1)) == Rates(1)
    assert between(Usage(1, 1), _usage(2, 5)) == Rates(1)


def test_another_run_has_no_rate() -> None:
    """A restarted container counts from zero in another control group."""
    assert between(_usage(1, 900, group=1), _usage(2, 100, group=2)) is None
    assert between(None, _usage(2, 100)) is None
    assert between(_usage(2, 100), _usage(2, 200)) is None


def test_an_interface_that_went_away_gives_no_negative_rate() -> None:
    """`podman network disconnect` and the like take an interface's count with it."""
    gone = Usage(2, 1, interfaces=())
    found = between(_usage(1, 100), gone)
    assert found is not None
    assert found.received_bytes == 0


def test_the_sampler_forgets_what_ended() -> None:
    """A container that comes back begins anew, also with the same inode."""
    sampler = Sampler()
    assert sampler.feed({"web": _usage(1, 0)}) == {"web": None}
    assert sampler.feed({"web": _usage(2, 1_000_000)})["web"] is not None
    assert sampler.feed({}) == {}
    assert sampler.feed({"web": _usage(4, 0)}) == {"web": None}


def test_the_working_set_is_dockers_usage() -> None:
    """Without the page cache that the kernel drops first, never negative."""
    assert Memory(current=100, inactive_file=30).working_set == 70
    assert Memory(current=10, inactive_file=30).working_set == 0
