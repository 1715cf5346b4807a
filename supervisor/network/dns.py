"""aardvark-dns's configuration: one file a network, always written as a whole from the containers that are up. Pure.

A file's first line has the addresses to listen on and, if the network has any, its name servers; each further line is
one container: its id, IPv4 and IPv6 addresses, names, and its own name servers (aardvark-dns, src/config/mod.rs). Who
asks is known by address, so a container is told the names of its own networks only.
"""

from __future__ import annotations

from supervisor.network.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

#: The file in the same directory that is not a network (src/config/constants.rs).
PID_FILE = "aardvark.pid"


def files(records: Iterable[Record]) -> dict[str, str]:
    """File name to content, for all of *records*. A network's first line says what its containers agree on: addresses
    to listen on may be missing in those that have only an IPv4 address, say."""
    listens: dict[str, dict[str, None]] = {}
    servers: dict[str, str] = {}
    entries: dict[str, list[str]] = {}
    for record in sorted(records, key=lambda r: r.name):
        for file, listen, upstream, entry in record.dns:
            listens.setdefault(file, {}).update(dict.fromkeys(listen.split(",")))
            servers[file] = upstream or servers.get(file, "")
            entries.setdefault(file, []).append(entry)
    found = {}
    for file, lines in entries.items():
        head = ",".join(listens[file]) + (f" {servers[file]}" if servers[file] else "")
        found[file] = "\n".join((head, *lines)) + "\n"
    return found
