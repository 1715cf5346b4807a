"""Secrets: credentials of the host (systemd.exec(5), "Credentials") that one container may see. Pure: knows names,
places and permissions, never a value.

The unit loads each credential at every start, so systemd reads and decrypts it; the launcher copies it to where the
mounts of config.json come from. Which file a credential is was found out at deploy time (`HostFacts.credentials`).
"""

from __future__ import annotations

from collections.abc import Iterator

from supervisor.errors import UserError
from supervisor.names import check_name
from supervisor.paths import Layout
from supervisor.render import userns
from supervisor.render.facts import HostFacts
from supervisor.render.lines import one_line
from supervisor.spec.container import Container, Mount, MountType
from supervisor.spec.secret import Secret
from supervisor.spec.userns import IdMaps

#: Where credentials lie, first match wins, and whether they are encrypted there (systemd.exec(5), ImportCredential=).
STORES = (
    ("/etc/credstore.encrypted", True),
    ("/run/credstore.encrypted", True),
    ("/usr/lib/credstore.encrypted", True),
    ("/etc/credstore", False),
    ("/run/credstore", False),
    ("/usr/lib/credstore", False),
)

_OPTIONS = ("bind", "ro", "nosuid", "noexec", "nodev")


def names(container: Container) -> tuple[str, ...]:
    """The credentials that *container* names, each once."""
    return tuple(dict.fromkeys(secret.name for secret in container.secrets))


def service_lines(container: Container, facts: HostFacts) -> list[str]:
    """The [Service] lines that load the credentials. Raises `UserError` for one that this host does not have."""
    found = {name: (path, encrypted) for name, path, encrypted in facts.credentials}
    lines = []
    for name in names(container):
        if check_name(name, "secret name") not in found:
            text = f"secret '{name}': does not exist; create it with 'ctrctl secret create {name} FILE'"
            raise UserError(text).asked_by("Secret", name)
        path, encrypted = found[name]
        lines.append(f"{'LoadCredentialEncrypted' if encrypted else 'LoadCredential'}={name}:{path}")
    return lines


def plan_lines(container: Container, id_maps: IdMaps | None = None) -> Iterator[tuple[str, str]]:
    """For the launcher: ``secret=NUMBER UID GID MODE NAME`` for a file, with the host's numbers by *id_maps*, and
    ``secret-variable=NAME VARIABLE``."""
    for number, secret in _files(container):
        uid, gid = userns.owner_outside(secret.uid, secret.gid, id_maps)
        yield "secret", f"{number} {uid} {gid} {secret.mode:o} {secret.name}"
    variables: set[str] = set()
    for secret in container.secrets:
        if secret.as_environment:
            variable = one_line(secret.target, "variable")
            if not variable or "=" in variable or any(c.isspace() for c in variable):
                raise UserError(f"secret '{secret.name}': '{variable}' is not a variable's name; write target=NAME")
            if variable in variables:
                raise UserError(f"secret '{secret.name}': variable {variable} is set by two secrets; keep one")
            variables.add(variable)
            yield "secret-variable", f"{secret.name} {variable}"


def mounts(container: Container, layout: Layout) -> tuple[Mount, ...]:
    """One for each secret that is a file; their sources exist in the launcher's mount namespace only."""
    directory = f"{layout.running(container.name)}/secrets"
    return tuple(
        Mount(MountType.BIND, secret.target, f"{directory}/{number}", _OPTIONS) for number, secret in _files(container)
    )


def _files(container: Container) -> Iterator[tuple[int, Secret]]:
    return enumerate(secret for secret in container.secrets if not secret.as_environment)
