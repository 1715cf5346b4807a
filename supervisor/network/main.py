"""``ctr-netns``: the program of ctr-netns@.service and ctr-firewall.service.

It lies in the path of ``systemctl start``, so it imports only what it uses, as the launcher does.
"""

from __future__ import annotations

import sys

from supervisor.errors import CtrError, UserError
from supervisor.names import check_name
from supervisor.network import runtime
from supervisor.paths import Layout
from supervisor.systemd import notify

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def main(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """``ctr-netns up NAME``, ``down NAME``, ``purge NAME`` (`down` for the last time), ``reload``; the exit status is
    0 or 1."""
    verb, name = (*arguments, "", "")[:2]
    try:
        if verb == "up":
            runtime.up(check_name(name), Layout(), environ, lambda: notify.notify(environ["NOTIFY_SOCKET"], "READY=1"))
        elif verb == "down":
            runtime.down(check_name(name), Layout())
        elif verb == "purge":
            runtime.down(check_name(name), Layout(), final=True)
        elif verb == "reload":
            runtime.reload(Layout())
        else:
            raise UserError(f"{verb}: no such verb; use up, down, purge or reload")
    except (CtrError, OSError) as error:
        print(f"{name or verb}: {error}", file=sys.stderr)
        return 1
    return 0
