"""Snapshots: what was kept is read again whole, or refused; and a file that cannot be written is tried again."""

from __future__ import annotations

import os
import select
from dataclasses import replace
from pathlib import Path

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.daemon.snapshot import VERSION, Keeper, Snapshot, decode, parse, path_of, read, text
from supervisor.errors import UserError
from supervisor.events.event import Kind
from supervisor.lifecycle.model import Container, Exit, Run
from supervisor.lifecycle.observation import UnitState
from supervisor.spec import codec
from supervisor.spec.card import Card

EXIT = Exit("exited", 3, 30, "exit-code")
RUN = Run("c" * 32, 10, 20, 20, 30, EXIT, 1, reported=(Kind.STARTING, Kind.EXITED))
WEB = Container(
    "web",
    unit=UnitState("web", "failed"),
    health="zurück\u2028",
    runs=(RUN,),
    last=EXIT,
    exits=(("exit-code", 2),),
    restarts=1,
)
DB = Container("db", paused=True, paused_at=5)
CURSOR = "s=0a;i=1f"
SMALL = text(CURSOR, [codec.line(WEB), codec.line(DB)])

#: Whatever a field may hold, lone surrogates and the ends of lines that JSON leaves as they are among it.
WORDS = st.text(st.characters(), max_size=8) | st.sampled_from(["\u2028", "\x85", "\n", "\ud800", "\\ud800", "ü"])
containers = st.from_type(Container).map(lambda one: replace(one, card=None))


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "snapshot")


async def kept(path: str, *known: Container, cursor: str = CURSOR) -> Keeper:
    """A keeper of *known*, written."""
    keeper = Keeper(path)
    for container in known:
        keeper.note(container)
    await keeper.keep(cursor)
    return keeper


def many(count: int, restarts: int = 0) -> list[Container]:
    return [Container(f"c{number}", restarts=restarts) for number in range(count)]


def names(found: Snapshot | None) -> set[str]:
    assert found is not None
    return {container.name for container in found.containers}


def test_what_was_kept_is_read_again(path: str) -> None:
    """All of it but the cards, which are read anew; nothing beside the file is left."""

    async def main() -> None:
        await kept(path, replace(WEB, card=Card("web", "nginx")), DB)
        assert await read(path) == Snapshot(CURSOR, (WEB, DB))
        assert os.listdir(os.path.dirname(path)) == ["snapshot"]

    anyio.run(main)


@given(WORDS, st.dictionaries(st.text(min_size=1, max_size=4) | WORDS.filter(bool), containers, max_size=4), WORDS)
def test_any_container_survives(cursor: str, known: dict[str, Container], detail: str) -> None:
    """Whatever is in it, runs, exits, and words in any script."""
    found = tuple(replace(one, name=name, health=detail) for name, one in known.items())
    written = text(cursor, [codec.line(one) for one in found])
    assert parse(written, "x") == Snapshot(cursor, found)
    assert decode(written.encode("utf-8", "backslashreplace"), "x") == Snapshot(cursor, found)


def test_half_a_character_is_no_crash(path: str) -> None:
    """A lone surrogate, which no file in UTF-8 can hold as it is."""

    async def main() -> None:
        odd = replace(WEB, health="\ud800")
        await kept(path, odd, cursor="\udfff")
        assert await read(path) == Snapshot("\udfff", (odd,))

    anyio.run(main)


def test_no_flip_of_a_byte_goes_unseen() -> None:
    """In the head as in the containers: it is refused, unless it changes nothing (another white space)."""
    data, expected, seen = SMALL.encode(), parse(SMALL, "x"), 0
    for at in range(len(data)):
        for bit in range(8):
            flipped = data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :]
            try:
                assert decode(flipped, "x") == expected, flipped
            except UserError as error:
                assert str(error).startswith("x:"), error
                seen += 1
    assert seen > 7 * len(data)


def test_no_cut_goes_unseen() -> None:
    """A file that is not all there is refused, at whatever byte it ends; so is one with more to it."""
    data = SMALL.encode()
    for end in range(len(data)):
        with pytest.raises(UserError, match=r"^x:"):
            decode(data[:end], "x")
    for more in (b"\n", b" ", b"{}\n", b"\0", data):
        with pytest.raises(UserError, match=r"^x:"):
            decode(data + more, "x")


@pytest.mark.parametrize(
    ("written", "words"),
    [
        (b"", "x:1: not the head of a snapshot of version"),
        (b"\xff\xfe\n", "x:1: not UTF-8"),
        (SMALL.encode() + b"a\xffb", "x:4: not UTF-8"),
        (b"[" * 100_000, "x:1: not the head of"),
        (b'{"version": 1, "cursor": "c"}\n', "x:1: not the head of"),
        (SMALL.replace(f'"version":{VERSION}', f'"version":{VERSION + 1}').encode(), "x:1: not the head of"),
        (text("c", ["{}"]).encode(), "x:2: Container: .*'name'"),
        (text("c", ['{"name":""}']).encode(), "x:2: no name"),
        (text("c", [codec.line(DB), codec.line(WEB), codec.line(DB)]).encode(), "x:4: a second container 'db'"),
        (text("c", [codec.line(DB), "[" * 100_000]).encode(), "x:3: maximum recursion depth"),
        (text("c", ['{"name":"a","else":1}']).encode(), "x:2: .*unknown member 'else'"),
        (text("c", [codec.line(DB), ""]).encode(), "x:3: "),
    ],
)
def test_what_is_wrong_is_named_with_its_line(written: bytes, words: str) -> None:
    """And what becomes of the file."""
    with pytest.raises(UserError, match=f"(?s)^{words}.*; the next snapshot replaces this one$"):
        decode(written, "x")


