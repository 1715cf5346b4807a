"""The host's own resolv.conf(5), as far as it is of use in a container's network namespace."""

from __future__ import annotations

_HOST = "/etc/resolv.conf"
#: Behind systemd-resolved's stub on the loopback: the servers it asks (systemd-resolved.service(8)).
_BEHIND_RESOLVED = "/run/systemd/resolve/resolv.conf"


def host_lines(*, servers: bool, search: bool, paths: tuple[str, ...] = (_HOST, _BEHIND_RESOLVED)) -> list[str]:
    """The host's ``nameserver`` lines (*servers*), without those on its loopback, where no container gets, and its
    ``search`` or ``domain`` line (*search*). The first of *paths* that has servers counts."""
    lines: list[str] = []
    for path in paths:
        lines = [line for line in _read(path) if not _on_loopback(line)]
        if any(line.startswith("nameserver") for line in lines):
            break
    keys = (("nameserver",) if servers else ()) + (("search", "domain") if search else ())
    return [line for line in lines if line.split()[0] in keys]


def _read(path: str) -> list[str]:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return [line for line in map(str.strip, file) if line]
    except FileNotFoundError:
        return []


def _on_loopback(line: str) -> bool:
    words = line.split()
    return words[0] == "nameserver" and (len(words) < 2 or words[1].startswith("127.") or words[1] == "::1")
