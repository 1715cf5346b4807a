"""The book: everything told once, also by a supervisor that came after another."""

from __future__ import annotations

from dataclasses import replace

from supervisor.daemon.book import Book, identity
from supervisor.daemon.snapshot import Snapshot, parse
from supervisor.events.event import Event, Kind
from supervisor.lifecycle.model import Container
from supervisor.lifecycle.observation import Observation, Sign, UnitState
from supervisor.spec import codec
from supervisor.spec.card import Card

RUN = "c" * 32
UP = UnitState("web", "active", "running", RUN, main_pid=7, exit_pid=7, starting_at=10, ready_at=20)
DOWN = replace(UP, active="inactive", sub="dead", main_pid=0, exit_code="exited", exit_status=3, exited_at=30)
CARD = Card("web", "nginx")


class Listener:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.shown: dict[str, Container] = {}

    def tell(self, event: Event) -> None:
        self.events.append(event)

    def show(self, container: Container) -> None:
        self.shown[container.name] = container

    def hide(self, name: str) -> None:
        del self.shown[name]

    @property
    def kinds(self) -> list[str]:
        return [event.kind.value for event in self.events]


def made(*containers: Container, deployed: bool = True) -> tuple[Book, Listener]:
    listener = Listener()
    return Book(listener, lambda name: Card(name, "nginx") if deployed else None, containers), listener


def test_a_run_by_signals_alone() -> None:
    """What D-Bus says is enough while somebody listens."""
    book, listener = made()
    book.changed(UP, 25)
    book.changed(DOWN, 31)
    assert listener.kinds == ["starting", "started", "ready", "exited"]
    assert listener.shown["web"].last and listener.shown["web"].last.number == 3


def test_the_first_look_tells_nothing() -> None:
    """At installation everything is there already."""
    book, listener = made()
    book.adopt({"web": UP}, {"web": "healthy"}, {"web": CARD})
    assert listener.kinds == [] and listener.shown["web"].health == "healthy"
    book.changed(DOWN, 31)
    assert listener.kinds == ["exited"]


def test_what_happened_meanwhile_is_told_once() -> None:
    """The snapshot, what was told after it, and systemd's state now make one story."""
    first, told = made()
    first.changed(UP, 25)
    before = first.containers["web"]
    first.changed(DOWN, 31)
    second, listener = made(before)
    second.told = {identity(event) for event in told.events}
    second.rebuilt({"web": DOWN}, {}, {"web": CARD}, 99, final=True)
    assert listener.kinds == []
    third, listener = made(before)
    third.rebuilt({"web": DOWN}, {}, {"web": CARD}, 99, final=True)
    assert listener.kinds == ["exited"]


def test_an_end_that_left_no_trace_is_said_to_be_unknown() -> None:
    """systemd has forgotten the unit, and the journal its entries."""
    first, _ = made()
    first.changed(UP, 25)
    second, listener = made(first.containers["web"])
    second.rebuilt({}, {}, {"web": CARD}, 99, final=True)
    assert [(event.kind, event.code) for event in listener.events] == [(Kind.EXITED, "unknown")]


def test_a_removed_container_is_forgotten_when_it_is_down() -> None:
    """Not before: it may outlive its definition for a moment."""
    book, listener = made(deployed=False)
    book.changed(UP, 25)
    book.observe(Observation(Sign.REMOVED, "web", 26))
    assert "web" in listener.shown
    book.changed(DOWN, 31)
    assert listener.shown == {} and book.containers == {}
    assert listener.kinds[-1] == "exited"


def test_late_words_do_not_bring_a_container_back() -> None:
    """The journal may tell of its end when it is gone already."""
    book, listener = made(deployed=False)
    book.observe(Observation(Sign.ENDED, "web", 40, RUN, detail="success", source="s"))
    book.observe(Observation(Sign.REMOVED, "web", 41, source="t"))
    assert listener.shown == {} and listener.kinds == ["removed"]


def test_an_image_belongs_to_no_container() -> None:
    """It is told all the same."""
    book, listener = made()
    book.observe(Observation(Sign.PULLED, "", 5, detail="nginx sha256:0", source="s"))
    assert listener.kinds == ["pulled"] and book.containers == {}


def test_a_snapshot_holds_a_container_whole() -> None:
    """But for the card, which is read anew."""
    book, _ = made()
    book.changed(UP, 25)
    book.changed(DOWN, 31)
    container = replace(book.containers["web"], card=None)
    text = f'{{"version": 1, "cursor": "c"}}\n{codec.line(container)}\n'
    assert parse(text, "x") == Snapshot("c", (container,))
