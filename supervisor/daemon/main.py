"""Program ctr-supervisor: what ctr-supervisor.service executes."""

from __future__ import annotations

import gc
import signal
import sys
from collections.abc import Mapping, Sequence

import anyio

from supervisor.daemon.supervisor import Supervisor
from supervisor.paths import Layout


def main(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """Run until SIGTERM or SIGINT; 0 then, 2 for words that make no sense."""
    if arguments:
        print(f"ctr-supervisor: takes no arguments, not '{arguments[0]}'", file=sys.stderr)
        return 2
    # What was imported stays: a collector that looks at it again and again costs milliseconds each time.
    gc.freeze()
    anyio.run(_serve, Layout(), environ)
    return 0


async def _serve(layout: Layout, environ: Mapping[str, str]) -> None:
    daemon = Supervisor(layout, environ)
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(daemon.run)
            async for number in signals:
                if number == signal.SIGHUP:
                    tasks.start_soon(daemon.reload)
                else:
                    tasks.cancel_scope.cancel()
                    return