def test_the_next_snapshot_replaces_a_damaged_one(path: str) -> None:
    """As the message says."""

    async def main() -> None:
        Path(path).write_bytes(b"\xff")
        with pytest.raises(UserError, match="replaces this one"):
            await read(path)
        await kept(path, DB)
        assert await read(path) == Snapshot(CURSOR, (DB,))

    anyio.run(main)


def test_no_file_and_one_that_cannot_be_read(tmp_path: Path, path: str) -> None:
    """The first is how it begins, the second an error that is ours to report."""

    async def main() -> None:
        assert await read(path) is None
        with pytest.raises(UserError, match=f"^{tmp_path}: Is a directory$"):
            await read(str(tmp_path))

    anyio.run(main)
    assert path_of({"STATE_DIRECTORY": "/s"}) == "/s/snapshot"


def test_what_changes_meanwhile_is_for_the_next(path: str) -> None:
    """A snapshot is written though things go on changing, and then another is due."""

    async def main() -> None:
        keeper = Keeper(path)
        for container in many(500):
            keeper.note(container)

        async def change() -> None:
            keeper.forget("c0")
            keeper.forget("c499")
            while not os.path.exists(path):
                for container in many(450, restarts=1)[1:]:
                    keeper.note(container)
                keeper.note(Container("new"))
                await anyio.lowlevel.checkpoint()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(keeper.keep, CURSOR)
            tasks.start_soon(change)
        assert {f"c{number}" for number in range(1, 499)} <= names(await read(path))
        assert keeper.is_due
        await keeper.keep("later")
        assert not keeper.is_due
        found = await read(path)
        assert found and found.cursor == "later" and len(found.containers) == 499
        assert {one.name: one.restarts for one in found.containers} == {
            **{f"c{number}": int(number < 450) for number in range(1, 499)},
            "new": 0,
        }

    anyio.run(main)


def test_due_is_what_was_noted_since(path: str) -> None:
    """A change or an end, and nothing after it was written."""

    async def main() -> None:
        keeper = await kept(path, WEB, DB)
        assert not keeper.is_due
        keeper.forget("web")
        assert keeper.is_due
        await keeper.keep("2")
        assert not keeper.is_due and await read(path) == Snapshot("2", (DB,))

    anyio.run(main)


def test_a_directory_that_is_gone_costs_nothing(tmp_path: Path) -> None:
    """Nothing that was noted is lost with the file that could not be written."""
    path = str(tmp_path / "gone/snapshot")

    async def main() -> None:
        keeper = Keeper(path)
        keeper.note(WEB)
        for _ in range(2):
            with pytest.raises(FileNotFoundError):
                await keeper.keep(CURSOR)
            assert keeper.is_due
        (tmp_path / "gone").mkdir()
        await keeper.keep(CURSOR)
        assert not keeper.is_due and await read(path) == Snapshot(CURSOR, (WEB,))

    anyio.run(main)


def test_a_full_disk_leaves_the_one_before(path: str) -> None:
    """And no half of a file beside it."""

    async def main() -> None:
        keeper = await kept(path, DB)
        keeper.note(WEB)
        os.symlink("/dev/full", f"{path}.new")
        with pytest.raises(OSError, match="No space left"):
            await keeper.keep("2")
        assert keeper.is_due and os.listdir(os.path.dirname(path)) == ["snapshot"]
        assert await read(path) == Snapshot(CURSOR, (DB,))
        await keeper.keep("3")
        assert not keeper.is_due and await read(path) == Snapshot("3", (DB, WEB))

    anyio.run(main)


@pytest.mark.parametrize("steps", range(16))
def test_a_cancelled_one_is_made_up_for(path: str, steps: int) -> None:
    """However far it has come: what is on the disk is whole, and the next has everything."""

    async def main() -> None:
        keeper = await kept(path, DB)
        for container in many(300):
            keeper.note(container)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(keeper.keep, "2")
            for _ in range(steps):
                await anyio.lowlevel.checkpoint()
            tasks.cancel_scope.cancel()
        assert await read(path) == Snapshot(CURSOR, (DB,)) if keeper.is_due else len(names(await read(path))) == 301
        await keeper.keep("3")
        assert not keeper.is_due and len(names(await read(path))) == 301

    anyio.run(main)


def test_a_cancelled_one_does_not_leave_its_thread_writing(path: str) -> None:
    """Another would write into the same file. A pipe stands for a disk that is slow."""

    async def main() -> None:
        keeper = Keeper(path)
        for container in many(5000):
            keeper.note(container)
        os.mkfifo(f"{path}.new")
        slow = os.open(f"{path}.new", os.O_RDONLY | os.O_NONBLOCK)
        scope, ended = anyio.CancelScope(), anyio.Event()

        async def first() -> None:
            with scope:
                with pytest.raises(OSError, match="Invalid argument"):
                    # A pipe cannot be synchronized.
                    await keeper.keep("1")
                ended.set()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(first)
            await anyio.to_thread.run_sync(select.select, [slow], [], [])
            scope.cancel()
            tasks.start_soon(keeper.keep, "2")
            await anyio.wait_all_tasks_blocked()
            assert not ended.is_set() and not os.path.exists(path)
            os.set_blocking(slow, True)
            while await anyio.to_thread.run_sync(os.read, slow, 1 << 16):
                pass
        os.close(slow)
        assert ended.is_set() and not keeper.is_due
        found = await read(path)
        assert found and found.cursor == "2" and len(found.containers) == 5000

    anyio.run(main)
