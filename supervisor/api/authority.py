"""Whether a caller on the bus may act on a container: root may, everybody else is polkit's to decide.

Whatever goes wrong is a no: polkitd that is absent, stopped, slow or broken allows nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count

from dbus_next.signature import Variant

from supervisor.api.connection import BUS, BUS_PATH, Connection
from supervisor.errors import CtrError

ACTION = "io.ctr.manage-containers"
_POLKIT = "org.freedesktop.PolicyKit1"
_PATH = "/org/freedesktop/PolicyKit1/Authority"
_AUTHORITY = f"{_POLKIT}.Authority"
_INTERACTION = 1
_questions = count(1)


class NotAuthorizedError(CtrError):
    """The caller may not do this, or nobody could say that it may."""


@dataclass(frozen=True, slots=True)
class Authority:
    """Whom to ask, and for how long."""

    root: int = 0
    """The user who may do everything."""
    patience: float = 10.0
    """Seconds to wait for polkitd."""
    person: float = 120.0
    """Seconds to wait when polkitd asks a person for a password."""

    async def authorize(
        self, connection: Connection, caller: str, container: str, verb: str, *, interactive: bool
    ) -> None:
        """Return if *caller* (a unique name) may *verb* ('start', 'stop', 'restart') *container*.

        *interactive*: polkit may ask for a password. Raises `NotAuthorizedError`.
        """
        refused = f"{container}: {verb}: not authorized"
        details = {"container": container, "verb": verb}
        try:
            if await _user(connection, caller, self.patience) == self.root:
                return
            timeout = self.person if interactive else self.patience
            allowed, challenge = await _ask_polkit(connection, caller, details, interactive, timeout)
        except TimeoutError as error:
            raise NotAuthorizedError(f"{refused}: polkit does not answer; look at polkit.service") from error
        except (CtrError, ValueError) as error:
            raise NotAuthorizedError(f"{refused}: polkit: {error}") from error
        if not allowed:
            hint = "allow interactive authorization, or " if challenge and not interactive else ""
            raise NotAuthorizedError(f"{refused}; {hint}have a polkit rule grant {ACTION}")


async def _user(connection: Connection, caller: str, timeout: float) -> int:
    reply = await connection.call(BUS, BUS_PATH, BUS, "GetConnectionUnixUser", "s", caller, timeout=timeout)
    return reply.number()


async def _ask_polkit(
    connection: Connection, caller: str, details: Mapping[str, str], interactive: bool, timeout: float
) -> tuple[bool, bool]:
    """CheckAuthorization's first two answers: is it allowed, and would it be after a password."""
    subject = ["system-bus-name", {"name": Variant("s", caller)}]
    # polkitd keeps a question, and the dialogue, until it is told that nobody waits any more.
    cancellation = f"ctr-{next(_questions)}"
    asked = [subject, ACTION, dict(details), _INTERACTION if interactive else 0, cancellation]
    try:
        reply = await connection.call(
            _POLKIT, _PATH, _AUTHORITY, "CheckAuthorization", "(sa{sv})sa{ss}us", *asked, timeout=timeout
        )
    except TimeoutError:
        connection.tell(_POLKIT, _PATH, _AUTHORITY, "CancelCheckAuthorization", "s", cancellation)
        raise
    if reply.signature != "(bba{ss})":
        raise ValueError(f"answers '{reply.signature}'")
    return bool(reply.number()), bool(reply.number(4))
