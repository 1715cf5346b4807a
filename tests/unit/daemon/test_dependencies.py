"""What containers depend on, as the supervisor reads it: in its own time, and again when it may be another."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import anyio
import pytest

from supervisor.daemon.dependencies import Dependencies
from supervisor.paths import Layout

pytestmark = pytest.mark.anyio


def deploy(root: Path, name: str, lines: str) -> None:
    """The drop-in of a container."""
    drop_in = root / f"etc/systemd/system/ctr@{name}.service.d/50-ctr.conf"
    drop_in.parent.mkdir(parents=True, exist_ok=True)
    drop_in.write_text(f"[Unit]\n{lines}\n")


class Told(dict[str, Mapping[str, tuple[str, ...]]]):
    """What was told last, by container."""

    def __init__(self) -> None:
        super().__init__()
        self.times = 0

    def __call__(self, name: str, found: Mapping[str, tuple[str, ...]]) -> None:
        self[name] = found
        self.times += 1

    async def until(self, times: int) -> None:
        with anyio.fail_after(30):
            while self.times < times:
                await anyio.sleep(0.001)


async def test_the_edges_of_the_graph(tmp_path: Path) -> None:
    """Units of other containers stand for them; what all units need, and mounts, go without saying. Read again when
    in doubt, and only then."""
    told = Told()
    (tmp_path / "etc/systemd/system").mkdir(parents=True)
    (tmp_path / "etc/systemd/system/srv.mount").write_text("")
    web = "Requires=ctr@db.service ctr-netns@web.service\nAfter=ctr-healthy@db.service basic.target\nWants=cron.service"
    deploy(tmp_path, "web", f"{web}\nPartOf=ctr@shop.target\nRequiresMountsFor=/srv/data")
    deploy(tmp_path, "db", "")
    async with anyio.create_task_group() as tasks:
        watched = Dependencies(Layout(str(tmp_path)), told, "unix:path=/nonexistent", calm=0.0)
        tasks.start_soon(watched.run)
        watched.doubt()
        await told.until(2)
        assert told == {
            "web": {
                "ctr@db.service": ("after", "requires", "when healthy"),
                "cron.service": ("wants",),
                "ctr@shop.target": ("part of",),
            },
            "db": {},
        }
        deploy(tmp_path, "db", "BindsTo=ctr-netns@web.service")
        watched.doubt("db")
        await told.until(3)
        assert told["db"] == {"ctr@web.service": ("bound to", "shares network")}
        watched.doubt()
        watched.doubt("db")
        await told.until(5)
        tasks.cancel_scope.cancel()
    assert told.times == 5


async def test_a_container_that_only_systemd_understands(tmp_path: Path) -> None:
    """Does not keep the others from being told, also while systemd cannot be asked; nothing is made up for it."""
    told = Told()
    deploy(tmp_path, "odd", 'After="ctr@db.service"')
    deploy(tmp_path, "web", "After=ctr@db.service")
    async with anyio.create_task_group() as tasks:
        watched = Dependencies(Layout(str(tmp_path)), told, "unix:path=/nonexistent", calm=0.0)
        tasks.start_soon(watched.run)
        for times in (1, 2):
            watched.doubt()
            await told.until(times)
        tasks.cancel_scope.cancel()
    assert told == {"web": {"ctr@db.service": ("after",)}}
