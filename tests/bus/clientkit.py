"""A client of the API that shares no code with it: dbus-next's own connection, and a mirror kept by signals alone."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
from buskit import client
from dbus_next import Message, MessageFlag, MessageType, Variant
from dbus_next.aio import MessageBus

NAME, ROOT = "io.ctr.Supervisor1", "/io/ctr/Supervisor1"
CONTAINER, PROJECT = f"{NAME}.Container", f"{NAME}.Project"
PROPERTIES, MANAGER = "org.freedesktop.DBus.Properties", "org.freedesktop.DBus.ObjectManager"
BUS = "org.freedesktop.DBus"
POLKIT = "org.freedesktop.PolicyKit1"


class CallError(Exception):
    """A call was answered with the error *name*."""

    def __init__(self, name: str, text: str) -> None:
        super().__init__(text)
        self.name = name


class Client:
    """One connection to the bus."""

    def __init__(self, bus: MessageBus) -> None:
        self.bus = bus
        self.signals: list[Message] = []
        bus.add_message_handler(self._keep)

    def _keep(self, message: Message) -> None:
        if message.message_type is MessageType.SIGNAL and message.path.startswith(ROOT):
            self.signals.append(message)

    async def call(
        self,
        path: str,
        interface: str,
        member: str,
        signature: str = "",
        *values: Any,
        destination: str = NAME,
        flags: MessageFlag = MessageFlag.NONE,
    ) -> list[Any]:
        message = Message(destination, path, interface, member, flags=flags, signature=signature, body=list(values))
        with anyio.fail_after(60):
            reply = await self.bus.call(message)
        if reply.message_type is MessageType.ERROR:
            raise CallError(reply.error_name, reply.body[0] if reply.body else "")
        return reply.body

    async def get(self, path: str, interface: str, name: str) -> Any:
        (value,) = await self.call(path, PROPERTIES, "Get", "ss", interface, name)
        return value.value

    async def managed(self) -> dict[str, dict[str, dict[str, Any]]]:
        (objects,) = await self.call(ROOT, MANAGER, "GetManagedObjects")
        return plain(objects)

    async def watch(self) -> None:
        rule = f"type='signal',sender='{NAME}'"
        await self.call("/org/freedesktop/DBus", BUS, "AddMatch", "s", rule, destination=BUS)


def plain(value: Any) -> Any:
    """*value* without variants."""
    if isinstance(value, Variant):
        return plain(value.value)
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return value


def mirror(objects: dict[str, dict[str, dict[str, Any]]], signals: list[Message]) -> None:
    """Apply *signals* to *objects*, as the D-Bus specification says that a client may."""
    for signal in signals:
        if signal.member == "InterfacesAdded":
            path, interfaces = signal.body
            objects.setdefault(path, {}).update(plain(interfaces))
        elif signal.member == "InterfacesRemoved":
            path, names = signal.body
            for name in names:
                del objects[path][name]
            if not objects[path]:
                del objects[path]
        elif signal.member == "PropertiesChanged" and signal.path != ROOT:
            interface, changed, _ = signal.body
            objects[signal.path][interface].update(plain(changed))


@asynccontextmanager
async def connected(address: str) -> AsyncIterator[Client]:
    async with client(address) as bus:
        yield Client(bus)


async def until(condition: Callable[[], Awaitable[bool]] | Callable[[], bool], seconds: float = 60) -> None:
    """Wait for a state, in the event loop."""
    with anyio.fail_after(seconds):
        while True:
            found = condition()
            if found is True or (found is not False and await found):
                return
            await anyio.sleep(0.005)
