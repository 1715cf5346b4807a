"""The book: everything told once, also by a supervisor that came after another."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from supervisor.api.values import container_values
from supervisor.daemon.book import Book
from supervisor.daemon.snapshot import Snapshot, parse, text
from supervisor.events import entry
from supervisor.events.event import Event, Kind
from supervisor.lifecycle import causes
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
        self.kept: dict[str, Container] = {}

    def tell(self, event: Event) -> None:
        self.events.append(event)

    def show(self, container: Container) -> None:
        self.shown[container.name] = container

    def hide(self, name: str) -> None:
        del self.shown[name]

    def keep(self, container: Container) -> None:
        self.kept[container.name] = container

    def forget(self, name: str) -> None:
        del self.kept[name]

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


def test_restarts_that_no_journal_has() -> None:
    """systemd's own count is believed as far as it goes beyond ours; and a restart that both tell of is one."""
    book, listener = made()
    book.changed(replace(UP, restarts=2), 25)
    assert listener.shown["web"].restarted == 2
    for run in ("1", "2", "3"):
        book.observe(Observation(Sign.EXIT, "web", 30, run * 32, "exited", 3))
        book.observe(Observation(Sign.RESTART, "web", 31, run * 32))
    assert listener.shown["web"].restarted == 3
    book.changed(replace(UP, restarts=3), 40)
    assert listener.shown["web"].restarted == 3


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
    for event in told.events:
        second.recall(event)
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


def test_what_was_told_of_a_removed_container_is_no_news_again() -> None:
    """systemd goes on telling of it: with each daemon-reload, when its failure is forgotten; the journal is late."""
    failed = replace(DOWN, active="failed", sub="failed")
    book, listener = made(deployed=False)
    book.changed(UP, 25)
    book.changed(failed, 31)
    book.observe(Observation(Sign.REMOVED, "web", 32, source="r"))
    told = ["starting", "started", "ready", "exited", "removed"]
    assert listener.kinds == told and listener.shown == {}
    for late in (Sign.STARTING, Sign.READY, Sign.EXIT):
        book.observe(Observation(late, "web", 33, RUN, "exited", 3, source="s"))
    book.changed(DOWN, 40)
    book.rebuilt({"web": failed}, {}, {}, 50)
    after, again = made(*listener.kept.values(), deployed=False)
    after.rebuilt({"web": failed}, {}, {}, 60, final=True)
    assert listener.kinds == told and again.kinds == [] and again.shown == {}
    book.changed(replace(UP, invocation="d" * 32, starting_at=70, ready_at=80), 81)
    assert listener.kinds[len(told) :] == ["starting", "started", "ready"] and "web" in listener.shown


def test_one_of_the_same_name_is_another() -> None:
    """Removed and deployed anew before anybody looked: no exit, no restart of the old one is its own."""
    book, listener = made()
    book.changed(UP, 25)
    book.changed(DOWN, 31)
    book.observe(Observation(Sign.REMOVED, "web", 32, source="r"))
    book.observe(Observation(Sign.CREATED, "web", 33, source="c"))
    assert listener.shown["web"].last is None and listener.shown["web"].exits == ()
    assert listener.shown["web"].phase.value == "created"


def test_only_so_many_of_the_gone_are_remembered() -> None:
    """A host on which containers come and go for years does not fill up."""
    book, listener = made(deployed=False)
    for number in range(1500):
        name = f"c{number}"
        book.changed(replace(UP, name=name), 25)
        book.changed(replace(DOWN, name=name), 31)
    assert book.containers == {} and len(listener.kept) == 1000


def test_a_pause_that_the_one_before_has_told_is_no_news() -> None:
    """Of `systemctl freeze` the journal knows nothing but what we wrote."""
    first, told = made()
    first.changed(UP, 25)
    before = first.containers["web"]
    first.changed(replace(UP, frozen=True), 30)
    second, listener = made(before)
    for event in told.events:
        second.recall(event)
    second.rebuilt({"web": replace(UP, frozen=True)}, {}, {"web": CARD}, 99, final=True)
    assert listener.kinds == [] and listener.shown["web"].paused


STRANGE = ["", "web", "a\0b", "../x", RUN, "9" * 30, "-1", "exited", "killed"]
FIELD = st.one_of(st.sampled_from(STRANGE), st.text(max_size=9))


@given(
    st.dictionaries(st.sampled_from(causes.FIELDS), FIELD),
    st.sampled_from(causes.MESSAGE_IDS),
    st.sampled_from([{"_PID": "1"}, {"_UID": "0"}, {"_UID": "0", "_SYSTEMD_UNIT": "x.service"}]),
)
def test_no_entry_is_too_strange(fields: dict[str, str], message_id: str, sender: dict[str, str]) -> None:
    """Whatever root writes into the journal, the book takes it, and the bus can show what came of it."""
    book, listener = made()
    for seen in causes.of_entry(fields | {"MESSAGE_ID": message_id} | sender, 5, "cursor"):
        book.observe(seen)
    for container in listener.shown.values():
        assert -(2**31) <= container_values(container, {})["LastExitStatus"] < 2**31
    assert all(entry.fields(event)["MESSAGE"] for event in listener.events)


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
    assert parse(text("c", [codec.line(container)]), "x") == Snapshot("c", (container,))
