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
        examples = []
        for path in sorted(oracle.EXAMPLES.glob("**/*")):
            if path.suffix in KINDS:
                examples.append(Path(directory, str(len(examples))))
                examples[-1].write_bytes(bytes([KINDS.index(path.suffix)]) + path.read_bytes())
        corpora = [word for word in sys.argv[1:] if not word.startswith("-")]
        # Named one by one: libFuzzer reads a directory in the order of its disk, and the same seed found other inputs.
        begin = f"-seed_inputs={','.join(map(str, examples))}"
        atheris.Setup([*sys.argv, *([] if corpora else [begin])], one_input)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
