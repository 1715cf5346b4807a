"""Dependencies of containers whose unit files only systemd understands."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import anyio
import buskit
import pytest
from clientkit import until

from supervisor.daemon.dependencies import Dependencies, Found
from supervisor.paths import Layout

pytestmark = pytest.mark.anyio
anyio_backend, message_bus, systemd = buskit.FIXTURES


async def test_systemd_is_asked(
    tmp_path: Path,
    message_bus: buskit.PrivateBus,
    systemd: Callable[[], AbstractAsyncContextManager[buskit.FakeSystemd]],
) -> None:
    """About these and no others; one that has just been removed, or a systemd that is away, is no harm, and the next
    doubt finds what there is then."""
    for name in ("gone", "odd", "plain"):
        drop_in = tmp_path / f"etc/systemd/system/ctr@{name}.service.d/50-ctr.conf"
        drop_in.parent.mkdir(parents=True)
        drop_in.write_text("[Unit]\nAfter=cron.service\n" + ("" if name == "plain" else 'Wants="x.service"\n'))
    told: list[tuple[str, Found]] = []
    watched = Dependencies(Layout(str(tmp_path)), lambda *of: told.append(of), message_bus.address, calm=0.0)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(watched.run)
        watched.doubt()
        await until(lambda: len(told) == 1)
        watched.doubt("plain")  # it is told again when all that was asked about the others has its answer
        await until(lambda: len(told) == 2)
        async with systemd() as fake:
            fake.add("ctr@odd.service", Wants=["ctr@db.service"], After=["basic.target", "ctr-healthy@db.service"])
            watched.doubt()
            await until(lambda: len(told) == 4)
            assert fake.calls == ["Get"] * (1 + len(buskit.DEPENDENCY_SIGNATURES))
        tasks.cancel_scope.cancel()
    plain = ("plain", {"cron.service": ("after",)})
    assert told == [plain, plain, plain, ("odd", {"ctr@db.service": ("after", "wants", "when healthy")})]
