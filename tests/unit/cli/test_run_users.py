"""``ctrctl run`` takes podman's options for a user namespace."""

from __future__ import annotations

import argparse

import pytest

from supervisor.cli import run_users
from supervisor.errors import UserError
from supervisor.spec.userns import IdRange, UserNamespace, UserNamespaceMode


def namespace(*argv: str) -> UserNamespace | None:
    parser = argparse.ArgumentParser()
    run_users.configure(parser)
    return run_users.namespace(parser.parse_args(argv))


def test_what_the_options_say() -> None:
    """As the keys of a definition; without any, the host's users."""
    assert namespace() is None
    assert namespace("--userns", "host") is None
    assert namespace("--userns=auto:size=9") == UserNamespace(size=9)
    assert namespace("--uidmap", "0:1:5", "--gidmap", "0:2:5") == UserNamespace(
        UserNamespaceMode.MAPPED, 0, (IdRange(0, 1, 5),), (IdRange(0, 2, 5),)
    )
    assert namespace("--subuidname", "me") == UserNamespace(UserNamespaceMode.MAPPED, sub_uid="me", sub_gid="me")


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (("--userns", "nomap"), "--userns: nomap leaves out"),
        (("--userns", "auto", "--uidmap", "0:1:1"), "--userns: 'auto' and mappings of its own exclude each other"),
        (("--gidmap", "x"), "--gidmap: 'x' is not a mapping"),
    ],
)
def test_a_mistake_names_the_option(argv: tuple[str, ...], message: str) -> None:
    """As everywhere in ctrctl."""
    with pytest.raises(UserError, match=message):
        namespace(*argv)
