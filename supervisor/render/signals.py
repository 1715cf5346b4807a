"""Stop signals as images and definitions write them: 'SIGQUIT', 'QUIT', '3', 'SIGRTMIN+3'."""

from __future__ import annotations

import signal

from supervisor.errors import UserError

# signal(7); Python's own SIGRTMIN is glibc's too, since the kernel's first two belong to the thread library.
_RTMIN, _RTMAX = 34, 64
_NUMBERS = {s.name: s.value for s in signal.Signals if s.value < 32} | {"SIGRTMIN": _RTMIN, "SIGRTMAX": _RTMAX}


def number(text: str, origin: str) -> int:
    """The signal's number. Raises `UserError` naming *origin* for anything signal(7) does not know."""
    name, sign, offset = text.upper().partition("+") if "+" in text else text.upper().partition("-")
    if name.isascii() and name.isdigit() and not sign and 0 < int(name) <= _RTMAX:
        return int(name)
    value = _NUMBERS.get(name if name.startswith("SIG") else f"SIG{name}", 0)
    if sign:
        distance = int(offset) if offset.isascii() and offset.isdigit() and len(offset) < 3 else _RTMAX
        value = {("+", _RTMIN): _RTMIN + distance, ("-", _RTMAX): _RTMAX - distance}.get((sign, value), 0)
        value = value if _RTMIN <= value <= _RTMAX else 0
    if not value:
        raise UserError(f"stop signal '{text}' of {origin}: unknown; see signal(7)")
    return value


def name(value: int) -> str:
    """*value* as systemd.kill(5) wants it: 'SIGTERM', 'SIGRTMIN+3'."""
    if value >= _RTMIN:
        return f"SIGRTMIN+{value - _RTMIN}"
    return next((name for name, n in _NUMBERS.items() if n == value), str(value))
