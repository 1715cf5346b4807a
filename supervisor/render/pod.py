"""A pod's rendered state: everything deploy writes for one. Pure.

``ctr@POD.target`` is what a person starts and stops, ``ctr-netns@POD.service`` keeps the namespaces. Why the units are
as they are, and what was tried, is in contrib/decisions/2026-11-21-pods.md.
"""

from __future__ import annotations

from collections.abc import Iterable

from supervisor.errors import UserError
from supervisor.names import namespace_unit, project_target
from supervisor.paths import Layout
from supervisor.render import oci
from supervisor.render.dropins import entry_lines, path_setting
from supervisor.render.facts import HostFacts
from supervisor.render.files import File, Link
from supervisor.render.lines import one_line
from supervisor.render.tree import NETWORK, Networking, Tree, install_links
from supervisor.spec import codec
from supervisor.spec.container import Container, Entry
from supervisor.spec.network import NetworkMode
from supervisor.spec.pod import ExitPolicy, Pod
from supervisor.spec.record import Record

TEMPLATE = "/usr/lib/systemd/system/ctr@.target"

#: Of [Unit], what only describes; everything else also holds for the namespaces, which the containers wait for.
_DESCRIBING = frozenset(("Description", "Documentation"))


def holder(pod: Pod) -> Container:
    """The pod as if it were a container that only has a network: what deploy asks about addresses, ports and names is
    the same for both."""
    return Container(
        name=pod.name,
        source=pod.source,
        hostname=pod.hostname or pod.name,
        network=pod.network,
        attachments=pod.attachments,
        ports=pod.ports,
        dns=pod.dns,
        dns_options=pod.dns_options,
        dns_search=pod.dns_search,
        hosts=pod.hosts,
        user_namespace=pod.user_namespace,
    )


def tree(pod: Pod, members: Iterable[str], networking: Networking, facts: HostFacts, layout: Layout) -> Tree:
    """Render *pod*. *members*: names of its containers; *networking*: what it was given. Raises `UserError`."""
    try:
        return _tree(pod, members, networking, facts, layout)
    except UserError as error:
        raise UserError(f"{pod.name}: {error}") from error


def _tree(pod: Pod, members: Iterable[str], networking: Networking, facts: HostFacts, layout: Layout) -> Tree:
    links = _links(pod, layout)
    units = (
        File(f"{layout.units}/{project_target(pod.name)}.d/50-ctr.conf", _target(pod)),
        File(f"{layout.units}/{namespace_unit(pod.name)}.d/50-ctr.conf", _namespaces(pod)),
    )
    record = Record(
        pod.source,
        links=tuple((link.path, link.target) for link in links),
        units=tuple(file.path for file in units),
        leases=networking.leases,
        ports=networking.ports,
        id_maps=networking.id_maps,
    )
    files = (
        File("pod.json", codec.dumps(pod), 0o600),
        File("deployed.json", codec.dumps(record), 0o600),
        File(NETWORK, networking.document + _shared(pod, facts), 0o600),
        # Beside the document: who comes or goes is no reason to make the namespaces of the others anew.
        File("members", "".join(f"{name}\n" for name in members), 0o600),
    )
    return Tree(pod.name, files, units, links)


def _shared(pod: Pod, facts: HostFacts) -> str:
    """What a pod adds to the network document: host name, bytes of /dev/shm, and what network it has
    (`supervisor.network.pod`); and /etc/hosts where there is only ``lo``."""
    hostname = one_line(pod.hostname or pod.name, "HostName=")
    lines = ["pod=" + "\t".join((hostname, str(pod.shm_size), pod.network.value))]
    if pod.network is NetworkMode.NONE:
        lines += [f"hosts={line}" for line in oci.hosts_file(holder(pod), facts).splitlines()]
    return "".join(f"{line}\n" for line in lines)


def _target(pod: Pod) -> str:
    lines = _head(pod, project_target(pod.name))
    lines += [] if _says(pod, "Description") else [f"Description=Pod {pod.name}"]
    if pod.source.startswith("/"):
        lines.append(f"SourcePath={path_setting(pod.source, 'source')}")
    lines += [f"{key}={namespace_unit(pod.name)}" for key in ("Requires", "After")]
    if pod.exit_policy is ExitPolicy.STOP:
        # Who needs it are its containers, as long as they run (Wants=).
        lines.append("StopWhenUnneeded=yes")
    lines += entry_lines(pod.unit.unit)
    return "\n".join(lines) + "\n"


def _namespaces(pod: Pod) -> str:
    lines = _head(pod, namespace_unit(pod.name))
    # A pod that is stopped, or restarted, by its target is gone, or made anew, altogether.
    lines += [f"Description=Namespaces of pod {pod.name}", f"PartOf={project_target(pod.name)}"]
    lines += entry_lines(tuple(entry for entry in pod.unit.unit if entry.key not in _DESCRIBING))
    return "\n".join(lines) + "\n"


def _head(pod: Pod, unit: str) -> list[str]:
    return [
        f"# Written by ctrctl from {one_line(pod.source, 'source')}; edit that instead,",
        f"# or add a drop-in of your own: systemctl edit {unit}",
        "",
        "[Unit]",
    ]


def _says(pod: Pod, key: str) -> bool:
    return any(entry.key == key for entry in pod.unit.unit)


def _links(pod: Pod, layout: Layout) -> tuple[Link, ...]:
    return install_links(_install(pod), project_target(pod.name), TEMPLATE, layout)


def _install(pod: Pod) -> tuple[Entry, ...]:
    """Of a pod that stops with its last container, WantedBy= is its containers' (`supervisor.spec.membership`):
    what multi-user.target wants would be needed for ever."""
    if pod.exit_policy is ExitPolicy.CONTINUE:
        return pod.unit.install
    return tuple(entry for entry in pod.unit.install if entry.key != "WantedBy")
