"""The live model: every container by name, and what follows when something is seen of one.

Owns the map and the order of things; decides nothing (`supervisor.lifecycle` does). Synchronous and quick: it is called
in the event loop.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Protocol

from supervisor.events.event import Event, Kind
from supervisor.lifecycle import causes, machine
from supervisor.lifecycle.model import Container
from supervisor.lifecycle.observation import Observation, Sign, UnitState
from supervisor.spec.card import Card


class Audience(Protocol):
    """Who wants to know."""

    def tell(self, event: Event) -> None: ...
    def show(self, container: Container) -> None:
        """*container* is new or has changed."""

    def hide(self, name: str) -> None:
        """There is no such container any more."""

    def keep(self, container: Container) -> None:
        """*container*, be it one that is no more, is to be known to the next supervisor as well."""

    def forget(self, name: str) -> None:
        """Nothing is known of it any more."""


#: So many containers that are no more are remembered. systemd may still tell of them, and what it tells is no news.
_DEPARTED = 1000


class Book:
    """What is known of all containers."""

    def __init__(
        self, audience: Audience, card: Callable[[str], Card | None], containers: Iterable[Container] = ()
    ) -> None:
        """*card* reads the card of a container; *containers*: as they were left by the supervisor before."""
        self._audience = audience
        self._card = card
        self.containers: dict[str, Container] = {}
        self._departed: dict[str, Container] = {}
        for container in containers:
            is_gone = _is_down(container) and card(container.name) is None
            (self._departed if is_gone else self.containers)[container.name] = container
        self.told: set[tuple[str, str]] = set()
        """What the supervisor before has told since its last snapshot: `identity` of each."""

    def observe(self, seen: Observation) -> None:
        """Take in one observation."""
        if not seen.name:
            self._tell(Event(Kind(seen.sign.value), "", seen.at, detail=seen.detail, source=seen.source))
            return
        container = self._container(seen.name)
        if seen.sign in (Sign.CREATED, Sign.STARTING):
            # A definition may have changed while the container was down, of which nobody else tells.
            container = replace(container, card=self._card(seen.name) or container.card)
            self._put(container)
        self._take(container, machine.step(container, seen))
        if seen.sign is Sign.REMOVED and _is_down(container):
            # One of the same name is another; only what was told of this one stays.
            self._put(_remains(self._container(seen.name)))
        self._see_off(seen.name)

    def recall(self, event: Event) -> None:
        """The supervisor before has told *event* since its last snapshot."""
        self.told.add(identity(event))
        container = self.containers.get(event.name)
        if container and event.kind in (Kind.PAUSED, Kind.UNPAUSED):
            paused = event.kind is Kind.PAUSED
            self.containers[event.name] = replace(container, paused=paused, paused_at=event.at)

    def changed(self, unit: UnitState, at: int) -> None:
        """systemd says *unit* of a container. *at*: when, in microseconds since the epoch."""
        container = self._container(unit.name)
        before = container.unit
        self._put(replace(container, unit=unit))
        for seen in causes.of_unit(before, unit, at):
            self.observe(seen)
        self._see_off(unit.name)

    def health(self, name: str, health: str) -> None:
        """The container's health is now *health*."""
        container = self._container(name)
        if container.health != health:
            self._put(replace(container, health=health))

    def probed(self, name: str, usec: int) -> None:
        """A health probe of the container took *usec* microseconds."""
        if container := self.containers.get(name):
            self._put(replace(container, probe_usec=usec))

    def rebuilt(
        self,
        units: Mapping[str, UnitState],
        health: Mapping[str, str],
        cards: Mapping[str, Card],
        at: int,
        *,
        final: bool = False,
    ) -> None:
        """All that systemd and the drop-ins say, after a start or a time of not listening. *final*: the journal has
        nothing more to say of the runs that are over."""
        for name in sorted({*self.containers, *units, *cards}):
            self._put(replace(self._container(name), card=cards.get(name), health=health.get(name, "")))
            self.changed(units.get(name, UnitState(name)), at)
            if final and (container := self.containers.get(name)):
                self._take(container, machine.settle(container, at))

    def adopt(self, units: Mapping[str, UnitState], health: Mapping[str, str], cards: Mapping[str, Card]) -> None:
        """The same at the first start ever: what was before is nobody's news."""
        for name in sorted({*units, *cards}):
            container = Container(name, cards.get(name), health=health.get(name, ""))
            self._put(machine.adopt(container, units.get(name, UnitState(name))))
            self._see_off(name)

    def lost(self, detail: str, at: int) -> None:
        """Tell that something cannot be told."""
        self._tell(Event(Kind.LOST, "", at, detail=detail))

    def _container(self, name: str) -> Container:
        found = self.containers.get(name) or self._departed.get(name)
        return found or Container(name, self._card(name), UnitState(name))

    def _take(self, before: Container, step: machine.Step) -> None:
        after, events = step
        if after != before:
            self._put(after)
        for event in events:
            self._tell(event)

    def _put(self, container: Container) -> None:
        name = container.name
        if name in self._departed and container.card is None and _is_down(container):
            self._departed[name] = container
            self._audience.keep(container)
            return
        self._departed.pop(name, None)
        if self.containers.get(name) != container:
            self.containers[name] = container
            self._audience.keep(container)
            self._audience.show(container)

    def _tell(self, event: Event) -> None:
        if identity(event) not in self.told:
            self._audience.tell(event)

    def _see_off(self, name: str) -> None:
        """A container that is not deployed, and of which nothing runs, is none."""
        container = self.containers.get(name)
        if container is None or not _is_down(container) or self._card(name) is not None:
            return
        del self.containers[name]
        self._audience.hide(name)
        self._departed[name] = _remains(container)
        self._audience.keep(self._departed[name])
        if len(self._departed) > _DEPARTED:
            oldest = next(iter(self._departed))
            del self._departed[oldest]
            self._audience.forget(oldest)


def _is_down(container: Container) -> bool:
    return container.unit.active in ("inactive", "failed")


def _remains(container: Container) -> Container:
    """What is left of a removed container: which runs it had, and what systemd still says of its unit."""
    return Container(container.name, unit=container.unit, runs=container.runs, forgotten=container.forgotten)


def identity(event: Event) -> tuple[str, str]:
    """What makes an event the same as another: its kind in one run, or the entry that told it."""
    if event.kind in _PER_RUN:
        return event.kind.value, event.invocation
    return event.kind.value, event.source or f"{event.name} {event.at}"


_PER_RUN = frozenset(
    (Kind.STARTING, Kind.STARTED, Kind.READY, Kind.EXITED, Kind.RESTARTING, Kind.GIVEN_UP, Kind.STOPPED)
)
