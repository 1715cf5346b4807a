"""Secrets: the value of Secret= and of ``ctrctl run --secret``. Pure; knows names and places, never a value.

Follows podman-run(1) --secret.
"""

from __future__ import annotations

import posixpath
import re

from supervisor.definitions import values
from supervisor.errors import UserError
from supervisor.names import check_name
from supervisor.spec.secret import Secret

DIRECTORY = "/run/secrets"

_FORM = "write NAME[,type=mount|env][,target=TARGET][,uid=UID][,gid=GID][,mode=MODE]"
_OPTIONS = ("source", "type", "target", "uid", "gid", "mode")
_HIGHEST_ID = 2**32 - 2


def secret(text: str) -> Secret:
    """``NAME[,type=mount|env][,target=…][,uid=…][,gid=…][,mode=…]``; *mode* is octal.

    A file is shown at /run/secrets/NAME unless *target* says otherwise (a relative one lies below /run/secrets); a
    variable is called NAME unless *target* does.
    """
    name, options = _split(text)
    check_name(name, "secret name")
    kind = options.get("type", "mount")
    if kind not in ("mount", "env"):
        raise UserError(f"{values.short(kind)} is not a type of secret; write type=mount or type=env")
    if kind == "env":
        if file_only := sorted({"uid", "gid", "mode"}.intersection(options)):
            raise UserError(f"{file_only[0]}= is for files only, not for type=env; remove it")
        return Secret(name, _variable(options.get("target", name)), as_environment=True)
    default = Secret(name, "")
    return Secret(
        name,
        _file(options.get("target", name)),
        uid=_id(options["uid"], "uid") if "uid" in options else default.uid,
        gid=_id(options["gid"], "gid") if "gid" in options else default.gid,
        mode=_mode(options["mode"]) if "mode" in options else default.mode,
    )


def _split(text: str) -> tuple[str, dict[str, str]]:
    first, *rest = text.split(",")
    options: dict[str, str] = {}
    for word in rest if "=" not in first else [first, *rest]:
        name, equals, value = word.partition("=")
        if not equals or name not in _OPTIONS:
            raise UserError(f"{values.short(word)} is no option of a secret; {_FORM}")
        if name in options:
            raise UserError(f"{name}= is there twice; keep one")
        options[name] = value
    source = options.pop("source", None)
    if source is None:
        if "=" in first:
            raise UserError(f"{values.short(text)} names no secret; {_FORM}")
        return first, options
    if "=" not in first:
        raise UserError(f"{values.short(text)} names two secrets, {first} and {source}; keep one")
    return source, options


def _file(text: str) -> str:
    values.check_text(text, "the target")
    path = posixpath.normpath(posixpath.join(DIRECTORY, text))
    if not text.startswith("/") and not path.startswith(f"{DIRECTORY}/"):
        raise UserError(f"the target {values.short(text)} is no file below {DIRECTORY}; write a name, or a whole path")
    path = values.path(path, "target")
    if path == "/" or f"{path}/".startswith("/proc/") or text.endswith("/"):
        raise UserError(f"the target {values.short(text)} cannot be a file; write one like {DIRECTORY}/NAME")
    return path


def _variable(text: str) -> str:
    if not text or re.search(r"[\s=\x00-\x1f\x7f]", text):
        raise UserError(f"{values.short(text)} is not a name for a variable; write one like target=DB_PASSWORD")
    return text


def _id(text: str, what: str) -> int:
    try:
        return values.integer(text, 0, _HIGHEST_ID)
    except UserError as error:
        raise UserError(f"{what}={error}") from error


def _mode(text: str) -> int:
    if re.fullmatch("[0-7]{1,5}", text) and int(text, 8) <= 0o7777:
        return int(text, 8)
    raise UserError(f"{values.short(text)} is not a file mode; write octal digits, like mode=0400")
