"""Where a container is in its life, by its unit's state. Pure; cheap to import, as ``ctrctl ps`` does."""

from __future__ import annotations

from enum import Enum


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
