"""The document's word on a user namespace comes back as it was, and an error of the kernel says what was wrong."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.network import addresses, document, record, users
from supervisor.spec.container import Container
from supervisor.spec.userns import IdMaps, IdRange

RANGES = st.lists(st.builds(IdRange, *(st.integers(0, 2**32 - 2),) * 3), min_size=1, max_size=4).map(tuple)


@given(RANGES, RANGES)
def test_maps_come_back(uids: tuple[IdRange, ...], gids: tuple[IdRange, ...]) -> None:
    """In the form that /proc/PID/uid_map takes, also for a container without networks."""
    found = record.Record(document.without_network("web", IdMaps(uids, gids)))
    assert [tuple(map(int, row)) for row in found.user_map] == [(r.container, r.host, r.length) for r in uids]
    assert [tuple(map(int, row)) for row in found.group_map] == [(r.container, r.host, r.length) for r in gids]
    assert (found.name, found.netavark, found.ports, found.dns) == ("web", "", (), ())


def test_beside_a_network() -> None:
    """Nothing else of the document changes."""
    network = addresses.complete(addresses.DEFAULT, (), ())
    leases = addresses.lease(Container("web", "test", image="i"), {network.name: network}, {}, ())
    arguments = (Container("web", "test", image="i"), "host1", {network.name: network}, leases, ())
    maps = IdMaps((IdRange(0, 5, 1),), (IdRange(0, 6, 1),))
    plain, mapped = document.text(*arguments), document.text(*arguments, maps)
    assert [line for line in mapped.splitlines() if line not in plain.splitlines()] == [
        "user-map=0\t5\t1",
        "group-map=0\t6\t1",
    ]
    assert record.Record(plain).user_map == ()


@pytest.mark.parametrize(("number", "expected"), [(0, 100), (4, 104), (5, -1), (9, 7), (10, -1)])
def test_outside(number: int, expected: int) -> None:
    """Of each range; -1 for who is not mapped."""
    assert users.outside((("0", "100", "5"), ("9", "7", "1")), number) == expected
