"""Bring a container's namespaces and network up, take them down, and put firewall rules back. Decides nothing.

Whatever step of `up` it dies in, `down` finds what was done: ``document`` is written before anything is made of it,
``netavark`` (the request) before netavark is asked, ``connected`` once it has done its work. Whoever waits is told in
``progress``. `down` copes with everything missing, also with itself having been killed. Names and interfaces are
changed under one lock.
"""

from __future__ import annotations

import fcntl
import os

from supervisor.errors import CtrError, HostError, NotFoundError
from supervisor.network import gateways, names, namespace, netavark, record
from supervisor.network.progress import Progress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from supervisor.network.record import Record
    from supervisor.paths import Layout


def up(name: str, layout: Layout, environ: Mapping[str, str], ready: Callable[[], None]) -> None:
    """Everything from the ports to the names; *ready* is called as soon as a container can be made in the namespaces.

    Raises `CtrError`; then `down` has to be called.
    """
    wanted = record.read(f"{layout.container(name)}/current/{record.FILE}")
    directory = layout.networking(name)
    if os.path.lexists(directory):
        _give_up(name, layout)
    os.makedirs(directory, 0o755)
    _write(f"{directory}/document", wanted.text)
    progress = Progress(directory)
    try:
        _make_namespaces(wanted, layout, environ)
        ready()
        if wanted.netavark:
            _connect(wanted, layout)
    except (CtrError, OSError) as error:
        progress.end(str(error))
        raise
    progress.end()


def _make_namespaces(wanted: Record, layout: Layout, environ: Mapping[str, str]) -> None:
    """And what is to be had at once: ports, hosts and resolv.conf."""
    name = wanted.name
    if wanted.ports or environ.get("LISTEN_FDS"):
        from supervisor.network import reservation

        # Of those that are about to be connected, too.
        reservation.reserve(wanted, lambda: _records(layout, (n for n in _names(layout) if n != name)), environ)
    user_namespace = ""
    if wanted.user_map:
        from supervisor.network import users

        os.makedirs(layout.namespaces(name), 0o755, exist_ok=True)
        user_namespace = f"{layout.namespaces(name)}/user"
        users.create(user_namespace, wanted.user_map, wanted.group_map)
    if wanted.pod:
        from supervisor.network import pod

        pod.create(wanted, layout, user_namespace)
        wanted.hosts += pod.hosts(wanted, layout)
    if wanted.hosts:
        _write_files(wanted, layout.resolving(name))
    if wanted.netavark:
        namespace.create(layout.namespace(name), user_namespace)


def _connect(wanted: Record, layout: Layout) -> None:
    directory = layout.networking(wanted.name)
    with _Lock(layout):
        _write(f"{directory}/netavark", wanted.netavark)
        netavark.setup(f"{directory}/netavark", layout.namespace(wanted.name))
        gateways.settle(wanted.gateways)
        _write(f"{directory}/connected", "")
        names.update(layout, _connected(layout))


def down(name: str, layout: Layout, *, final: bool = False) -> None:
    """Nothing is left of the network of *name*. Raises `HostError` with everything that could not be done.

    What netavark could not undo keeps its record, to be tried again; *final*: the record goes too, for when netavark
    knows nothing of such a network, and never will.
    """
    directory, path = layout.networking(name), layout.namespace(name)
    if not any(map(os.path.lexists, (directory, path, layout.namespaces(name)))):
        return
    problems: list[str] = []
    with _Lock(layout):
        # aardvark-dns 1.14 does not start while an address that it is to listen on is missing.
        _unlink(f"{directory}/connected")
        _try(problems, lambda: names.update(layout, _connected(layout)))
        if os.path.lexists(f"{directory}/netavark"):
            _try(problems, lambda: _disconnect(f"{directory}/netavark", path))
        _try(problems, lambda: namespace.delete(path))
        _try(problems, lambda: _delete_namespaces(layout.namespaces(name)))
        if problems and final:
            _try(problems, lambda: _delete_bridges(directory))
        if final or not problems:
            _try(problems, lambda: _remove(directory))
    if problems:
        raise HostError("; ".join(problems))


def reload(layout: Layout) -> None:
    """Connect every container that is up anew, in place: for when its firewall rules are gone. Raises `HostError`."""
    problems: list[str] = []
    for name in _names(layout):
        with _Lock(layout):
            _reload_one(name, layout, problems)
    with _Lock(layout):
        _try(problems, lambda: names.update(layout, _connected(layout)))
    if problems:
        raise HostError("; ".join(problems))


