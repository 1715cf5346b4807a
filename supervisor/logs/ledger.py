"""What of a stream is already in the journal: two words that survive SIGKILL, and the argument why they suffice.

THE ARGUMENT

The relay can die between any two of its instructions, and nothing may be lost, doubled or reordered. What survives
is what systemd's fd store holds open: the container's pipe, the stream's spool (a memfd, whose *file offset* belongs
to the open file description, so it survives too), and the outbox (one pipe for all streams). Every step that matters
is one system call or one aligned 8-byte store, and happens or does not:

    fill     splice(pipe -> spool)           bytes leave the pipe, are in the spool, and its file offset has moved
    write    write(outbox, entry)            one whole entry is in the outbox, which was empty
    intend   SENDING = end of the line
    send     splice(outbox -> journald)      the datagram is in journald's queue, and the outbox is empty
    settle   SENT = end of the line

SENT and SENDING are positions in the spool; [SENT, file offset) is what is still to be sent. Only one entry of all
streams is on its way at a time. After a death, looking at the spool's words and whether the outbox is empty:

    SENDING = SENT, outbox empty             nothing is on its way
    SENDING = SENT, outbox full              died after write: the entry will be framed again from the spool
    SENDING > SENT, outbox full              died after intend: not sent, the same
    SENDING > SENT, outbox empty             died after send: journald has it, so SENT = SENDING

so no line is in doubt, and the journal need not be asked. The repair survives a death as well: first SENDING = SENT
(one store; the second row), and only after that of all streams is the outbox emptied.

The spool must not grow. When what is unsent is short (the beginning of a line, or nothing), it moves to the front:

    copy     [SENT, offset) to [FRONT, …)    only if the target ends before SENT: it overwrites what is settled
    seek     file offset = end of the copy   from here on the copy counts: the file offset is less than SENT
    reset    SENDING = FRONT, SENT = FRONT   in this order

Nothing else makes the file offset less than SENT, because filling waits until SENT is reset, and the target *ends
before* SENT, never at it, where "all sent" and "moved" would look alike. So after a death, offset < SENT means: reset.

A line longer than `framing.LONGEST` leaves in parts, and which part comes next must change together with SENT:
both words hold the number of parts already sent of the current line in their upper half.

This module owns the words and these decisions, not the files: `supervisor.relay.spool` and `.outbox` do the calls.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import MutableSequence

_OFFSET = (1 << 32) - 1

#: Indices into the words.
SENT, SENDING = 0, 1


class Ledger:
    """The two words of one stream. *words* is shared memory, each store into it a single 8-byte write."""

    __slots__ = ("_front", "_words")

    def __init__(self, words: MutableSequence[int] | memoryview[int], front: int) -> None:
        self._words = words
        self._front = front  #: where the spool's data begins

    def start(self) -> None:
        """A new spool: nothing received, nothing sent."""
        self._words[SENDING] = self._words[SENT] = self._front

    @property
    def sent(self) -> int:
        """Offset in the spool up to which the journal has everything."""
        return self._words[SENT] & _OFFSET

    @property
    def part(self) -> int:
        """How many parts of the line at `sent` the journal has already."""
        return self._words[SENT] >> 32

    def intend(self, offset: int, part: int) -> None:
        """An entry that ends at *offset* is in the outbox."""
        self._words[SENDING] = part << 32 | offset

    def settle(self, offset: int, part: int) -> None:
        """journald has the entry that ends at *offset*; *part* parts of the line that follows there are sent."""
        self._words[SENT] = part << 32 | offset

    def target(self, offset: int) -> int | None:
        """Where the unsent bytes up to *offset* would end at the front, or None when they are there or do not fit."""
        end = self._front + offset - self.sent
        return end if end < self.sent else None

    def reset(self) -> None:
        """The unsent bytes are at the front now, and the file offset at their end."""
        front = self.part << 32 | self._front
        self._words[SENDING] = front
        self._words[SENT] = front

    def repair(self, offset: int, *, sent_off: bool) -> None:
        """Make the words true after a death; *offset*: the spool's file offset; *sent_off*: the outbox is empty."""
        if offset < self.sent:
            self.reset()
        elif self._words[SENDING] != self._words[SENT]:
            if sent_off:
                self._words[SENT] = self._words[SENDING]
            else:
                self._words[SENDING] = self._words[SENT]
