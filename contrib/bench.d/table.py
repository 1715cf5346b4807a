"""Rows into text. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from measure import Budget, Limit, Row

SUBJECT = "ctr"


def render(rows: Sequence[Row], columns: Sequence[str]) -> str:
    """A table: medians in *columns*, then each ratio beside its budget, then the notes."""
    head = ["", *columns, "against the budget"]
    body = [
        [row.what, *(amount(row.median(column), row.unit) for column in columns), "; ".join(verdicts(row))]
        for row in rows
    ]
    widths = [max(len(line[index]) for line in [head, *body]) for index in range(len(head) - 1)]
    lines = []
    for line in [head, *body]:
        cells = [
            line[0].ljust(widths[0]),
            *(cell.rjust(width) for cell, width in zip(line[1:-1], widths[1:], strict=True)),
        ]
        lines.append("  ".join([*cells, line[-1]]).rstrip())
    lines.insert(1, "-" * max(len(line) for line in lines))
    lines += [f"  {row.what}: {note}" for row in rows for note in row.notes]
    return "\n".join(lines)


def verdicts(row: Row) -> list[str]:
    """Each budget of *row* with what was measured: '0.41 of podman (at most 0.50: met)'."""
    mine = row.median(SUBJECT)
    return [] if mine is None else [verdict for budget in row.budgets if (verdict := _verdict(row, mine, budget))]


def missed(row: Row) -> bool:
    """Whether *row* misses one of its budgets; a column that was not measured misses nothing."""
    return any(verdict.endswith(": MISSED)") for verdict in verdicts(row))


def amount(value: float | None, unit: str) -> str:
    """A value as people read it: milliseconds below a second, three figures."""
    if value is None:
        return "-"
    if unit == "s":
        return f"{value * 1000:.0f} ms" if value < 1 else f"{value:.2f} s"
    if unit == "MB":
        return f"{value:.2f} MB"
    return f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:.2f}"


def _verdict(row: Row, mine: float, budget: Budget | Limit) -> str | None:
    if isinstance(budget, Limit):
        met = mine >= budget.value if budget.at_least else mine <= budget.value
        word = "at least" if budget.at_least else "at most"
        return f"{amount(mine, row.unit)} ({word} {amount(budget.value, row.unit)}: {_met(met)})"
    theirs = row.median(budget.peer)
    if not theirs:
        return None
    ratio = mine / theirs
    return f"{ratio:.2f} of {budget.peer} (at most {budget.ratio:.2f}: {_met(ratio <= budget.ratio)})"


def _met(met: bool) -> str:
    return "met" if met else "MISSED"
