"""aardvark-dns's files: whole, for whoever is up, and never one network's names in another's."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from supervisor.network import addresses, document, record
from supervisor.network.dns import files
from supervisor.spec.container import Container
from supervisor.spec.network import Attachment, Network

_A = addresses.complete(Network("a", "test", ipv6=True, nameservers=("9.9.9.9",)), (), ())
_B = addresses.complete(Network("b", "test"), (_A,), ())
NETWORKS = {"a": _A, "b": _B}

memberships = st.lists(st.sets(st.sampled_from(["a", "b"]), min_size=1), max_size=8)


def records(members: list[set[str]]) -> list[record.Record]:
    taken: dict[str, dict[str, str]] = {"a": {}, "b": {}}
    found = []
    for number, networks in enumerate(members):
        attachments = tuple(Attachment(n) for n in sorted(networks))
        container = Container(f"c{number}", "test", image="i", attachments=attachments)
        leases = addresses.lease(container, NETWORKS, taken, ())
        for lease in leases:
            taken[lease.network].update(dict.fromkeys(lease.addresses, container.name))
        found.append(record.Record(document.text(container, container.name, NETWORKS, leases, ())))
    return found


@given(memberships, st.randoms())
def test_each_file_has_its_own_members(members: list[set[str]], random: st.random.Random) -> None:  # type: ignore[name-defined]
    """As aardvark-dns reads it: addresses and names of exactly those who are in the network; order does not matter."""
    up = records(members)
    found = files(up)
    random.shuffle(up)
    assert files(up) == found
    for network in ("a", "b"):
        wanted = {f"c{n}" for n, networks in enumerate(members) if network in networks}
        assert (network in found) == bool(wanted)
        if not wanted:
            continue
        head, *entries = found[network].splitlines()
        listen, *upstream = head.split(" ")
        assert listen.split(",") == [s.gateway for s in NETWORKS[network].subnets]
        assert upstream == list(NETWORKS[network].nameservers)
        fields = [entry.split(" ") for entry in entries]
        assert {f[3] for f in fields} == wanted
        assert all(len(f) == 4 and f[1] for f in fields)
        assert len({f[0] for f in fields}) == len(wanted)
