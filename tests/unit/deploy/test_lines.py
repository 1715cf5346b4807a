"""What only a deployment can refuse is told with the line that asks for it, as mistakes in the text are."""

from __future__ import annotations

from pathlib import Path

import pytest

from supervisor.cli.apply import read_path
from supervisor.definitions.asking import telling_lines
from supervisor.definitions.load import load
from supervisor.errors import DefinitionError
from tests.unit.deploy.host import Place

#: Every line of these may be needed; what is told begins at its fourth.
BASE = "[Container]\nImage=nginx\nEnvironment=A=1\n"
ALONE = f"{BASE}Network=none\n"
NETWORK = "[Network]\nSubnet=10.7.0.0/29\n"

#: What is in /etc/ctr, by file name; which line is named, and how the message begins.
REFUSED = {
    "an image": ({"a.container": "[Container]\nImage=none\n"}, "a.container:2: Image=: a: image 'none'"),
    "an image, by a drop-in": (
        {"a.container": ALONE, "a.container.d/1.conf": "[Container]\n\nImage=none\n"},
        "a.container.d/1.conf:3: Image=: a: image 'none'",
    ),
    "the second of two": (
        {"a.container": f"{ALONE}Mount=type=glob,src=/none/*\nMount=type=glob,src=/nor/*\nMount=type=tmpfs,dst=/x\n"},
        "a.container:5: Mount=: a: mount /none/*: no path",
    ),
    "a network": ({"a.container": f"{BASE}Network=gone\n"}, "a.container:4: Network=: a: network gone: no such"),
    "one network of several": (
        {"a.container": f"{BASE}Network=n.network\nNetwork=gone-2\nNetwork=gone\n", "n.network": NETWORK},
        "a.container:5: Network=: a: network gone-2: no such",
    ),
    "a network by the name of its file": (
        {
            "a.container": f"{BASE}Network=m.network\nNetwork=n.network\n",
            "b.container": f"{BASE}Network=n.network:ip=10.7.0.2\n",
            "n.network": "[Network]\nNetworkName=small\nSubnet=10.7.0.0/30\n",
            "m.network": "[Network]\nSubnet=10.8.0.0/30\n",
        },
        "a.container:5: Network=: a: network small: no free address",
    ),
    "a network of another container": (
        {"a.container": f"{BASE}Network=container:gone\n"},
        "a.container:4: Network=: a: container 'gone'",
    ),
    "an address": (
        {
            "a.container": f"{BASE}Network=n.network\nIP=10.7.0.2\n",
            "b.container": f"{BASE}Network=n.network:ip=10.7.0.2\n",
            "n.network": NETWORK,
        },
        "b.container:4: Network=: b: address 10.7.0.2 on network n: held by a",
    ),
    "a subnet": (
        {"a.network": NETWORK, "b.network": "[Network]\nSubnet=10.8.0.0/24\nSubnet=10.7.0.0/16\n"},
        "b.network:3: Subnet=: network b: subnet 10.7.0.0/16: overlaps",
    ),
    "a secret": (
        {"a.container": f'{ALONE}Secret=\nSecret="key,type=env" "key,target=k"\nSecret=key-2\n'},
        "a.container:6: Secret=: a: secret 'key': does not exist",
    ),
    "a user": ({"a.container": f"{ALONE}User=\nUser=me\n"}, "a.container:6: User=: a: user 'me': not in /etc/passwd"),
    "a user in PodmanArgs=": (
        {"a.container": f"{ALONE}PodmanArgs=--tty --user me\n"},
        "a.container:5: PodmanArgs=: --user: a: user 'me': not in /etc/passwd",
    ),
    "a device": ({"a.container": f"{ALONE}AddDevice=/dev/no\n"}, "a.container:5: AddDevice=: a: device /dev/no: no"),
    "a CDI device": (
        {"a.container": f"{ALONE}AddDevice=/dev/null\nAddDevice=x.org/gpu=0\n"},
        "a.container:6: AddDevice=: a: device x.org/gpu=0: no specification",
    ),
    "a node in a limit": (
        {"a.container": f"{ALONE}[Service]\nIOReadBandwidthMax=/dev/no 1M\n"},
        "a.container:6: IOReadBandwidthMax=: a: device /dev/no: no",
    ),
    "a time zone": ({"a.container": f"{ALONE}Timezone=Up/Here\n"}, "a.container:5: Timezone=: a: timezone 'Up/Here'"),
    "a profile": (
        {"a.container": f"{ALONE}SeccompProfile=/no.json\n"},
        "a.container:5: SeccompProfile=: a: seccomp profile /no.json",
    ),
    "a directory": (
        {"a.container": "[Container]\nRootfs=/no/such\nExec=x\nNetwork=none\n"},
        "a.container:2: Rootfs=: a: Rootfs=/no/such: no such file",
    ),
    "a host": ({"a.container": f"{ALONE}AddHost=h:host-gateway\n"}, "a.container:5: AddHost=: a: host entry 'h'"),
    "users": (
        {"a.container": f"{ALONE}SubUIDMap=nobodys\nSubGIDMap=nobodys-too\n"},
        "a.container:5: SubUIDMap=: a: user namespace: /etc/subuid has no range of 'nobodys'",
    ),
    "users of a pod": (
        {"p.pod": "[Pod]\nNetwork=none\nSubGIDMap=nobodys\nSubUIDMap=nobodys\n"},
        "p.pod:4: SubUIDMap=: user namespace: /etc/subuid has no range of 'nobodys'",
    ),
    "health": ({"a.container": f"{ALONE}Notify=healthy\n"}, "a.container:5: Notify=: a: Notify=healthy: there is no"),
    "a name": ({"a.container": f"{ALONE}ContainerName=taken\n"}, "a.container:5: ContainerName=: container 'taken' is"),
    "the name of a file": ({"taken.container": f"# x\n{ALONE}"}, "taken.container:2: container 'taken' is deployed"),
    "of a template": (
        {"a@.container": f"{ALONE}Secret=%i\n[Install]\nDefaultInstance=x\n"},
        "a@.container:5: Secret=: a_x: secret 'x': does not exist",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_the_line_that_asks_is_told(tmp_path: Path, what: str) -> None:
    """With the key, or else where the section begins: nobody knows better which line it is."""
    place = Place(tmp_path)
    place.deployment().apply([place.container("taken", source="/elsewhere/x.container")], prune=lambda _: False)
    files, expected = REFUSED[what]
    for name, text in files.items():
        path = tmp_path / "etc/ctr" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    loaded = load(place.layout.definitions, read_path)
    assert loaded.problems == ()
    things = {"networks": loaded.networks, "volumes": loaded.volumes, "pods": loaded.pods}
    with pytest.raises(DefinitionError) as caught, telling_lines(loaded):
        place.deployment().apply(loaded.containers, **things, prune=lambda _: False)
    (problem,) = caught.value.problems
    assert str(problem).removeprefix(f"{place.layout.definitions}/").startswith(expected)


def test_what_was_not_read_has_no_line(tmp_path: Path) -> None:
    """A definition that is deployed, and not applied now, is named as it was."""
    place = Place(tmp_path)
    loaded = load((), read_path)
    with pytest.raises(DefinitionError) as caught, telling_lines(loaded):
        place.deployment().apply([place.container("a", image="none")], prune=lambda _: False)
    assert str(caught.value) == f"{place.layout.definitions}/a.container: a: image 'none': not in the store"
