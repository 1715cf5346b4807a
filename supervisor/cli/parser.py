"""argparse with ctrctl's manners: a usage error is a `UserError` (exit 125, as docker and podman), help has examples.

A module of its own because argparse takes longer to import than everything else a short verb needs.
"""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Mapping, Sequence

from supervisor.errors import UserError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn


class Parser(argparse.ArgumentParser):
    """An `argparse.ArgumentParser` that raises instead of exiting with 2; sub-parsers are of the same class."""

    def __init__(self, **options: object) -> None:
        options.setdefault("formatter_class", _formatter)
        options.setdefault("allow_abbrev", False)
        super().__init__(**options)  # type: ignore[arg-type]
        # '-1G' behind an option is its value, for that option to refuse, as '-1' is; none of ours begins with a digit.
        self._negative_number_matcher = re.compile(r"-\d")
        self.refused: Mapping[str, str] = {}
        """Sub-commands that there are elsewhere and not here, and what to do instead."""

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if isinstance(action, argparse._SubParsersAction) and value in self.refused:
            raise UserError(f"{self.prog.removeprefix('ctrctl ')} {value}: {self.refused[value]}")
        super()._check_value(action, value)

    def error(self, message: str) -> NoReturn:
        """Raise `UserError` with the reason and where to read on."""
        raise UserError(f"{self.prog.removeprefix('ctrctl ')}: {message}; see '{self.prog} --help'")


def _formatter(prog: str) -> argparse.HelpFormatter:
    """As wide as the terminal. Without a width argparse asks shutil, whose import takes a fifth of ``ctrctl ps``, and
    it makes a formatter for every argument that is added."""
    try:
        width = os.get_terminal_size(1).columns - 2
    except OSError:
        width = 78
    return argparse.RawDescriptionHelpFormatter(prog, width=max(width, 40))


def parser(verb: str, summary: str, examples: Sequence[str]) -> Parser:
    """The parser of one verb. *examples*: complete command lines, printed below the options."""
    text = "".join(f"\n  {example}" for example in examples)
    return Parser(
        prog=f"ctrctl {verb}",
        description=f"{summary[:1].upper()}{summary[1:]}.",
        epilog=f"examples:{text}" if text else None,
    )


def refuse(parser: argparse.ArgumentParser, refused: Mapping[str, str]) -> None:
    """Have the sub-commands *refused* of a verb's *parser* say what to do instead."""
    assert isinstance(parser, Parser)
    parser.refused = refused
