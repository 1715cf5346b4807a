"""``ctrctl top``: the processes of a container, as the host sees them.

Owns the columns, named as in ps(1). Processes choose their own names and command lines: `Console.table` makes them
harmless.
"""

from __future__ import annotations

from supervisor.errors import UserError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence

    from supervisor.cli.console import Console
    from supervisor.stats.processes import Process

    Column = Callable[[Process, float], str]
    """A cell of a process; the second argument is the time since boot in seconds."""

EXAMPLES = {
    "top": (
        "ctrctl top web",
        "ctrctl top web pid,state,etime,args     other columns, named as in ps(1)",
        "kill -HUP $(ctrctl top web pid | sed -n 2p)",
    )
}

_DEFAULT = ("pid", "user", "%cpu", "rss", "time", "args")


def configure(verb: str, parser: argparse.ArgumentParser) -> None:
    """Options of ``top``."""
    parser.add_argument("name", metavar="NAME", help="a container's name")
    parser.add_argument(
        "columns",
        nargs="*",
        metavar="COLUMN",
        help=f"of {', '.join(COLUMNS)} (default: {' '.join(_DEFAULT)}); rss and vsz in KiB".replace("%", "%%"),
    )


def run(verb: str, args: argparse.Namespace, console: Console) -> int:
    """Print the processes, oldest first; 0."""
    from supervisor.cli.containers import check_deployed
    from supervisor.stats.processes import processes, uptime
    from supervisor.stats.scopes import scope_directories

    chosen = columns(args.columns)
    check_deployed((args.name,), console.layout)
    scope = scope_directories(console.layout).get(args.name)
    found = processes(scope, console.layout) if scope else ()
    if not found:
        raise UserError(f"{args.name}: not running; start it with 'ctrctl start {args.name}'")
    now = uptime(console.layout)
    oldest_first = sorted(found, key=lambda process: (process.started, process.pid))
    console.table(
        [COLUMNS[key][0] for key in chosen], [[COLUMNS[key][1](one, now) for key in chosen] for one in oldest_first]
    )
    return 0


def columns(words: Sequence[str]) -> tuple[str, ...]:
    """The columns that *words*, each one or several with commas between, ask for. Raises `UserError`. Pure."""
    keys = tuple(key for word in words for key in word.lower().split(",") if key)
    for key in keys:
        if key not in COLUMNS:
            raise UserError(f"top: no column '{key}'; use some of {', '.join(COLUMNS)}")
    return keys or _DEFAULT


def user(uid: int) -> str:
    """The host's name for *uid*, or its number."""
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def clock(seconds: float) -> str:
    """``[DAYS-]HH:MM:SS`` as ps(1) writes times. Pure."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    return f"{days}-{hours:02}:{minutes:02}:{rest:02}" if days else f"{hours:02}:{minutes:02}:{rest:02}"


def share(process: Process, now: float) -> str:
    """Processor time of the time it has lived, in percent of one core, as ps(1) does."""
    lived = now - process.started
    return f"{process.cpu / lived * 100 if lived > 0 else 0.0:.1f}"


#: Name -> header, and the cell.
COLUMNS: dict[str, tuple[str, Column]] = {
    "pid": ("PID", lambda process, _: str(process.pid)),
    "ppid": ("PPID", lambda process, _: str(process.parent)),
    "user": ("USER", lambda process, _: user(process.uid)),
    "uid": ("UID", lambda process, _: str(process.uid)),
    "state": ("S", lambda process, _: process.state),
    "nlwp": ("NLWP", lambda process, _: str(process.threads)),
    "%cpu": ("%CPU", share),
    "rss": ("RSS", lambda process, _: str(process.resident // 1024)),
    "vsz": ("VSZ", lambda process, _: str(process.virtual // 1024)),
    "time": ("TIME", lambda process, _: clock(process.cpu)),
    "etime": ("ELAPSED", lambda process, now: clock(max(0.0, now - process.started))),
    "comm": ("COMMAND", lambda process, _: process.name),
    "args": ("COMMAND", lambda process, _: " ".join(process.command) or f"[{process.name}]"),
}
