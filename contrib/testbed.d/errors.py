"""Owns the one error of the test bed: something testbed itself could not do, as opposed to a COMMAND that failed."""

from __future__ import annotations


class TestbedError(Exception):
    """What is missing or broken and what to do about it; testbed prints it and exits 125."""


class Interrupted(Exception):  # noqa: N818 - not an error, like KeyboardInterrupt
    """A signal asked testbed to end; `signum` is its number, the exit status is 128 + signum."""

    def __init__(self, signum: int) -> None:
        super().__init__(f"ended by signal {signum}")
        self.signum = signum
