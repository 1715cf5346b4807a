"""Messages as bytes: whatever dbus-next writes is read, whatever else is read harms nobody."""

from __future__ import annotations

import io

import pytest
from dbus_next import Message, MessageType, Variant
from dbus_next._private.unmarshaller import Unmarshaller
from hypothesis import given
from hypothesis import strategies as st

from supervisor.api import wire

WORDS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)
CALLS = st.builds(
    lambda values, serial, path: Message(
        "io.ctr.X", path, "io.ctr.X", "Get", signature="s" * len(values), body=values, serial=serial, sender=":1.7"
    ),
    st.lists(WORDS, max_size=3),
    st.integers(1, 2**32 - 1),
    st.sampled_from(["/", "/a/b_2d1"]),
)


def read(framer: wire.Framer) -> list[wire.Incoming]:
    """All messages that are complete."""
    found = []
    while (message := framer.next()) is not None:
        found.append(message)
    return found


@given(st.lists(CALLS, max_size=4), st.lists(st.integers(1, 40), max_size=30))
def test_messages_are_read_however_they_are_cut(calls: list[Message], cuts: list[int]) -> None:
    """Header and arguments are those that were written."""
    data = b"".join(bytes(call._marshall()) for call in calls)
    framer, found = wire.Framer(), []
    for cut in [*cuts, len(data)]:
        framer.feed(data[:cut])
        data = data[cut:]
        found += read(framer)
    assert [(m.kind, m.serial, m.path, m.interface, m.member, list(m.strings())) for m in found] == [
        (wire.CALL, call.serial, call.path, call.interface, call.member, call.body) for call in calls
    ]


@given(st.binary(max_size=200), st.booleans())
def test_any_bytes_end_in_messages_or_one_error(noise: bytes, is_headed: bool) -> None:
    """Nothing but `NotDBusError` comes out, and strings() raises nothing but ValueError."""
    framer = wire.Framer()
    framer.feed((b"l\1\0\1" if is_headed else b"") + noise)
    try:
        for message in read(framer):
            message.strings()
    except (wire.NotDBusError, ValueError):
        return


@given(st.integers(0, 60), st.integers(0, 255))
def test_a_damaged_message_harms_no_other(at: int, byte: int) -> None:
    """As long as its lengths are right, the next one is read."""
    call = bytes(Message("io.ctr.X", "/", "io.ctr.X", "Get", serial=5, signature="s", body=["x"])._marshall())
    if at in range(1) or at in range(4, 8) or at in range(12, 16):
        return
    framer = wire.Framer()
    framer.feed(call[:at] + bytes([byte]) + call[at + 1 :] + call)
    assert read(framer)[-1].strings() == ("x",)


def test_a_long_body_is_skipped_and_its_header_read() -> None:
    """Nothing of it is kept while it comes in."""
    long = bytes(Message("io.ctr.X", "/", "io.ctr.X", "Get", serial=5, signature="s", body=["x" * 300_000])._marshall())
    short = bytes(Message("io.ctr.X", "/", "io.ctr.X", "Get", serial=6)._marshall())
    framer, found = wire.Framer(), []
    for at in range(0, len(long + short), 1000):
        framer.feed((long + short)[at : at + 1000])
        found += read(framer)
        assert len(framer._buffer) <= 2000
    assert [(message.serial, message.is_long, message.body) for message in found] == [(5, True, b""), (6, False, b"")]


def test_a_long_header_is_skipped_altogether() -> None:
    """It may hide the sender behind a path of any length."""
    long = bytes(Message("io.ctr.X", "/" + "x" * 100_000, "io.ctr.X", "Get", serial=5)._marshall())
    short = bytes(Message("io.ctr.X", "/", "io.ctr.X", "Get", serial=6)._marshall())
    framer = wire.Framer()
    framer.feed(long + short)
    assert [message.serial for message in read(framer)] == [6]


@pytest.mark.parametrize("first", [b"x" * 16, b"l\1\0\1" + b"\xff" * 12])
def test_a_stream_out_of_step_is_an_error(first: bytes) -> None:
    """No byte order, or more bytes than the specification allows."""
    framer = wire.Framer()
    framer.feed(first)
    with pytest.raises(wire.NotDBusError):
        framer.next()


ENTRIES = st.dictionaries(
    WORDS,
    st.one_of(
        st.builds(lambda value: ("s", value), WORDS),
        st.builds(lambda value: ("u", value), st.integers(0, 2**32 - 1)),
        st.builds(lambda value: ("t", value), st.integers(0, 2**64 - 1)),
        st.builds(lambda value: ("as", value), st.lists(WORDS, max_size=3)),
        st.builds(lambda value: ("a{st}", value), st.dictionaries(WORDS, st.integers(0, 9), max_size=3)),
    ),
    max_size=5,
)


@given(WORDS, ENTRIES)
def test_a_body_put_together_reads_like_one_written_at_once(word: str, entries: dict[str, tuple[str, object]]) -> None:
    """To dbus-next, as part of a signal of each shape that we send."""
    parts = [wire.entry(name, kind, value) for name, (kind, value) in entries.items()]
    variants = {name: Variant(kind, value) for name, (kind, value) in entries.items()}
    changed = bytes(wire.Body().text(word).array(parts).no_strings())
    inner = bytes(wire.Body().text(word).array(parts))
    added = bytes(wire.Body().text("/a/b").array([inner]))
    managed = bytes(wire.Body().array([added, added]))
    assert sent("sa{sv}as", changed) == [word, variants, []]
    assert sent("oa{sa{sv}}", added) == ["/a/b", {word: variants}]
    assert sent("a{oa{sa{sv}}}", managed) == [{"/a/b": {word: variants}}]


def sent(signature: str, body: bytes) -> list[object]:
    """What dbus-next reads in a signal with this *body*."""
    data = wire.message(wire.SIGNAL, 3, path="/a", interface="a.b", member="C", signature=signature, body=body)
    message = Unmarshaller(io.BytesIO(data)).unmarshall()
    assert message.message_type is MessageType.SIGNAL
    return message.body


@given(st.text())
def test_cleaned_text_fits_into_a_message(text: str) -> None:
    """No NUL, valid UTF-8, bounded."""
    cleaned = wire.clean(text * 50, 100)
    assert "\0" not in cleaned and len(cleaned.encode()) <= 404
