"""Secrets: what the unit loads, what the launcher is told, where the container sees them; never a value."""

from __future__ import annotations

import dataclasses

import pytest

from supervisor.errors import UserError
from supervisor.paths import Layout
from supervisor.render import mounts, tree
from supervisor.render import secrets as render
from supervisor.render.mounts import OciMount
from supervisor.spec.container import Mount, MountType
from supervisor.spec.image import Layer
from supervisor.spec.network import NetworkMode
from supervisor.spec.secret import Secret
from tests.unit.render.sample import FACTS, IMAGE, container

HOST = dataclasses.replace(
    FACTS,
    credentials=(
        ("key", "/etc/credstore.encrypted/key", True),
        ("token", "/run/credstore/token", False),
    ),
)
KEY = Secret("key", "/run/secrets/key", uid=33, gid=44, mode=0o400)
TOKEN = Secret("token", "TOKEN", as_environment=True)
LAYOUT = Layout()
LAYERS = (Layer("directory", "/layers/1"),)


def service(*secrets: Secret) -> list[str]:
    return render.service_lines(container(secrets=secrets), HOST)


def planned(*secrets: Secret) -> list[str]:
    return [f"{key}={value}" for key, value in render.plan_lines(container(secrets=secrets))]


def mounted(*secrets: Secret, **changes: object) -> tuple[OciMount, ...]:
    return mounts.mounts(container(secrets=secrets, **changes), HOST, LAYOUT)


def test_systemd_loads_each_credential_once() -> None:
    """Encrypted or not as it lies in the store, by the path that was found at deploy time."""
    again = dataclasses.replace(KEY, target="/opt/key")
    assert service(KEY, TOKEN, again) == [
        "LoadCredentialEncrypted=key:/etc/credstore.encrypted/key",
        "LoadCredential=token:/run/credstore/token",
    ]


def test_a_secret_that_does_not_exist_is_named() -> None:
    """With the command that makes it; nothing was written or started by then."""
    with pytest.raises(UserError, match="secret 'nosuch': does not exist; create it with 'ctrctl secret create nosuch"):
        service(Secret("nosuch", "/run/secrets/nosuch"))


@pytest.mark.parametrize("name", ["../x", "a:b", "%n", "a b", "", "a\nExecStart=/bin/sh"])
def test_a_name_is_a_name(name: str) -> None:
    """One that would be a path, a specifier or another setting is refused, whatever the host has."""
    with pytest.raises(UserError, match="secret name"):
        service(Secret(name, "/run/secrets/x"))


def test_the_launcher_is_told_numbers_and_names() -> None:
    """Files are numbered, permissions octal; a variable comes with its name."""
    assert planned(KEY, TOKEN, Secret("token", "/t")) == [
        "secret=0 33 44 400 key",
        "secret=1 0 0 444 token",
        "secret-variable=token TOKEN",
    ]


def test_a_file_is_bound_read_only_after_what_it_lies_in() -> None:
    """The user's mount on /run, and a read-only root's tmpfs there, come before the secret below it."""
    for changes in ({"mounts": (Mount(MountType.TMPFS, "/run"),)}, {"read_only": True}):
        found = mounted(KEY, **changes)
        targets = [mount.destination for mount in found]
        assert targets.index("/run") < targets.index("/run/secrets/key")
        (mount,) = [mount for mount in found if mount.destination == "/run/secrets/key"]
        assert mount.source == "/run/ctr/containers/web/secrets/0"
        assert {"bind", "ro", "nosuid", "noexec", "nodev"} <= set(mount.options)


def test_a_variable_is_not_mounted() -> None:
    """type=env makes no file."""
    assert mounted(TOKEN) == mounted()


def test_one_target_holds_one_secret() -> None:
    """Two on a path, one on a volume's path, two in a variable: refused by name."""
    with pytest.raises(UserError, match="/run/secrets/key: given twice"):
        mounted(KEY, dataclasses.replace(KEY, name="token"))
    with pytest.raises(UserError, match="/run/secrets/key: given twice"):
        mounted(KEY, mounts=(Mount(MountType.TMPFS, "/run/secrets/key"),))
    with pytest.raises(UserError, match="variable TOKEN is set by two secrets"):
        planned(TOKEN, dataclasses.replace(TOKEN, name="key"))


@pytest.mark.parametrize("variable", ["", "A B", "A=B", "A\nname=x"])
def test_a_variable_has_a_variables_name(variable: str) -> None:
    """Anything else would change the plan's meaning."""
    with pytest.raises(UserError):
        planned(Secret("key", variable, as_environment=True))


def test_unit_and_plan_have_the_lines() -> None:
    """In the drop-in's [Service] and in the plan; the specs in the record name the secret, as they must."""
    one = container(secrets=(KEY, TOKEN), network=NetworkMode.NONE)
    made = tree.tree(one, IMAGE, LAYERS, HOST, LAYOUT)
    (dropin,) = [file.text for file in made.units if file.path.endswith("/50-ctr.conf")]
    assert set(service(KEY, TOKEN)) <= set(dropin.partition("[Service]")[2].splitlines())
    assert set(planned(KEY, TOKEN)) <= set((made.text("plan") or "").splitlines())


def test_without_secrets_nothing_is_paid() -> None:
    """No line in unit or plan, so the launcher imports nothing for them."""
    assert service() == planned() == []
