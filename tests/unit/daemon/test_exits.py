"""Doorbells at processes: real ones, whose end the kernel tells."""

from __future__ import annotations

import os
import resource
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

import anyio

from supervisor.daemon.exits import Exits


class Bell:
    """Counts how often it was rung, and waits for the next time."""

    def __init__(self) -> None:
        self.rung = 0
        self._event = anyio.Event()

    def ring(self) -> None:
        self.rung += 1
        self._event.set()

    async def next(self) -> None:
        with anyio.fail_after(20):
            await self._event.wait()
        self._event = anyio.Event()


@contextmanager
def process() -> Iterator[subprocess.Popen[bytes]]:
    """One that runs until its standard input ends."""
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as found:
        yield found


def play(scene: Callable[[Exits, Bell], Awaitable[None]]) -> None:
    """Run *scene*; afterwards, no descriptor is left."""

    async def stage() -> None:
        before = os.listdir("/proc/self/fd")
        bell = Bell()
        exits = Exits(bell.ring)
        try:
            await scene(exits, bell)
        finally:
            exits.close()
        assert len(os.listdir("/proc/self/fd")) == len(before)

    anyio.run(stage)


async def _turns() -> None:
    """What is ready is told."""
    for _ in range(3):
        await anyio.sleep(0)


def test_an_end_rings_once() -> None:
    """Also before anybody has waited for the process, and not again while it counts as the main process."""

    async def scene(exits: Exits, bell: Bell) -> None:
        with process() as one:
            exits.watch("web", one.pid)
            exits.watch("web", one.pid)
            await _turns()
            assert bell.rung == 0
            one.kill()
            await bell.next()
            exits.watch("web", one.pid)
            await _turns()
            assert bell.rung == 1

    play(scene)


def test_the_next_process_of_a_container_rings_too() -> None:
    """Each main process has its own end."""

    async def scene(exits: Exits, bell: Bell) -> None:
        for count in (1, 2, 3):
            with process() as one:
                exits.watch("web", one.pid)
                one.kill()
                await bell.next()
            assert bell.rung == count

    play(scene)


def test_who_is_no_main_process_any_more_is_silent() -> None:
    """A container without one, or with another, is not told of the one it had."""

    async def scene(exits: Exits, bell: Bell) -> None:
        with process() as one, process() as other:
            exits.watch("web", one.pid)
            exits.watch("db", one.pid)
            exits.watch("web", 0)
            exits.watch("db", other.pid)
            one.kill()
            one.wait()
            await _turns()
            assert bell.rung == 0

    play(scene)


def test_a_process_that_is_gone_is_no_error() -> None:
    """Its end is in the journal already."""

    async def scene(exits: Exits, bell: Bell) -> None:
        with process() as one:
            one.kill()
        exits.watch("web", one.pid)
        await _turns()
        assert bell.rung == 0

    play(scene)


def test_descriptors_are_left_for_others() -> None:
    """At the limit nothing is watched: bells are a comfort, connections are not."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)

    async def scene(exits: Exits, bell: Bell) -> None:
        with process() as one:
            resource.setrlimit(resource.RLIMIT_NOFILE, (256, limits[1]))
            before = os.listdir("/proc/self/fd")
            exits.watch("web", one.pid)
            assert len(os.listdir("/proc/self/fd")) == len(before)

    try:
        play(scene)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
