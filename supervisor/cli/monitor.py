"""``ctrctl monitor``: a live screen of containers, their use of the host, events and logs, with keys to act on them.

The only verb that cannot do without a Python package beyond the standard library: python3-rich, for styles and for how
many columns a character takes. The screen is `supervisor.cli.monitor_view`, pure; what happens on it
`supervisor.cli.monitor_state`, pure; the rest is `supervisor.cli.monitor_loop`.
"""

from __future__ import annotations

import os
import sys

from supervisor.errors import UserError
from supervisor.packages import require

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from supervisor.cli.console import Console

EXAMPLES = {"monitor": ("ctrctl monitor", "ctrctl monitor --interval 5 web        less often, begin at web")}

_LEAST_SECONDS = 0.25


def configure(verb: str, parser: argparse.ArgumentParser) -> None:
    """Options of ``monitor``."""
    parser.add_argument("name", nargs="?", default="", metavar="NAME", help="the container to select first")
    parser.add_argument(
        "--interval", type=float, default=1.0, metavar="SECONDS", help="between two readings (default: 1)"
    )


def run(verb: str, args: argparse.Namespace, console: Console) -> int:
    """Show the screen until ``q``; 0, or 128 and the signal that ended it."""
    from supervisor.cli.stats import check_interval

    check_interval(args.interval, _LEAST_SECONDS)
    if args.name:
        from supervisor.cli.containers import check_deployed

        check_deployed([args.name], console.layout)
    if not (console.stdin.isatty() and console.stdout.isatty()):
        raise UserError("monitor: stdin or stdout is not a terminal; 'ctrctl stats' and 'ctrctl events' print lines")
    if console.environ.get("TERM", "dumb") == "dumb":
        raise UserError("monitor: TERM is not set, or 'dumb'; set it to the kind of your terminal")
    require("rich", "python3-rich")
    from supervisor.cli.monitor_loop import watch

    return watch(console, args.name, args.interval, os.path.abspath(sys.argv[0]))