# steps


def _give_up(name: str, layout: Layout) -> None:
    """Remove what a run left whose own `down` was killed. What stands in the way of the next one, that one will say."""
    _try([], lambda: down(name, layout, final=True))


def _reload_one(name: str, layout: Layout, problems: list[str]) -> None:
    request, path = f"{layout.networking(name)}/netavark", layout.namespace(name)
    if os.path.lexists(request) and namespace.exists(path):
        _try(problems, lambda: _reconnect(request, path), name)


def _reconnect(request: str, path: str) -> None:
    """Rules that are missing already are no problem: what matters is that they are there in the end."""
    try:
        netavark.teardown(request, path)
    except HostError as error:
        first = str(error)
        try:
            netavark.setup(request, path)
        except HostError as again:
            raise HostError(f"{again} (before: {first})") from again
    else:
        netavark.setup(request, path)


def _disconnect(request: str, path: str) -> None:
    """Undo netavark's work. It gives up early when part of that is missing, as after a setup that was killed half-way;
    done completely once more, in a new namespace, it can be undone completely."""
    try:
        if not namespace.exists(path):
            namespace.create(path)
        netavark.teardown(request, path)
        return
    except HostError:
        namespace.delete(path)
    namespace.create(path)
    try:
        netavark.setup(request, path)
    finally:
        netavark.teardown(request, path)


def _delete_namespaces(directory: str) -> None:
    """Those that are bound in *directory*, and it."""
    try:
        entries = os.listdir(directory)
    except FileNotFoundError:
        return
    for entry in entries:
        namespace.delete(f"{directory}/{entry}")
    os.rmdir(directory)


def _delete_bridges(directory: str) -> None:
    for _, interface in record.read(f"{directory}/document").bridges:
        netavark.delete_bridge(interface)


def _write_files(wanted: Record, directory: str) -> None:
    """What the container sees as /etc/hosts and /etc/resolv.conf."""
    os.makedirs(directory, 0o755, exist_ok=True)
    lines = wanted.resolver
    if wanted.host_servers or wanted.host_search:
        from supervisor.network import resolver

        lines += tuple(resolver.host_lines(servers=wanted.host_servers, search=wanted.host_search))
    root = (-1, -1)
    if wanted.user_map:
        from supervisor.network import users

        # The container's root may change them.
        root = (users.outside(wanted.user_map, 0), users.outside(wanted.group_map, 0))
    for name, text in (("hosts", wanted.hosts), ("resolv.conf", lines)):
        _write(f"{directory}/{name}", "".join(f"{line}\n" for line in text), 0o644)
        os.chown(f"{directory}/{name}", *root)


def _names(layout: Layout) -> list[str]:
    try:
        return sorted(os.listdir(os.path.dirname(layout.networking("any"))))
    except FileNotFoundError:
        return []


def _records(layout: Layout, names: Iterable[str]) -> Iterator[Record]:
    for name in names:
        try:
            yield record.read(f"{layout.networking(name)}/document")
        except NotFoundError:
            continue


def _connected(layout: Layout) -> Iterator[Record]:
    """Records of every container that netavark has connected."""
    return _records(layout, (n for n in _names(layout) if os.path.lexists(f"{layout.networking(n)}/connected")))


def _try(problems: list[str], step: Callable[[], None], name: str = "") -> None:
    try:
        step()
    except (CtrError, OSError) as error:
        problems.append(f"{name}: {error}" if name else str(error))


def _write(path: str, text: str, mode: int = 0o600) -> None:
    """A file that is there is whole."""
    with open(os.open(f"{path}.new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode), "w") as file:
        file.write(text)
        os.fchmod(file.fileno(), mode)
    os.rename(f"{path}.new", path)


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        return


def _remove(directory: str) -> None:
    """The document last: without it nobody would know that there is anything to remove."""
    try:
        entries = os.listdir(directory)
    except FileNotFoundError:
        return
    for entry in sorted(entries, key=lambda e: e == "document"):
        os.unlink(f"{directory}/{entry}")
    os.rmdir(directory)


class _Lock:
    """One at a time: netavark decides by what it finds, and files of names are written as a whole."""

    def __init__(self, layout: Layout) -> None:
        # Not readable by others: whoever can open it can hold the lock.
        os.makedirs(layout.runtime, 0o755, exist_ok=True)
        self._fd = os.open(f"{layout.runtime}/network.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def __enter__(self) -> None:
        fcntl.flock(self._fd, fcntl.LOCK_EX)

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)
