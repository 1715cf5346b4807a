"""The disk half of deploy: containers' directories, units and links, each exchanged in one instant.

Knows the layout that `supervisor.deploy.state` describes; asks systemd nothing and renders nothing.
"""

from __future__ import annotations

import os
from contextlib import suppress

from supervisor.deploy import state
from supervisor.deploy.write import Changes, Disk
from supervisor.paths import Layout
from supervisor.render.files import File, Link
from supervisor.render.mounts import CURRENT

#: Of a version's files, those that others find beside it.
_ENTRIES = ("spec.json", "pod.json", "deployed.json", "config.json", "plan")


class Shelf:
    """Where the containers of one host stand. Everything raises OSError."""

    def __init__(self, layout: Layout, disk: Disk) -> None:
        self._layout = layout
        self._disk = disk

    def prepare(self, difference: state.Difference, changes: Changes) -> None:
        """Write the new version where nobody looks yet."""
        target = difference.tree
        if difference.is_new:
            directory = self._staging(target.name)
            changes.new_directory(directory)
            for entry in (entry for entry in _ENTRIES if target.text(entry) is not None):
                self._disk.link(f"{CURRENT}/{entry}", f"{directory}/{entry}")
            self._disk.link(state.VERSION_PREFIX + target.digest, f"{directory}/{CURRENT}")
        elif difference.files:
            directory = self._layout.container(target.name)
        else:
            return
        version = f"{directory}/{state.VERSION_PREFIX}{target.digest}"
        changes.new_directory(version)
        for file in target.files:
            self._disk.write(f"{version}/{file.path}", file.text, file.mode)

    def publish(self, difference: state.Difference, changes: Changes) -> None:
        """Let everybody see it; the order is explained in `supervisor.deploy.deploy`."""
        target = difference.tree
        directory = self._layout.container(target.name)
        for link in difference.obsolete_links:
            self._unlink(link, changes)
        remove_units(difference.obsolete_units, self._layout, changes)
        if difference.is_new:
            changes.rename(self._staging(target.name), directory)
        elif difference.files:
            changes.replace_link(f"{directory}/{CURRENT}", state.VERSION_PREFIX + target.digest)
        write_units(difference.new_units, changes)
        for link in difference.new_links:
            changes.make_directories(os.path.dirname(link.path))
            changes.replace_link(link.path, link.target)

    def retire(self, name: str, links: tuple[Link, ...], units: tuple[str, ...], changes: Changes) -> None:
        """Take *name* out of the host, undoably; *units*: its unit files."""
        for link in links:
            self._unlink(link, changes)
        remove_units(units, self._layout, changes)
        self._disk.erase(self._leaving(name))
        changes.rename(self._layout.container(name), self._leaving(name))

    def erase(self, name: str) -> None:
        """Remove for good what `retire` set aside, and the runtime files."""
        self._disk.erase(self._leaving(name))
        self._disk.erase(self._layout.running(name))

    def flush(self) -> None:
        """Have everything on disk before the next step relies on it."""
        for path in (self._layout.containers, self._layout.units):
            if os.path.isdir(path):
                self._disk.flush(path)

    def drop_old_versions(self, name: str) -> None:
        """Erase every version of *name* but the current one."""
        directory = self._layout.container(name)
        current = os.readlink(f"{directory}/{CURRENT}")
        for entry in os.listdir(directory):
            if entry.startswith(state.VERSION_PREFIX) and entry != current:
                self._disk.erase(f"{directory}/{entry}")

    def sweep(self) -> None:
        """Erase what a killed apply or removal left: hidden directories, such without a version, old versions.

        What cannot be erased (an immutable file, say) stays: nobody's leftovers may keep others from deploying.
        """
        if not os.path.isdir(self._layout.containers):
            return
        for entry in os.listdir(self._layout.containers):
            path = f"{self._layout.containers}/{entry}"
            with suppress(OSError):
                if entry.startswith(".") or not os.path.lexists(f"{path}/{CURRENT}"):
                    self._disk.erase(path)
                else:
                    self.drop_old_versions(entry)

    def _unlink(self, link: Link, changes: Changes) -> None:
        """Remove *link*, unless it leads elsewhere by now: then it is not ours."""
        if state.target_of(link.path) == link.target:
            changes.remove(link.path)
            if os.path.dirname(link.path) != self._layout.units:
                changes.remove_if_empty(os.path.dirname(link.path))

    def _staging(self, name: str) -> str:
        return f"{self._layout.containers}/.{name}.new"

    def _leaving(self, name: str) -> str:
        return f"{self._layout.containers}/.{name}.gone"


def write_units(files: tuple[File, ...], changes: Changes) -> None:
    """Unit files and drop-ins."""
    for file in files:
        changes.make_directories(os.path.dirname(file.path))
        changes.replace_file(file.path, file.text, file.mode)


def remove_units(paths: tuple[str, ...], layout: Layout, changes: Changes) -> None:
    """The opposite; a directory of drop-ins goes when nobody else's are in it."""
    for path in paths:
        changes.remove(path)
        if os.path.dirname(path) != layout.units:
            changes.remove_if_empty(os.path.dirname(path))
