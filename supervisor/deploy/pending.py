"""What an apply that was killed still owes: a daemon-reload, and restarts. A file that is there from before the first
change until the last restart is queued, in /run: after a reboot nothing is owed."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress

from supervisor.paths import Layout


class Pending:
    """Raises OSError."""

    def __init__(self, layout: Layout) -> None:
        self._path = f"{layout.runtime}/deploy.pending"

    def read(self) -> frozenset[str] | None:
        """Names of the containers that were to be restarted; None when nothing is owed."""
        try:
            with open(self._path, encoding="utf-8") as file:
                return frozenset(file.read().split())
        except FileNotFoundError:
            return None

    @contextmanager
    def owed(self, names: Iterable[str]) -> Iterator[None]:
        """Owe a restart of *names* while the block runs and after it; after an exception only what was owed before."""
        before = self.read()
        self._write(names)
        try:
            yield
        except BaseException:
            if before is None:
                self.paid()
            else:
                self._write(before)
            raise

    def paid(self, remaining: frozenset[str] = frozenset()) -> None:
        """No more than *remaining* is owed."""
        if remaining:
            self._write(remaining)
            return
        with suppress(FileNotFoundError):
            os.unlink(self._path)

    def _write(self, names: Iterable[str]) -> None:
        with open(f"{self._path}.new", "w", encoding="utf-8") as file:
            file.write("".join(f"{name}\n" for name in sorted(names)))
        os.rename(f"{self._path}.new", self._path)
