"""supervisor.systemd.reader and writer against this host's journald."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path

import anyio
from hostkit import run, systemctl, wait_until

from supervisor.systemd.reader import BATCH, Reader, Record
from supervisor.systemd.writer import Writer

FIELDS = ("MESSAGE", "MESSAGE_ID", "NUMBER", "_UID", "NOT_THERE")


class Desk:
    """A writer, and readers of what it writes: entries with a MESSAGE_ID of this test alone."""

    def __init__(self) -> None:
        self.id = uuid.uuid4().hex
        self.writer = Writer()

    def reader(self) -> Reader:
        return Reader([("MESSAGE_ID", self.id), ("CTR_TEST", self.id)], FIELDS)

    def write(self, *numbers: int, text: str = "x") -> None:
        """One entry each."""
        for number in numbers:
            self.writer.write({"MESSAGE_ID": self.id, "NUMBER": str(number), "MESSAGE": text})

    async def written(self, *numbers: int, text: str = "x") -> None:
        """The same, and journald has them in its files."""
        self.write(*numbers, text=text)
        await self.writer.flush()
        run("journalctl", "--sync")


async def collect(reader: Reader, count: int) -> list[Record]:
    """The next *count* records, waited for."""
    found: list[Record] = []
    with anyio.fail_after(60):
        while len(found) < count:
            records = await reader.drain()
            found += records
            if not records:
                await reader.wait(1.0)
    return found


def numbers(records: list[Record]) -> list[int]:
    return [int(record.fields["NUMBER"]) for record in records]


def desk(test: Callable[[Desk], Awaitable[None]]) -> None:
    """Run *test*."""
    here = Desk()
    try:
        anyio.run(test, here)
    finally:
        here.writer.close()


def test_from_where_it_was_left() -> None:
    """A reader begins at the end, tells each entry once and in order, and another goes on behind its cursor; the
    fields are those asked for, whatever is in them."""

    async def test(here: Desk) -> None:
        await here.written(1)
        first, second = here.reader(), here.reader()
        assert await first.open(None)
        assert await first.drain() == []
        await here.written(2, 3, text="a\nMESSAGE_ID=forged\nNUMBER=9")
        records = await collect(first, 2)
        assert numbers(records) == [2, 3]
        assert records[0].fields == {
            "MESSAGE": "a\nMESSAGE_ID=forged\nNUMBER=9",
            "MESSAGE_ID": here.id,
            "NUMBER": "2",
            "_UID": "0",
        }
        here.writer.write({"CTR_TEST": here.id, "NUMBER": "4", "MESSAGE": b"\xff" * 10_000})
        await here.writer.flush()
        other = await collect(first, 1)  # another field's match is an alternative
        assert numbers(other) == [4] and other[0].fields["MESSAGE"] == "\ufffd" * 4096
        assert await second.open(records[0].cursor)
        assert numbers(await collect(second, 2)) == [3, 4]
        assert await first.drain() == [] and (first.gaps, second.gaps) == (0, 0)
        await first.close()
        await second.close()

    desk(test)


def test_a_ring_is_faster_than_journald() -> None:
    """An entry is found after a ring without journald's notice: none of the looks after it waits for one."""

    async def test(here: Desk) -> None:
        reader = here.reader()
        await reader.open(None)
        found: list[Record] = []
        here.write(1)
        await here.writer.flush()
        reader.ring()
        with anyio.fail_after(60):
            while not found:
                await reader.wait(120.0)
                found = await reader.drain()
        assert numbers(found) == [1]
        await reader.close()

    desk(test)


def test_what_is_expected_is_looked_for() -> None:
    """An entry that is about to come is found without a ring when it does, also after another has come first."""

    async def test(here: Desk) -> None:
        reader = here.reader()
        await reader.open(None)
        reader.expect(300.0)
        for number in (1, 2):
            found: list[Record] = []
            with anyio.fail_after(60):
                for _ in range(20):
                    await reader.wait(120.0)
                    assert await reader.drain() == []
                here.write(number)
                while not found:
                    await reader.wait(120.0)
                    found = await reader.drain()
            assert numbers(found) == [number]
        reader.arrived()
        await reader.close()

    desk(test)


