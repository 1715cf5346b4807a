"""Framing: bytes to lines, whatever the bytes are and however they arrive."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from supervisor.logs.framing import LONGEST, frame


def lines(data: bytes, *, final: bool = True, terminal: bool = False) -> list[bytes]:
    return [text for _, text, _, _ in frame(data, 0, final=final, terminal=terminal)]


def test_a_line_ends_at_its_newline_and_nothing_else_is_stripped() -> None:
    """Carriage returns, blanks, NULs and invalid UTF-8 stay; an empty line is a line."""
    assert lines(b"a\r\n\n  b \n\x00\xff\n") == [b"a\r", b"", b"  b ", b"\x00\xff"]


def test_a_terminal_s_carriage_return_goes() -> None:
    """A terminal writes CR LF for LF; only that one CR is dropped."""
    assert lines(b"a\r\r\n\r\nb\rc\r\n", terminal=True) == [b"a\r", b"", b"b\rc"]


def test_what_has_no_newline_waits_until_the_stream_ends() -> None:
    """The beginning of a line is not an entry, unless nothing follows."""
    assert lines(b"a\nb", final=False) == [b"a"]
    assert lines(b"a\nb", final=True) == [b"a", b"b"]


def test_the_longest_line_is_one_piece_and_one_byte_more_makes_two() -> None:
    """Parts are counted from 1, and the last one says that it is the last."""
    assert [(len(t), p, m) for _, t, p, m in frame(b"x" * LONGEST + b"\n", 0, final=False, terminal=False)] == [
        (LONGEST, 0, False)
    ]
    pieces = list(frame(b"x" * (2 * LONGEST + 1) + b"\ny\n", 0, final=False, terminal=False))
    assert [(len(text), part, more) for _, text, part, more in pieces] == [
        (LONGEST, 1, True),
        (LONGEST, 2, True),
        (1, 3, False),
        (1, 0, False),
    ]


def test_a_split_does_not_cut_a_character() -> None:
    """Each part of a long UTF-8 line is UTF-8."""
    text = "x" + "€" * LONGEST
    parts = lines(text.encode() + b"\n")
    assert "".join(part.decode() for part in parts) == text


@given(
    st.lists(
        st.one_of(st.binary(max_size=20), st.integers(LONGEST - 2, 3 * LONGEST).map(lambda n: b"z" * n)), max_size=6
    ),
    st.randoms(use_true_random=False),
)
def test_where_the_bytes_are_cut_makes_no_difference(texts: list[bytes], random: object) -> None:
    """Fed in any portions, with position and part carried over as the ledger does, the pieces join to the input."""
    data = b"\n".join(texts)
    start, part, have, out, parts = 0, 0, 0, [b""], []
    while True:
        have = min(len(data), have + random.randint(1, LONGEST))  # type: ignore[attr-defined]
        base = start
        for end, text, number, more in frame(data[start:have], part, final=have == len(data), terminal=False):
            assert base + end > start and len(text) <= LONGEST
            start, part = base + end, number if more else 0
            parts.append(number)
            out[-1] += text
            if not more:
                out.append(b"")
        if have == len(data):
            break
    expected = data.split(b"\n")
    if not expected[-1]:
        expected.pop()
    assert out[:-1] == expected and start == len(data)
