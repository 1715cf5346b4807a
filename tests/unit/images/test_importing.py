"""``image import --change``."""

from __future__ import annotations

import pytest

from supervisor.errors import UserError
from supervisor.images.importing import config_of
from supervisor.images.manifest import parse_config
from supervisor.spec.image import ImageConfig

DIFF_ID = "sha256:" + "1" * 64


def config(*changes: str) -> ImageConfig:
    return parse_config(config_of(changes, DIFF_ID, "amd64", "2024-01-01T00:00:00Z"), "test").config


def test_changes_become_configuration() -> None:
    """The lines of docker-import(1), exec and shell form, with blanks or podman's '='."""
    assert config(
        'CMD ["a", "b c"]',
        "entrypoint run me",
        "ENV A=1 B='2 3'",
        "ENV=C=4",
        "ENV OLD the rest of it",
        "USER web:web",
        "WORKDIR=/srv",
        "STOPSIGNAL SIGQUIT",
        "EXPOSE 80 53/udp",
        'VOLUME ["/data"]',
        'LABEL k="v w"',
    ) == ImageConfig(
        user="web:web",
        environment=(("A", "1"), ("B", "2 3"), ("C", "4"), ("OLD", "the rest of it")),
        entrypoint=("/bin/sh", "-c", "run me"),
        command=("a", "b c"),
        working_dir="/srv",
        volumes=("/data",),
        exposed_ports=("53/udp", "80/tcp"),
        labels=(("k", "v w"),),
        stop_signal="SIGQUIT",
    )


@pytest.mark.parametrize("change", ["FROM x", "CMD", "CMD [1]", 'CMD ["a"', "ENV A", "ENV 'open", "RUN true"])
def test_what_is_not_understood_is_refused(change: str) -> None:
    """With the change in the message."""
    with pytest.raises(UserError, match="change"):
        config(change)
