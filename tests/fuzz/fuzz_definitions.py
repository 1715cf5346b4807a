#!/usr/bin/env python3
"""Let atheris find a definition that the compilers crash on, hang on, or refuse without saying where.

The first byte of an input says what kind of file it is, the rest is the file. Run from the checkout's root:

    python3 tests/fuzz/fuzz_definitions.py -max_total_time=300 CORPUS

with the options of libFuzzer. Without a corpus it begins with the examples; what it finds is written to crash-*.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).parents[2]))
with atheris.instrument_imports(include=["supervisor.definitions", "supervisor.spec"]):
    from tests.fuzz import oracle

KINDS = sorted(oracle.KINDS)


def one_input(data: bytes) -> None:
    """Judge one file."""
    if data:
        oracle.check({f"one{KINDS[data[0] % len(KINDS)]}": data[1:]})


def main() -> None:
    """Run, beginning with the examples; the directory for them goes with the process."""
    with tempfile.TemporaryDirectory() as directory:
        for number, path in enumerate(sorted(oracle.EXAMPLES.glob("**/*"))):
            if path.suffix in KINDS:
                Path(directory, str(number)).write_bytes(bytes([KINDS.index(path.suffix)]) + path.read_bytes())
        corpora = [word for word in sys.argv[1:] if not word.startswith("-")]
        atheris.Setup([*sys.argv, *([] if corpora else [directory])], one_input)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
