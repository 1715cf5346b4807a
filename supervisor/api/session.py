"""One connection's worth of service: calls in, answers and signals out, actions in tasks of their own.

Owns nothing that outlives the connection: that is `Shared`, which `supervisor.api.service.Api` makes.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import anyio
from anyio.abc import TaskGroup
from dbus_next.signature import Variant

from supervisor.api import wire
from supervisor.api.authority import Authority, NotAuthorizedError
from supervisor.api.calls import (
    FAILED,
    LIMITS_EXCEEDED,
    NOT_AUTHORIZED,
    NOT_FOUND,
    Action,
    Answer,
    RefusedError,
    answer,
)
from supervisor.api.connection import BUS, BUS_PATH, TURN, Connection
from supervisor.api.limits import ALL_PLACES, PLACES, Credits, Places, Verdict
from supervisor.api.objects import Objects, Signal
from supervisor.api.tables import NAME, ROOT
from supervisor.api.values import event_details
from supervisor.errors import CtrError, NotFoundError
from supervisor.events.event import Event

#: Seconds that systemd may take to queue a job.
_JOB = 60.0
_OWNER, _IN_QUEUE = (1, 4), 2
_ACTIONS = ("Start", "Stop", "Restart")


class Actions(Protocol):
    """Queues systemd jobs; each returns the job's object path, and raises `NotFoundError` or another `CtrError`."""

    async def start(self, name: str, /) -> str:
        """Start container *name*."""

    async def stop(self, name: str, /) -> str:
        """Stop it."""

    async def restart(self, name: str, /) -> str:
        """Restart it."""


@dataclass(slots=True)
class Tally:
    """What was counted since the start."""

    calls: int = 0
    refused: int = 0
    dropped: int = 0
    defects: int = 0
    signals: int = 0
    connections: int = 0
    events_lost: int = 0


@dataclass(slots=True)
class Shared:
    """What sessions come and go on."""

    actions: Actions
    counters: Callable[[], Mapping[str, int]]
    say: Callable[[str], None]
    objects: Objects
    machine_id: str
    authority: Authority
    events: deque[Event]
    tally: Tally = field(default_factory=Tally)
    credits: Credits = field(default_factory=lambda: Credits(time.monotonic))
    places: Places = field(default_factory=Places)
    changed: anyio.Event | None = None
    """What the session sleeps on, if there is one."""

    def touch(self) -> None:
        """There is something to publish."""
        if self.changed:
            self.changed.set()


