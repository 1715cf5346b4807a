"""``ctr-probe once|gate|start NAME``: what ctr-health@NAME.service and ctr-healthy@NAME.service execute, and, with
``Notify=healthy``, ctr@NAME.service as a part of its start.

Imports little: a container that is probed every few seconds pays for it every few seconds.
"""

from __future__ import annotations

import sys

from supervisor.errors import CtrError, UserError
from supervisor.paths import Layout
from supervisor.probe.attempt import TO_THE_CONTAINER, attempt
from supervisor.probe.run import Run

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def main(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """0 when *once* has probed, whatever the result, or *gate* or *start* saw it healthy; else 1 and a message."""
    verb, name = [*arguments, "", ""][:2]
    layout = Layout()
    try:
        if verb == "once":
            return once(name, layout)
        if verb in ("gate", "start"):
            from supervisor.probe import gate

            # A start that fails ends the container; what becomes of it then is for its Restart= to say.
            gate.wait(name, layout, TO_THE_CONTAINER if verb == "gate" else frozenset())
            return 0
        raise UserError("usage: ctr-probe once|gate|start NAME")
    except (CtrError, OSError) as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 1


def once(name: str, layout: Layout) -> int:
    """One probe by the timer; a container that has just stopped needs none."""
    try:
        run = Run(name, layout)
    except UserError:
        return 0
    with run:
        try:
            attempt(run)
        except (CtrError, OSError):
            if not run.has_ended(1.0):
                raise
    return 0
