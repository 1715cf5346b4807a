"""Draws a `Timeline` as SVG: one row for each container, a bar for each part of its start, who waited for whom. Pure.

No script, no outside reference, a background of its own: it looks the same in any viewer. Names are in a fixed-width
font, so that the width of every text is known here and none lies on another.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise

from supervisor.graph.model import State
from supervisor.graph.palette import ALARM, BACKGROUND, FAINT, INK, MUTED, STATES, shortened, xml
from supervisor.graph.timeline import Part, Row, Span, Timeline

_MONO = "ui-monospace,'DejaVu Sans Mono',Menlo,Consolas,monospace"
_SANS = "'Helvetica Neue',Helvetica,Arial,'DejaVu Sans',sans-serif"
#: Width of a character at font size 1: exact for the fixed-width font, generous for the other.
_MONO_ADVANCE, _SANS_ADVANCE = 0.603, 0.6

_PAD, _PLOT, _TOTALS = 24, 760, 92
_LONGEST_NAME = 44
_HEAD = 96
_SMALL, _TEXT, _TITLE = 11, 12, 17

COLORS = {
    Part.IMAGE: "#8796a9",
    Part.NETWORK: "#8f5fd0",
    Part.LAUNCH: "#2f7de1",
    Part.READY: "#1fa0b8",
    Part.HEALTHY: "#2b9a57",
}
#: Off the critical path; not transparent, as lines pass behind.
PALE = {
    Part.IMAGE: "#c9d1da",
    Part.NETWORK: "#cdb8ea",
    Part.LAUNCH: "#a3c6f3",
    Part.READY: "#9cd5df",
    Part.HEALTHY: "#a1d3b3",
}
#: The time until it was told unhealthy.
_SICK, _PALE_SICK = STATES[State.UNHEALTHY].line, "#f3c39b"
_ZEBRA, _GRID = "#f7f9fb", "#e6eaef"


def svg(found: Timeline, title: str, when: str) -> str:
    """The whole document. *when*: the time of the start, in words."""
    return "\n".join(_Drawing(found, title, when).lines()) + "\n"


def span_words(microseconds: int) -> str:
    """A time span for people: '85 ms', '1.24 s', '2 min 05 s'."""
    if microseconds < 999_500:
        return f"{max(0, round(microseconds / 1000))} ms"
    if microseconds < 59_995_000:
        return f"{microseconds / 1e6:.2f} s"
    seconds = round(microseconds / 1e6)
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60:02} s"
    return f"{seconds // 3600} h {seconds // 60 % 60:02} min"


def ticks(total: int) -> tuple[tuple[int, str], ...]:
    """Where the time axis of *total* microseconds has its marks, and what is written there: 1, 2 or 5 times a power of
    ten apart (minutes and hours in their own steps), some eight of them."""
    steps = [base * 10**power for power in range(7) for base in (1, 2, 5)]
    steps += [10_000_000, 15_000_000, 30_000_000, *(minutes * 60_000_000 for minutes in (1, 2, 5, 10, 30, 60))]
    step = next((step for step in steps if total / step <= 9), 60_000_000 * math.ceil(total / 60_000_000 / 8))
    return tuple((at, _tick(at, step)) for at in range(0, total + 1, step))


def _tick(at: int, step: int) -> str:
    if not at:
        return "0"
    if step < 100_000 and at < 1_000_000:
        return f"{at / 1000:g} ms"
    if step < 60_000_000 and at < 120_000_000:
        return f"{at / 1e6:g} s"
    return f"{at // 60_000_000}:{at // 1_000_000 % 60:02} min"


class _Drawing:
    """The measures of one picture, and its parts from back to front."""

    def __init__(self, found: Timeline, title: str, when: str) -> None:
        self.found = found
        self.title = title
        self.when = when
        self.names = {row.name: shortened(row.name, _LONGEST_NAME) for row in found.rows}
        widest = max((len(name) for name in self.names.values()), default=4)
        self.left = _PAD + math.ceil(widest * _MONO_ADVANCE * _TEXT) + 14
        self.width = self.left + _PLOT + _TOTALS + _PAD
        count = len(found.rows)
        self.row = 30 if count <= 12 else 24 if count <= 40 else 20
        self.bar = round(self.row * 0.53)
        self.total = max(found.end - found.start, 1)
        self.bottom = _HEAD + count * self.row
        self.notes = [line for text in self.remarks() for line in self.wrapped(text)]
        self.height = self.bottom + 30 + len(self.notes) * 17 + (8 if self.notes else 0)
        self.number = {row.name: at for at, row in enumerate(found.rows)}

    def x(self, at: int) -> float:
        return round(self.left + (at - self.found.start) / self.total * _PLOT, 1)

    def y(self, name: str) -> float:
        """The middle of a row."""
        return _HEAD + self.number[name] * self.row + self.row / 2

    def lines(self) -> Iterator[str]:
        size = f'width="{self.width}" height="{self.height}" viewBox="0 0 {self.width} {self.height}"'
        yield f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="{_SANS}" font-size="{_SMALL}">'
        yield f"<title>{xml(self.title)}</title>"
        yield f'<rect width="{self.width}" height="{self.height}" rx="8" fill="{BACKGROUND}" stroke="{FAINT}"/>'
        yield from self.head()
        yield from self.axis()
        for row in sorted(self.found.rows, key=lambda row: bool(row.critical)):  # the critical path on top
            yield from self.waits(row)
        for row in self.found.rows:
            yield from self.bars(row)
        for row in self.found.rows:
            yield from self.texts(row)
        for at, line in enumerate(self.notes):
            yield _text(_PAD, self.bottom + 40 + at * 17, line, MUTED)
        yield "</svg>"

    def head(self) -> Iterator[str]:
        yield _text(_PAD, 54, self.summary(), MUTED, size=_TEXT)
        # The legend, from the right edge.
        present = {span.part for row in self.found.rows for span in row.spans if not span.failed}
        x = float(self.width - _PAD)
        for part in reversed([part for part in Part if part in present]):
            x -= len(part.value) * _SANS_ADVANCE * _SMALL
            yield _text(round(x, 1), 34, part.value, MUTED)
            x -= 15
            yield f'<rect x="{x:.1f}" y="25" width="10" height="10" rx="2.5" fill="{COLORS[part]}"/>'
            x -= 14
        room = int((x - _PAD - 20) / (_SANS_ADVANCE * _TITLE))
        yield _text(_PAD, 34, shortened(self.title, room), INK, size=_TITLE, weight="600")

    def summary(self) -> str:
        """When, how many, and how long it took."""
        rows = self.found.rows
        if not rows:
            return "nothing has been started since the host booted"
        words = [self.when, f"{len(rows)} container{'' if len(rows) == 1 else 's'}"]
        failed = sum(row.failed for row in rows)
        unhealthy = sum(row.unhealthy for row in rows)
        is_open = any(span.open for row in rows for span in row.spans)
        if failed:
            words.append(f"{failed} failed")
        if unhealthy:
            words.append(f"{unhealthy} unhealthy")
        if is_open:
            words.append("not over yet")
        elif not failed:
            ready = max(row.until(Part.READY) or row.until(Part.LAUNCH) for row in rows) - self.found.start
            words.append(f"ready after {span_words(ready)}")
            healthy = max(row.until(Part.HEALTHY) for row in rows) - self.found.start
            if healthy > 0 and not unhealthy:
                words.append(f"healthy after {span_words(healthy)}")
        return "  ·  ".join(words)

    def axis(self) -> Iterator[str]:
        for row in self.found.rows[::2]:
            top = self.y(row.name) - self.row / 2
            size = f'width="{self.width - 2 * _PAD + 20}" height="{self.row}"'
            yield f'<rect x="{_PAD - 10}" y="{top:g}" {size} fill="{_ZEBRA}"/>'
        for at, label in ticks(self.total):
            x = self.x(self.found.start + at)
            yield f'<line x1="{x}" y1="{_HEAD - 6}" x2="{x}" y2="{self.bottom + 6}" stroke="{_GRID}"/>'
            yield _text(x, _HEAD - 12, label, MUTED, anchor="middle")
            yield _text(x, self.bottom + 18, label, MUTED, anchor="middle")

    def waits(self, row: Row) -> Iterator[str]:
        """The line from what let *row* go on, and the time that its own image and network had been waiting by then."""
        y = self.y(row.name)
        own = max((span.end for span in row.before), default=0)
        for span, following in pairwise(row.spans):
            if span.part in (Part.IMAGE, Part.NETWORK) and following.start > span.end:
                yield _line(self.x(span.end), y, self.x(following.start), y, FAINT, dashes="1 3")
        if not row.waited_for:
            return
        is_critical = bool(row.critical) and row.waited_until >= own
        x, top = self.x(row.waited_until), self.y(row.waited_for)
        top += self.bar / 2 if y > top else -self.bar / 2
        end = max(self.x(row.launch), x)
        color, width = (INK, "1.6") if is_critical else (FAINT, "1")
        yield f'<path d="M{x} {top:g}V{y:g}H{end}" fill="none" stroke="{color}" stroke-width="{width}"/>'
        yield f'<circle cx="{x}" cy="{top:g}" r="2.2" fill="{color}"/>'

    def bars(self, row: Row) -> Iterator[str]:
        alone = len(self.found.rows) == 1
        for span in row.spans:
            yield from self.one_bar(row, span, strong=alone or span.part in row.critical)

    def one_bar(self, row: Row, span: Span, *, strong: bool) -> Iterator[str]:
        x, y = self.x(span.start), self.y(row.name) - self.bar / 2
        width = max(self.x(span.end) - x, 1.5)
        words = span_words(span.end - span.start)
        about = f"{row.name}: {span.part.value} {words}{', goes on' if span.open else ''}"
        look = f'fill="{COLORS[span.part] if strong else PALE[span.part]}"'
        if span.failed:
            about, look = f"{row.name}: unhealthy after {words}", f'fill="{_SICK if strong else _PALE_SICK}"'
        if span.open:
            look += f' stroke="{INK}" stroke-dasharray="3 2"'
        yield (
            f'<rect x="{x}" y="{y:g}" width="{width:.1f}" height="{self.bar}" rx="2.5" {look}>'
            f"<title>{xml(about)}</title></rect>"
        )
        if self.bar >= 12 and len(words) * _SANS_ADVANCE * 10 + 8 <= width:
            color = "#ffffff" if strong else INK
            middle, base = round(x + width / 2, 1), round(y + self.bar / 2 + 3.6, 1)
            yield _text(middle, base, words, color, anchor="middle", size=10)
        if row.failed and span is row.spans[-1]:
            x, y = x + width, self.y(row.name)
            yield f'<path d="M{x - 4:.1f} {y - 4:g}l8 8m0 -8l-8 8" stroke="{ALARM}" stroke-width="2.4" fill="none"/>'

    def texts(self, row: Row) -> Iterator[str]:
        y = self.y(row.name) + 4
        weight = "700" if row.critical else "400"
        right = self.left - 14
        name = xml(self.names[row.name])
        yield (
            f'<text x="{right}" y="{y:g}" text-anchor="end" font-family="{_MONO}" font-size="{_TEXT}" '
            f'font-weight="{weight}" fill="{INK}">{name}<title>{xml(row.name)}</title></text>'
        )
        if row.failed:
            words, color = "failed", ALARM
        elif row.unhealthy:
            words, color = "unhealthy", STATES[State.UNHEALTHY].text
        elif any(span.open for span in row.spans):
            words, color = "starting…", MUTED
        else:
            words, color = span_words(row.end - self.found.start), INK
        yield _text(self.width - _PAD, y, words, color, anchor="end", weight=weight)

    def remarks(self) -> Iterator[str]:
        """The critical path in words, and who is not in the picture."""
        rows = {row.name: row for row in self.found.rows}
        steps = []
        for name in self.found.path:
            row = rows[name]
            parts = [span for span in row.spans if span.part in row.critical]
            times = ", ".join(f"{s.part.value} {span_words(s.end - s.start)}".replace(" ", "\u00a0") for s in parts)
            steps.append(f"{name} ({times})")
        if len(steps) > 1:
            yield f"Critical path: {' → '.join(steps)}"
        never = [name for name, at in self.found.others.items() if not at]
        apart = [name for name, at in self.found.others.items() if at]
        if never:
            yield f"Not started since the host booted: {_listed(never)}"
        if apart:
            yield f"Started at another time: {_listed(apart)}"

    def wrapped(self, text: str) -> Iterator[str]:
        """*text* in lines that fit; a word that does not is cut."""
        most = int((self.width - 2 * _PAD) / (_SANS_ADVANCE * _SMALL))
        line = ""
        for word in (shortened(word, most) for word in text.split(" ")):
            if line and len(line) + 1 + len(word) > most:
                yield line
                line = word
            else:
                line = f"{line} {word}" if line else word
        yield line


def _listed(names: list[str]) -> str:
    return ", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")


def _line(x1: float, y1: float, x2: float, y2: float, color: str, dashes: str) -> str:
    return f'<line x1="{x1}" y1="{y1:g}" x2="{x2}" y2="{y2:g}" stroke="{color}" stroke-dasharray="{dashes}"/>'


def _text(
    x: float, y: float, words: str, color: str, *, anchor: str = "start", size: int = _SMALL, weight: str = "400"
) -> str:
    look = f'text-anchor="{anchor}" font-size="{size}" font-weight="{weight}" fill="{color}"'
    return f'<text x="{x}" y="{y:g}" {look}>{xml(words)}</text>'
