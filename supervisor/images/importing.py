"""The configuration of an image made from a plain root file system: docker-import(1)'s changes in, JSON out. Pure."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Sequence
from typing import Any

from supervisor.errors import UserError


def config_of(changes: Sequence[str], diff_id: str, architecture: str, created: str) -> bytes:
    """An OCI image configuration with one layer. *changes* are Dockerfile lines, *created* is RFC 3339.

    Raises `UserError` naming the change that is not understood.
    """
    config: dict[str, Any] = {}
    for change in changes:
        _apply(config, change)
    document = {
        "architecture": architecture,
        "os": "linux",
        "created": created,
        "config": config,
        "rootfs": {"type": "layers", "diff_ids": [diff_id]},
        "history": [{"created": created, "created_by": "ctrctl image import"}],
    }
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


def _apply(config: dict[str, Any], change: str) -> None:
    # docker takes 'CMD ["x"]', podman also 'CMD=["x"]'
    word, rest = _split(change)
    key = word.upper()
    if key not in _CHANGES or not rest:
        raise UserError(f"change '{change}': is not one of {', '.join(_CHANGES)} with a value, as in 'CMD [\"nginx\"]'")
    _CHANGES[key](config, rest)


def _split(change: str) -> tuple[str, str]:
    text = change.strip()
    end = next((i for i, c in enumerate(text) if not c.isalpha()), len(text))
    return text[:end], text[end:].removeprefix("=").strip()


def _words(name: str) -> Callable[[dict[str, Any], str], None]:
    def apply(config: dict[str, Any], value: str) -> None:
        config[name] = _command(value)

    return apply


def _command(value: str) -> list[str]:
    """Exec form is a JSON list; anything else goes to a shell (Dockerfile reference, "Shell and exec form")."""
    if value.startswith("["):
        try:
            words = json.loads(value)
        except ValueError as error:
            raise UserError(f"change: {value!r} is not a JSON list: {error}") from error
        if not all(isinstance(word, str) for word in words):
            raise UserError(f"change: {value!r} is not a JSON list of strings")
        return list(words)
    return ["/bin/sh", "-c", value]


def _single(name: str) -> Callable[[dict[str, Any], str], None]:
    def apply(config: dict[str, Any], value: str) -> None:
        config[name] = value

    return apply


def _assignments(value: str) -> list[tuple[str, str]]:
    try:
        words = shlex.split(value)
    except ValueError as error:
        raise UserError(f"change: {value!r}: {error}") from error
    pairs = [word.partition("=") for word in words]
    if not all(equals for _, equals, _ in pairs):
        if len(words) < 2:
            raise UserError(f"change: {value!r} is not NAME=VALUE")
        return [(words[0], value.split(None, 1)[1])]  # the old form, ENV NAME the rest of the line
    return [(name, text) for name, _, text in pairs]


def _env(config: dict[str, Any], value: str) -> None:
    environment = dict(item.split("=", 1) for item in config.get("Env", []))
    environment.update(_assignments(value))
    config["Env"] = [f"{name}={text}" for name, text in environment.items()]


def _label(config: dict[str, Any], value: str) -> None:
    config.setdefault("Labels", {}).update(_assignments(value))


def _members(name: str) -> Callable[[dict[str, Any], str], None]:
    def apply(config: dict[str, Any], value: str) -> None:
        words = _command(value) if value.startswith("[") else value.split()
        if name == "ExposedPorts":
            words = [word if "/" in word else f"{word}/tcp" for word in words]
        config.setdefault(name, {}).update({word: {} for word in words})

    return apply


_CHANGES: dict[str, Callable[[dict[str, Any], str], None]] = {
    "CMD": _words("Cmd"),
    "ENTRYPOINT": _words("Entrypoint"),
    "ENV": _env,
    "LABEL": _label,
    "USER": _single("User"),
    "WORKDIR": _single("WorkingDir"),
    "STOPSIGNAL": _single("StopSignal"),
    "VOLUME": _members("Volumes"),
    "EXPOSE": _members("ExposedPorts"),
}
