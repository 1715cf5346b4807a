"""What each container depends on, for the interface: the edges of ``ctrctl graph``, kept up to date.

They may change when systemd loads units anew, all or that of a container that is made or started, and are read a while
after it did, one container at a time: nothing waits for them, least of all a rebuild. Unit files say it
(`supervisor.inventory.dependencies`), and systemd where only that knows what a file means: to ask for each of a
thousand containers would take both of us seconds. Mounts are left out, as those of fstab(5) are units that the
supervisor cannot see. Decides nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping

import anyio
import anyio.lowlevel

from supervisor.graph.build import dependencies
from supervisor.graph.model import SETTINGS
from supervisor.inventory import cards
from supervisor.inventory.dependencies import Files, Relations, by_relation
from supervisor.names import service_unit
from supervisor.paths import Layout
from supervisor.systemd.bus import Connection, connected
from supervisor.systemd.census import SYSTEMD
from supervisor.systemd.manager import unit_path
from supervisor.systemd.sdbus import BusError, BusLostError
from supervisor.systemd.signals import UNIT

Found = Mapping[str, tuple[str, ...]]
"""Units, and in which ways (words of `supervisor.graph.model.Relation`, sorted) each is depended on."""

_CALM_SECONDS = 2.0
#: Reading takes this share of the time at most, however often systemd is reloaded.
_SHARE = 0.1


class Dependencies:
    """Keep `run` running; call `doubt` when units may be others."""

    def __init__(
        self,
        layout: Layout,
        tell: Callable[[str, Found], None],
        address: str | None = None,
        calm: float = _CALM_SECONDS,
    ) -> None:
        """*tell* is told, in the loop, of the containers that are in doubt, *calm* seconds later at the earliest.
        *address*: of the bus; None for the system's."""
        self._layout = layout
        self._tell = tell
        self._address = address
        self._calm = calm
        self._doubted: set[str] = set()
        self._bell = anyio.Event()

    def doubt(self, name: str = "") -> None:
        """What was told of container *name*, or else of all, may be wrong."""
        self._doubted.add(name)
        self._bell.set()

    async def run(self) -> None:
        """Until cancelled."""
        pause = self._calm
        while True:
            await self._bell.wait()
            await anyio.sleep(pause)
            began = time.monotonic()
            doubted, self._doubted, self._bell = self._doubted, set(), anyio.Event()
            if unclear := await self._read(cards.names(self._layout) if "" in doubted else sorted(doubted)):
                await self._ask(unclear)
            pause = max(self._calm, (time.monotonic() - began) / _SHARE)

    async def _read(self, names: Iterable[str]) -> list[str]:
        """Tell what the files of *names* say; those whose files only systemd understands."""
        unclear = []
        files = Files(self._layout)
        for name in names:
            found = files.relations(name)
            if found is None:
                unclear.append(name)
            else:
                self._say(name, found)
            await anyio.lowlevel.checkpoint()
        return unclear

    async def _ask(self, names: list[str]) -> None:
        """Tell what systemd says of *names*."""
        try:
            async with connected(self._address) as connection:
                for name in names:
                    try:
                        self._say(name, await _relations(connection, unit_path(service_unit(name))))
                    except BusError:
                        continue  # it has just been removed
        except BusLostError:
            return  # when systemd can be heard again, `doubt` is called

    def _say(self, name: str, found: Relations) -> None:
        edges = dependencies(service_unit(name), by_relation(found)).items()
        shown = {other: ways for other, ways in edges if not other.endswith(".mount")}
        self._tell(name, {other: tuple(sorted(way.value for way in ways)) for other, ways in shown.items()})


async def _relations(connection: Connection, path: str) -> Relations:
    return {setting: tuple(await connection.get(SYSTEMD, path, UNIT, setting)) for setting in SETTINGS}
