"""``ctrctl logs``: which entries, and how they are printed."""

from __future__ import annotations

import json

import pytest

from supervisor.cli.logs import arguments, matches, moment, rendered
from supervisor.errors import UserError

STAMP = b"1700000000123456"


def _entry(message: bytes, stream: bytes = b"stdout", **fields: bytes) -> dict[str, bytes]:
    return {"MESSAGE": message, "CTR_STREAM": stream, "__REALTIME_TIMESTAMP": STAMP, **fields}


def test_only_the_relay_may_speak_for_a_container() -> None:
    """Anyone can send CONTAINER_NAME= to journald (podman does); the sender's unit cannot be forged."""
    assert matches("web") == (
        "CONTAINER_NAME=web",
        "_SYSTEMD_UNIT=ctr-log.service",
        "+",
        "_SYSTEMD_UNIT=ctr-web.scope",
    )


@pytest.mark.parametrize(
    ("follow", "tail", "since", "until", "words"),
    [
        (False, "all", None, None, ()),
        (False, "5", None, None, ("-n", "5")),
        (True, "all", None, None, ("-n", "all", "-f")),
        (True, "0", "10m", None, ("-n", "0", "-f", "--since=-10m")),
        (False, "all", "1700000000", "yesterday", ("--since=@1700000000", "--until=yesterday")),
    ],
)
def test_words_for_journalctl(
    follow: bool, tail: str, since: str | None, until: str | None, words: tuple[str, ...]
) -> None:
    """Following shows everything first, as docker does; journalctl alone would show ten lines."""
    assert arguments(("web",), follow, tail, since, until) == (*words, *matches("web"))


@pytest.mark.parametrize("tail", ["-1", "x", ""])
def test_a_count_that_is_none(tail: str) -> None:
    """``--tail x`` is an error."""
    with pytest.raises(UserError, match=r"^--tail "):
        arguments(("web",), False, tail, None, None)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10m", "-10m"),
        ("1h30m", "-1h30m"),
        ("1.5h", "-1.5h"),
        ("1700000000", "@1700000000"),
        ("1700000000.25", "@1700000000.25"),
        ("2023-11-14T22:13:20Z", "@1700000000.000000"),
        ("2023-11-14T23:13:20.5+01:00", "@1700000000.500000"),
        ("today", "today"),
        ("10 min ago", "10 min ago"),
    ],
)
def test_times_in_any_dialect(text: str, expected: str) -> None:
    """docker's, podman's and systemd's ways to say when."""
    assert moment(text) == expected


def test_a_time_that_cannot_be() -> None:
    """What looks like RFC 3339 but is not is refused by name."""
    with pytest.raises(UserError, match=r"^time '2023-13-45T00:00:00Z'"):
        moment("2023-13-45T00:00:00Z")


def test_streams_part_and_bytes_stay() -> None:
    """stderr goes to stderr; nothing is decoded."""
    entries = [_entry(b"\xff\x00"), _entry(b"oops", b"stderr"), {"MESSAGE": b"passthrough"}]
    assert list(rendered(entries)) == [(False, b"\xff\x00\n"), (True, b"oops\n"), (False, b"passthrough\n")]


def test_split_lines_come_out_whole() -> None:
    """The parts the relay made of one long line have no line ends and no timestamps between them."""
    parts = [
        _entry(b"aa", CONTAINER_PARTIAL_MESSAGE=b"true", CONTAINER_PARTIAL_ORDINAL=b"1"),
        _entry(b"bb", CONTAINER_PARTIAL_ORDINAL=b"2"),
    ]
    assert b"".join(data for _, data in rendered(parts)) == b"aabb\n"
    stamped = b"".join(data for _, data in rendered(parts, timestamps=True))
    assert stamped == b"2023-11-14T22:13:20.123456Z aabb\n"
    ((_, line),) = rendered(parts, json=True)
    assert json.loads(line) == {"time": "2023-11-14T22:13:20.123456Z", "stream": "stdout", "message": "aabb"}


def test_json_keeps_bytes_that_are_no_text() -> None:
    """A message that is not UTF-8 comes as base64, under another name."""
    ((error, line),) = rendered([_entry(b"\xff", b"stderr")], json=True)
    assert not error
    assert json.loads(line) == {"time": "2023-11-14T22:13:20.123456Z", "stream": "stderr", "message_base64": "/w=="}
