"""Command lines of the programs that read untrusted bytes for the worker: run with none of its capabilities. Pure."""

from __future__ import annotations

from collections.abc import Sequence


def unprivileged(argv: Sequence[str], *keep: str) -> tuple[str, ...]:
    """*argv* through setpriv(1): no capabilities but *keep* ('dac_override'), now or through any program it runs."""
    bounding = ",".join(("-all", *(f"+{name}" for name in keep)))
    return ("setpriv", f"--bounding-set={bounding}", "--inh-caps=-all", "--no-new-privs", "--", *argv)
