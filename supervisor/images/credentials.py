"""What the host knows to log in to one registry: found where skopeo looks for it, and cut down to that registry.

The image worker speaks to a stranger, so it is given no password that is not meant for that stranger. Source:
containers-auth.json(5) and docker's config.json.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Mapping
from typing import Any

from supervisor.errors import UserError
from supervisor.images.document import Document

_MEMBERS = ("auths", "credHelpers")
#: Characters; a bundle of all authorities there are has a quarter of it.
_MAX_CERTIFICATE = 1 << 20
_DOCKER_HUB = ("docker.io", "index.docker.io", "registry-1.docker.io")


def find(registry: str, authfile: str, environ: Mapping[str, str]) -> str:
    """Text of a containers-auth.json(5) with what concerns *registry* (HOST or HOST:PORT), or ''.

    *authfile* is an absolute path, or empty for the default places. Raises `UserError`.
    """
    authfile = authfile or environ.get("REGISTRY_AUTH_FILE", "")
    for path in (authfile,) if authfile else _default_places(environ.get("HOME", "/root")):
        try:
            with open(path, encoding="utf-8") as file:
                text = file.read()
        except FileNotFoundError as error:
            if authfile:
                raise UserError(f"{path}: does not exist; create it with 'skopeo login --authfile {path}'") from error
            continue
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"{path}: cannot be read: {error}") from error
        if found := of_registry(text, registry, path):
            return found
    return ""


def of_registry(text: str, registry: str, path: str = "auth.json") -> str:
    """Of a containers-auth.json(5) the members for *registry* and its repositories; '' when there are none.

    Raises `UserError` naming *path*. Pure.
    """
    document = Document.parse(text.encode(), path)
    names = _DOCKER_HUB if registry in _DOCKER_HUB else (registry,)
    kept: dict[str, dict[str, Any]] = {}
    for member in _MEMBERS:
        entries = document.members(member)
        wanted = {key: value for key, value in entries.items() if _host(key) in names}
        if wanted:
            kept[member] = wanted
    return json.dumps(kept) if kept else ""


def of_login(registry: str, login: str) -> str:
    """USER[:PASSWORD] for *registry* as the text of a containers-auth.json(5)."""
    user, _, password = login.partition(":")
    return json.dumps({"auths": {registry: {"auth": base64.b64encode(f"{user}:{password}".encode()).decode()}}})


def certificates(directory: str) -> tuple[tuple[str, str], ...]:
    """Names and texts of what containers-certs.d(5) reads in *directory*; nothing for ''. Raises `UserError`."""
    found: list[tuple[str, str]] = []
    try:
        for name in sorted(os.listdir(directory) if directory else ()):
            if name.endswith((".crt", ".cert", ".key")):
                # Bundles say beside each certificate whose it is, in any encoding.
                with open(f"{directory}/{name}", encoding="utf-8", errors="replace") as file:
                    text = file.read(_MAX_CERTIFICATE + 1)
                if len(text) > _MAX_CERTIFICATE:
                    raise UserError(f"{directory}/{name}: is longer than 1 MiB; leave the registry's own CA in it")
                found.append((name, text))
    except OSError as error:
        raise UserError(f"{directory}: the registry's certificates cannot be read: {error}") from error
    if directory and not found:
        raise UserError(f"{directory}: has no certificate; put the registry's CA there as ca.crt")
    return tuple(found)


def _default_places(home: str) -> tuple[str, ...]:
    return ("/run/containers/0/auth.json", f"{home}/.config/containers/auth.json", f"{home}/.docker/config.json")


def _host(key: str) -> str:
    """Of ``https://index.docker.io/v1/``, ``quay.io`` or ``quay.io/team/web``."""
    return key.removeprefix("https://").removeprefix("http://").partition("/")[0]
