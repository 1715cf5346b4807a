"""Everything deploy writes for one container, in memory. Pure.

`Tree.files` go together into one directory that is exchanged whole; units and links lie in systemd's
directories.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from supervisor.errors import UserError
from supervisor.names import check_alias, check_unit, service_unit
from supervisor.paths import Layout
from supervisor.render import dropins, health, idle, image_volumes, oci, overlays, plan, reloading
from supervisor.render.facts import HostFacts
from supervisor.render.files import File, Link
from supervisor.render.lines import one_line
from supervisor.render.users import Accounts
from supervisor.spec import codec
from supervisor.spec.container import Container, Entry
from supervisor.spec.image import Image, Layer
from supervisor.spec.network import Lease, NetworkMode, PublishedPort
from supervisor.spec.record import Record
from supervisor.spec.userns import IdMaps
from supervisor.spec.volume import Volume

TEMPLATE = "/usr/lib/systemd/system/ctr@.service"

#: systemd.unit(5): [Install] setting to the directory that holds its links.
_DIRECTORIES = {"WantedBy": "wants", "RequiredBy": "requires", "UpheldBy": "upholds"}

#: Whose change means that the network namespace is out of date.
NETWORK = "network"

#: Files whose change means that a running container is out of date; the others only describe it.
EFFECTIVE = frozenset(("config.json", "plan", "hosts", "hostname", "passwd", "group", NETWORK))


@dataclass(frozen=True, slots=True)
class Networking:
    """What one container was given of the host's networks and users."""

    leases: tuple[Lease, ...] = ()
    ports: tuple[PublishedPort, ...] = ()
    document: str = ""
    """Text of that file, for `supervisor.network`; empty when the container has neither networks nor a user namespace
    of its own."""
    id_maps: IdMaps | None = None
    """Of its user namespace, its own or its pod's."""


@dataclass(frozen=True, slots=True)
class Tree:
    """One container's rendered state."""

    name: str
    files: tuple[File, ...]
    units: tuple[File, ...]
    """Unit files and drop-ins, each with its absolute path."""
    links: tuple[Link, ...]

    def text(self, path: str) -> str | None:
        """The text of the file *path* of `files`; None when there is no such file."""
        return next((file.text for file in self.files if file.path == path), None)

    @property
    def digest(self) -> str:
        """Identifies `files`: 16 hex digits."""
        content = "\0".join(f"{f.path}\0{f.mode}\0{f.text}" for f in self.files)
        return hashlib.sha256(content.encode()).hexdigest()[:16]


def tree(
    container: Container,
    image: Image | None,
    layers: tuple[Layer, ...],
    facts: HostFacts,
    layout: Layout,
    accounts: Accounts | None = None,
    networking: Networking | None = None,
    volumes: Mapping[str, Volume] | None = None,
) -> Tree:
    """Render *container*. *accounts*: account files of its root, by default the image's. *volumes*: those
    that somebody defined, by name. Raises `UserError`."""
    try:
        return _tree(container, image, layers, facts, layout, accounts, networking or Networking(), volumes or {})
    except UserError as error:
        raise UserError(f"{container.name}: {error}") from error


def _tree(
    defined: Container,
    image: Image | None,
    layers: tuple[Layer, ...],
    facts: HostFacts,
    layout: Layout,
    accounts: Accounts | None,
    networking: Networking,
    volumes: Mapping[str, Volume],
) -> Tree:
    if accounts is None:
        accounts = Accounts(image.passwd, image.group) if image else Accounts()
    container = image_volumes.completed(defined, image)
    links = install_links(container.unit.install, service_unit(container.name), TEMPLATE, layout)
    directory = f"{layout.units}/{service_unit(container.name)}.d"
    units = (
        File(f"{directory}/50-ctr.conf", dropins.text(container, image, facts, layout)),
        *health.units(container, image, layout),
        *idle.units(container, layout),
    )
    record = Record(
        container.source,
        image.id if image else "",
        tuple((link.path, link.target) for link in links),
        tuple(file.path for file in units),
        networking.leases,
        networking.ports,
        networking.id_maps,
        overlays.image_ids(container, volumes, facts),
        container.mounts[len(defined.mounts) :],
    )
    # 0600: environment values are often secrets, and only root's programs read these.
    configuration = oci.text(container, image, accounts, facts, layout, volumes, networking.id_maps)
    files = [
        File("spec.json", codec.dumps(defined), 0o600),
        File("deployed.json", codec.dumps(record), 0o600),
        File("config.json", configuration, 0o600),
        File("plan", plan.text(container, image, layers, facts, layout, accounts, volumes, networking.id_maps), 0o600),
        File("hostname", oci.hostname(container, facts) + "\n"),
        *health.files(container, image, facts, configuration),
        *reloading.files(container, configuration),
    ]
    own_accounts = oci.own_accounts(container, image, accounts)
    files += [File(n, t) for n, t in (("passwd", own_accounts.passwd), ("group", own_accounts.group)) if t]
    if container.network is NetworkMode.NONE:
        files.append(File("hosts", oci.hosts_file(container, facts)))
    if networking.document:
        files.append(File(NETWORK, networking.document, 0o600))
    return Tree(container.name, tuple(files), units, links)


def install_links(install: tuple[Entry, ...], unit: str, template: str, layout: Layout) -> tuple[Link, ...]:
    """What ``systemctl enable`` would make of [Install] of *unit*, an instance of the file *template*; every word of a
    setting counts, an empty one resets (Quadlet)."""
    wanted: dict[str, list[str]] = {}
    for entry in install:
        words = one_line(entry.value, f"{entry.key}=").split()
        wanted[entry.key] = [*wanted.get(entry.key, ()), *words] if words else []
    links = []
    for key, words in wanted.items():
        for word in dict.fromkeys(words):
            if key == "Alias":
                path = check_alias(word, unit)
            elif key in _DIRECTORIES:
                path = f"{check_unit(word)}.{_DIRECTORIES[key]}/{unit}"
            else:
                raise UserError(f"[Install] {key}=: not supported; use WantedBy=, RequiredBy=, UpheldBy= or Alias=")
            links.append(Link(f"{layout.units}/{path}", template))
    return tuple(sorted(links, key=lambda link: link.path))
