"""Health checks: the values of the Health*= keys and Notify=, and of ``ctrctl run --health-*``. Pure.

Follows podman-run(1) --health-cmd and its neighbours. Durations are seconds.
"""

from __future__ import annotations

import json

from supervisor.definitions import values
from supervisor.errors import UserError
from supervisor.spec.health import HealthAction, Notify

_HIGHEST = 2**31 - 1
_LIST = 'write one like ["curl", "-f", "localhost"]'


def command(text: str) -> tuple[str, ...] | None:
    """The words to execute, or None for ``none``: no health check, not even the image's.

    A JSON list is executed as it is; anything else is a command line for ``/bin/sh -c``. The words CMD, CMD-SHELL and
    NONE of the image format (podman and docker accept them here) may come first.
    """
    stripped = text.strip()
    if not stripped or "\0" in text:
        raise UserError(f"{values.short(text)} is not a command; write one, a JSON list of words, or none")
    words = _list(stripped) if stripped.startswith("[") else None
    return _spelled(words or _line(stripped), text)


def _line(text: str) -> list[str]:
    """A command line in the words of the image format."""
    first, _, rest = text.partition(" ")
    if first == "CMD":
        return [first, *rest.split()]
    if first == "CMD-SHELL":
        return [first, rest.strip()]
    return ["NONE"] if text.lower() == "none" else ["CMD-SHELL", text]


def _list(text: str) -> list[str] | None:
    """The JSON list in *text*; None where it is a command that only begins like one: ``[ -e /ready ]``."""
    try:
        words = json.loads(text)
    except (ValueError, RecursionError):
        if text.startswith(("[ ", "[[ ")):
            return None
        raise UserError(f"{values.short(text)} is not a JSON list; {_LIST}") from None
    if not words or not all(isinstance(word, str) and "\0" not in word for word in words) or not words[0]:
        raise UserError(f"{values.short(text)} is not a list of words; {_LIST}")
    return list(words)


def _spelled(words: list[str], text: str) -> tuple[str, ...] | None:
    """*words* without the image format's first word."""
    kind, *rest = words
    if kind == "NONE" and not rest:
        return None
    if kind not in ("CMD", "CMD-SHELL"):
        return tuple(words)
    if not rest or not rest[0]:
        raise UserError(f"{values.short(text)} has no command after {kind}; write one")
    return tuple(rest) if kind == "CMD" else ("/bin/sh", "-c", " ".join(rest))


def interval(text: str) -> float:
    """A time span; ``disable`` is 0: no probe by itself."""
    return 0.0 if text == "disable" else values.duration(text)


def timeout(text: str) -> float:
    """A time span; 0 is no limit. podman refuses less than a second, and so do we."""
    seconds = values.duration(text)
    if 0 < seconds < 1:
        raise UserError(f"{values.short(text)} is too short for a probe; write at least 1s, or 0 for no limit")
    return seconds


def retries(text: str) -> int:
    """Failures in a row until unhealthy."""
    return values.integer(text, 1, _HIGHEST)


def startup_retries(text: str) -> int:
    """Failures in a row until the start has failed; 0 is never."""
    return values.integer(text, 0, _HIGHEST)


def successes(text: str) -> int:
    """Successes in a row until started; 0 is 1, as in podman."""
    return max(1, values.integer(text, 0, _HIGHEST))


def log_count(text: str) -> int:
    """How many results are kept; 0 is all."""
    return values.integer(text, 0, _HIGHEST)


def log_size(text: str) -> int:
    """How many characters of a result are kept; 0 is all."""
    return values.integer(text, 0, _HIGHEST)


def action(text: str) -> HealthAction:
    """What happens to an unhealthy container."""
    try:
        return HealthAction(text)
    except ValueError as error:
        raise UserError(f"{values.short(text)} is not a health action; write none, kill, restart or stop") from error


def notify(text: str) -> Notify:
    """A boolean, or ``healthy``."""
    if text.lower() == "healthy":
        return Notify.HEALTHY
    try:
        return Notify.CONTAINER if values.boolean(text) else Notify.STARTED
    except UserError as error:
        raise UserError(f"{values.short(text)} is neither a boolean nor healthy; write yes, no or healthy") from error


def period(text: str) -> float:
    """The time in which failures do not count."""
    return values.duration(text)
