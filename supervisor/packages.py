"""Debian's Python packages, for programs that run without them (``python3 -IS``): only what needs one looks for it."""

from __future__ import annotations

import sys

from supervisor.errors import HostError


def require(module: str, package: str) -> None:
    """Make *module* importable. Raises `HostError` that names *package*, Debian's, where it is not installed."""
    import site
    from importlib.util import find_spec

    if find_spec(module) is None:
        # Of the system only: what a user has in her home does not belong into a program that root runs. And without the
        # .pth files there, which may hold code.
        sys.path.extend(path for path in site.getsitepackages() if path not in sys.path)
    if find_spec(module) is None:
        raise HostError(f"{module}: not found; install the package {package}")