class Session:
    """Call `open`, then `run`."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._connection: Connection
        self._tasks: TaskGroup
        self._is_owner = False

    async def run(self, address: str | None, uid: int, named: Callable[[], None]) -> str:
        """Serve till the connection is lost, and return why. *named* is called when the bus has decided on our name."""
        try:
            self._connection = await Connection.open(address, uid, self._handle)
        except CtrError as error:
            return str(error)
        self._shared.tally.connections += 1
        async with anyio.create_task_group() as self._tasks:
            self._tasks.start_soon(self._serve, named)
            reason = await self._connection.run()
            self._tasks.cancel_scope.cancel()
        return reason

    async def _serve(self, named: Callable[[], None]) -> None:
        connection, shared = self._connection, self._shared
        try:
            await connection.hello()
            # No signals yet: whoever has watched our name reads everything anew when it gets an owner.
            await self._publish()
            reply = await connection.call(BUS, BUS_PATH, BUS, "RequestName", "su", NAME, 0)
            if reply.number() in _OWNER:
                self._acquired()
            elif reply.number() == _IN_QUEUE:
                shared.say(f"{NAME}: another process has this name; waiting for it")
            named()
            while True:
                await self._publish()
                shared.changed = anyio.Event()
                await shared.changed.wait()
        except (CtrError, TimeoutError, ValueError) as error:
            connection.lose(str(error) or "the bus does not answer")

    def _acquired(self) -> None:
        if not self._is_owner:
            self._is_owner = True
            self._shared.say(f"{NAME}: ready")

    # signals

    async def _publish(self) -> None:
        connection, begin = self._connection, time.thread_time()
        for signal in self._signals():
            if self._is_owner:
                self._shared.tally.signals += 1
                connection.send(
                    wire.SIGNAL,
                    path=signal.path,
                    interface=signal.interface,
                    member=signal.member,
                    signature=signal.signature,
                    body=signal.body,
                )
            if time.thread_time() - begin > TURN or not connection.has_room:
                await anyio.sleep(0)
                await connection.wait_for_room()
                begin = time.thread_time()

    def _signals(self) -> Iterator[Signal]:
        shared = self._shared
        while shared.events or shared.objects.is_dirty:
            if shared.events:
                event = shared.events.popleft()
                # What an event has changed can be read by the time it is heard of.
                yield from shared.objects.step(event.name) if event.name else ()
                yield _event_signal(event)
            else:
                yield from shared.objects.step()

    # calls

    def _handle(self, message: wire.Incoming) -> None:
        if message.kind == wire.SIGNAL:
            self._bus_says(message)
        elif message.kind == wire.CALL:
            self._take_call(message)

    def _bus_says(self, message: wire.Incoming) -> None:
        if message.sender != BUS or message.strings() != (NAME,):
            return
        if message.member == "NameAcquired":
            self._acquired()
        elif message.member == "NameLost":
            self._connection.lose("the name was taken away")

    def _take_call(self, call: wire.Incoming) -> None:
        tally = self._shared.tally
        tally.calls += 1
        verdict = self._shared.credits.judge(call.sender)
        is_pointless = call.flags & wire.NO_REPLY and call.member not in _ACTIONS
        if verdict is Verdict.DROP or is_pointless:
            tally.dropped += 1
            return
        try:
            if verdict is Verdict.REFUSE:
                raise RefusedError(LIMITS_EXCEEDED, "too many calls; GetManagedObjects tells of all containers at once")
            if call.is_long:
                raise RefusedError(LIMITS_EXCEEDED, f"the message is longer than {wire.LONGEST} bytes")
            self._answer(call)
        except RefusedError as error:
            self._refuse(call, error.name, str(error))
        except Exception as error:  # A defect of ours is not to end the service for everybody.
            tally.defects += 1
            self._shared.say(f"{NAME}: {call.interface}.{call.member}: {error!r}; please report this")
            self._refuse(call, FAILED, f"{call.member}: internal error")

    def _answer(self, call: wire.Incoming) -> None:
        shared = self._shared
        found = answer(call, shared.objects, shared.counters, shared.machine_id)
        if isinstance(found, Answer):
            self._reply(call, found)
        elif shared.places.take(call.sender):
            self._tasks.start_soon(self._act, call, found)
        else:
            limits = f"{PLACES} of one caller, {ALL_PLACES} in all"
            raise RefusedError(
                LIMITS_EXCEEDED, f"{found.container}: {found.verb}: too many are under way; there may be {limits}"
            )

    async def _act(self, call: wire.Incoming, action: Action) -> None:
        doing, actions = f"{action.container}: {action.verb}", self._shared.actions
        interactive = bool(call.flags & wire.INTERACTIVE)
        try:
            await self._shared.authority.authorize(
                self._connection, call.sender, action.container, action.verb, interactive=interactive
            )
            verb = {"start": actions.start, "stop": actions.stop, "restart": actions.restart}[action.verb]
            with anyio.fail_after(_JOB):
                self._reply(call, Answer("o", wire.marshal("o", await verb(action.container))))
        except NotAuthorizedError as error:
            self._refuse(call, NOT_AUTHORIZED, str(error))
        except NotFoundError as error:
            self._refuse(call, NOT_FOUND, str(error))
        except TimeoutError:
            self._refuse(call, FAILED, f"{doing}: systemd does not answer")
        except Exception as error:
            self._refuse(call, FAILED, str(error) if isinstance(error, CtrError) else f"{doing}: {error!r}")
        finally:
            self._shared.places.leave(call.sender)

    def _reply(self, call: wire.Incoming, answer: Answer) -> None:
        if call.flags & wire.NO_REPLY:
            return
        size = self._connection.send(
            wire.RETURN,
            reply_to=call.serial,
            destination=call.sender,
            signature=answer.signature,
            body=answer.body,
            flags=wire.NO_REPLY,
        )
        self._shared.credits.charge(call.sender, size)

    def _refuse(self, call: wire.Incoming, name: str, text: str) -> None:
        self._shared.tally.refused += 1
        if not call.flags & wire.NO_REPLY:
            body = wire.marshal("s", wire.clean(text))
            self._connection.send(
                wire.ERROR,
                error=name,
                reply_to=call.serial,
                destination=call.sender,
                signature="s",
                body=body,
                flags=wire.NO_REPLY,
            )


def _event_signal(event: Event) -> Signal:
    details = {name: Variant(kind, value) for name, (kind, value) in event_details(event).items()}
    body = wire.marshal("ssa{sv}", event.kind.value, wire.clean(event.name), details)
    return Signal(ROOT, NAME, "Event", "ssa{sv}", body)
