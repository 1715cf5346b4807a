"""The caller's terminal: three streams, an environment, a layout, and how text, tables and JSON look on them.

Owns colours, columns and escaping of control characters. Knows nothing about containers, reads no input by itself and
imports next to nothing: every ``ctrctl`` verb pays for this module.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence

from supervisor.errors import UserError
from supervisor.paths import Layout

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TextIO

    Cell = str | tuple[str, str]
    """Text of a table cell, or (style, text)."""

_STYLES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33"}


class _Escapes(dict[int, str]):
    """For `str.translate`: what a character is written as, worked out when it is first met."""

    def __missing__(self, code: int) -> str:
        if chr(code).isprintable():
            text = chr(code)
        elif code < 0x100 or 0xDC80 <= code <= 0xDCFF:  # the latter: a byte that was no UTF-8 (surrogateescape)
            text = f"\\x{code & 0xFF:02x}"
        else:
            text = f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
        self[code] = text
        return text


_ESCAPES = _Escapes()


def printable(text: str) -> str:
    """*text* with whatever is not printable written as ``\\x1b`` or ``\\u202e``: untrusted words shall neither drive a
    terminal (C0, C1) nor turn its lines round (direction marks)."""
    return text if text.isprintable() else text.translate(_ESCAPES)


class Console:
    """Where a verb prints. Streams are text streams; *environ* and *layout* are the verb's whole world besides."""

    def __init__(
        self, stdin: TextIO, stdout: TextIO, stderr: TextIO, environ: Mapping[str, str], layout: Layout
    ) -> None:
        self.stdin = stdin
        self.stdout = stdout
        self.stderr = stderr
        self.environ = environ
        self.layout = layout

    def line(self, text: str = "") -> None:
        """One line on stdout."""
        self.stdout.write(f"{text}\n")

    def note(self, text: str) -> None:
        """Lines on stderr without a prefix: progress, or what explains an error; `printable`, as all on stderr."""
        self._tell("", text)

    def error(self, text: str) -> None:
        """What went wrong, on stderr, prefixed with the program's name."""
        self._tell(_paint(self.stderr, self.environ, "red", "ctrctl:") + " ", text)

    def warn(self, text: str) -> None:
        """What is odd but did not stop us, on stderr."""
        self._tell(_paint(self.stderr, self.environ, "yellow", "ctrctl: warning:") + " ", text)

    def _tell(self, prefix: str, text: str) -> None:
        self.stdout.flush()
        lines = "\n".join(map(printable, text.split("\n")))
        self.stderr.write(f"{prefix}{lines}\n")
        self.stderr.flush()

    def has_reader(self, seconds: float = 0.0) -> bool:
        """Whether anybody reads stdout; waits so long for that to change."""
        from select import poll

        pipe = poll()
        # Without any event asked for, only POLLERR is told: the pipe has no reader left.
        pipe.register(self.stdout.fileno(), 0)
        return not pipe.poll(seconds * 1000)

    def color(self, style: str, text: str) -> str:
        """*text* in *style* ('bold', 'dim', 'red', 'green', 'yellow') if stdout is a terminal that wants colours."""
        return _paint(self.stdout, self.environ, style, text)

    def table(self, headers: Sequence[str], rows: Iterable[Sequence[Cell]]) -> None:
        """Left-aligned columns, three blanks apart; a cell is text or (style, text). Headers are always printed."""
        cells = [[("", c) if isinstance(c, str) else c for c in row] for row in (headers, *rows)]
        lines = [[(style, printable(text)) for style, text in row] for row in cells]
        widths = [max(len(text) for _, text in column) for column in zip(*lines, strict=True)]
        for row in lines:
            words = [
                self.color(style, text) + " " * (width - len(text))
                for (style, text), width in zip(row, widths, strict=True)
            ]
            self.line("   ".join(words).rstrip())

    def json(self, value: object) -> None:
        """*value* as indented JSON on stdout."""
        import json

        self.line(json.dumps(value, indent=2, ensure_ascii=False))

    def bytes(self, data: bytes, *, error: bool = False) -> None:
        """*data* as it is, on stdout, or on stderr with *error*; the two keep their order on a shared terminal."""
        stream, other = (self.stderr, self.stdout) if error else (self.stdout, self.stderr)
        other.flush()
        stream.flush()
        stream.buffer.write(data)
        stream.buffer.flush()

    def need_root(self, doing: str) -> None:
        """Raise `UserError` unless the caller is root; for verbs that write below /var/lib/ctr or /etc themselves."""
        if os.geteuid() != 0 and not self.layout.root:
            raise UserError(f"{doing}: needs root; run it with sudo")


def _paint(stream: TextIO, environ: Mapping[str, str], style: str, text: str) -> str:
    # no-color.org: any non-empty value of NO_COLOR; "dumb" terminals show escape codes as they are.
    if not style or environ.get("NO_COLOR") or environ.get("TERM") == "dumb" or not stream.isatty():
        return text
    return f"\x1b[{_STYLES[style]}m{text}\x1b[0m"