def test_many_entries_in_batches() -> None:
    """More than one batch, and more than are read from one opened journal, arrive complete and in order."""

    async def test(here: Desk) -> None:
        reader = here.reader()
        await reader.open(None)
        count = 11 * BATCH + 7
        for start in range(0, count, 100):
            here.write(*range(start, min(start + 100, count)))
            await here.writer.flush()
        run("journalctl", "--sync")
        batches: list[int] = []
        seen: list[int] = []
        while records := await reader.drain():
            batches.append(len(records))
            seen += numbers(records)
        assert seen == list(range(count)) and max(batches) <= BATCH and reader.gaps == 0
        await reader.close()

    drop_in = Path("/run/systemd/journald.conf.d/no-limit.conf")
    drop_in.parent.mkdir(parents=True, exist_ok=True)
    drop_in.write_text("[Journal]\nRateLimitBurst=0\n")
    try:
        systemctl("restart", "systemd-journald")
        desk(test)
    finally:
        drop_in.unlink()
        systemctl("restart", "systemd-journald")


def test_rotation_is_no_gap_and_vacuum_is() -> None:
    """Entries on both sides of a rotation are read; when the place where a reader stands is vacuumed, it says so, and
    tells what came later."""

    async def test(here: Desk) -> None:
        reader = here.reader()
        await reader.open(None)
        await here.written(1)
        run("journalctl", "--rotate")
        await here.written(2)
        assert numbers(await collect(reader, 2)) == [1, 2] and reader.gaps == 0
        cursor = reader.cursor

        def vacuum() -> bool:
            run("journalctl", "--rotate")
            run("journalctl", "--vacuum-time=1s")
            return "NUMBER=2" not in run("journalctl", "-o", "export", f"MESSAGE_ID={here.id}").stdout

        await anyio.to_thread.run_sync(lambda: wait_until(vacuum))
        await here.written(3)
        assert numbers(await collect(reader, 1)) == [3]
        assert reader.gaps >= 1
        late = here.reader()
        assert not await late.open(cursor)
        assert numbers(await collect(late, 1)) == [3]
        assert not await here.reader().open("no cursor")
        await reader.close()
        await late.close()

    desk(test)


def test_the_mark_moves_with_the_journal() -> None:
    """The mark is the journal's last entry when nothing of ours waits, and never skips what does."""

    async def test(here: Desk) -> None:
        reader = here.reader()
        await reader.open(None)
        await here.written(1)
        await collect(reader, 1)
        here.writer.write({"MESSAGE": "of another"})
        await here.writer.flush()
        run("journalctl", "--sync")
        before = reader.cursor
        mark = await reader.mark()
        assert mark != before
        await here.written(2)
        assert await reader.mark() == mark
        assert numbers(await collect(reader, 1)) == [2]
        late = here.reader()
        assert await late.open(mark)
        assert numbers(await collect(late, 1)) == [2]
        await reader.close()
        await late.close()

    desk(test)


def test_journald_is_stopped() -> None:
    """What is written while journald does not run is kept and arrives when it does."""

    async def test(here: Desk) -> None:
        reader = here.reader()
        await reader.open(None)
        units = ("systemd-journald.service", "systemd-journald.socket", "systemd-journald-dev-log.socket")
        systemctl("stop", *units)
        try:
            here.write(*range(600))
            assert here.writer.lost == 0
        finally:
            systemctl("start", *reversed(units))
        await here.writer.flush()
        assert numbers(await collect(reader, 600)) == list(range(600)) and reader.gaps == 0
        await reader.close()

    desk(test)
