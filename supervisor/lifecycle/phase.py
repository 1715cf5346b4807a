"""Where a container is in its life, and its health, by the states of its units. Pure; cheap to import, for ``ctrctl
ps``."""

from __future__ import annotations

from enum import Enum

#: Of a unit that is not loaded; see `health`.
IDLE = ("inactive", False)


class Phase(Enum):
    """Docker's words where docker has one."""

    CREATED = "created"
    STARTING = "starting"
    RUNNING = "running"
    PAUSED = "paused"
    RESTARTING = "restarting"
    STOPPING = "stopping"
    EXITED = "exited"
    FAILED = "failed"

    @property
    def is_up(self) -> bool:
        """Whether processes of it may exist or are about to: what ``ps`` shows without ``-a``."""
        return self not in (Phase.CREATED, Phase.EXITED, Phase.FAILED)


def phase(active: str, sub: str, *, frozen: bool = False, oneshot: bool = False, ended: bool = False) -> Phase:
    """The phase behind a service's ActiveState and SubState (``systemctl --state=help``).

    *oneshot*: it runs to completion, so 'activating' is what running means for it. *ended*: its last run came to the
    point of having an exit status.
    """
    if active in ("active", "reloading", "refreshing"):
        now = Phase.EXITED if sub == "exited" else Phase.RUNNING
    elif active == "activating":
        working = Phase.RUNNING if oneshot and sub == "start" else Phase.STARTING
        now = Phase.RESTARTING if "auto-restart" in sub else working
    elif active == "deactivating":
        now = Phase.STOPPING
    elif ended:
        now = Phase.EXITED
    else:
        now = Phase.FAILED if active == "failed" else Phase.CREATED
    return Phase.PAUSED if frozen and now is Phase.RUNNING else now


def health(gate: tuple[str, bool], timer: tuple[str, bool]) -> str:
    """'starting', 'healthy', 'unhealthy', or empty when a container has no health check that repeats.

    *gate*, its ctr-healthy@ unit, and *timer*, its ctr-health@ timer: ActiveState, and whether a job is queued for it.
    """
    if gate[0] == "active":
        return "healthy"
    if gate[0] == "activating" or gate[1]:
        return "starting"
    return "unhealthy" if timer[0] == "active" or timer[1] else ""
