#!/usr/bin/env python3
"""Let atheris find bytes that the parser of unit files, or the splitting into words, does not read as it says.

Run from the checkout's root, with the options of libFuzzer: ``python3 tests/fuzz/fuzz_unitfile.py -runs=100000``.
"""

from __future__ import annotations

import sys
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).parents[2]))
with atheris.instrument_imports(include=["supervisor.definitions"]):
    from supervisor.definitions import unitfile, words
    from supervisor.errors import UserError


def one_input(data: bytes) -> None:
    """Read *data* as a file, and each value in it as words."""
    file = unitfile.parse("x", data)
    lines = data.count(b"\n") + data.count(b"\r") + 1
    assert all(0 < problem.line <= lines and str(problem).isprintable() for problem in file.problems)
    for at in file.assignments:
        assert at.section and at.key and 0 < at.line <= lines
        for unescape in (True, False):
            try:
                found = words.split_words(at.value, unescape=unescape)
            except UserError:
                continue
            assert words.split_words(" ".join(map(words.quote, found))) == found


if __name__ == "__main__":
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
