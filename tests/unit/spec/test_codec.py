"""A stored spec comes back as it was, and what is wrong in one is named by its path."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.errors import UserError
from supervisor.spec import codec
from supervisor.spec.container import Container, Mount, MountType, Ulimit
from supervisor.spec.image import Image, Layer

# JSON has no NaN, and lone surrogates are not text.
st.register_type_strategy(float, st.floats(allow_nan=False, allow_infinity=False))
st.register_type_strategy(str, st.text(st.characters(exclude_categories=["Cs"]), max_size=8))


@given(st.builds(Container))
def test_defaults_are_left_out(container: Container) -> None:
    """Only what differs from the default is stored, so old specs can be read when members are added."""
    stored = json.loads(codec.dumps(container))
    assert "read_only_tmpfs" not in stored or stored["read_only_tmpfs"] is False
    assert codec.loads(Container, codec.dumps(container)) == container


@given(st.from_type(Container) | st.from_type(Image) | st.from_type(Layer) | st.from_type(Mount))
def test_round_trip(value: object) -> None:
    """Any value survives being written and read."""
    text = codec.dumps(value)
    assert codec.loads(type(value), text) == value
    assert text.endswith("\n")


def damaged(**changes: Any) -> str:
    good = Container(
        "web", "/etc/ctr/web.container", mounts=(Mount(MountType.TMPFS, "/tmp"),), ulimits=(Ulimit("core", 1, 2),)
    )
    return json.dumps({**json.loads(codec.dumps(good)), **changes})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "Container: not JSON"),
        ("[]", "Container: [] is not an object"),
        ("{}", "Container: "),
        (damaged(name=1), "Container.name: 1 is not a str"),
        (damaged(read_only=1), "Container.read_only: 1 is not a bool"),
        (damaged(shm_size=True), "Container.shm_size: True is not a int"),
        (damaged(colour="red"), "Container: unknown member 'colour'"),
        (damaged(network="bridge"), "Container.network: 'bridge' is not one of networks, none, host, container"),
        (damaged(command="sh"), "Container.command: 'sh' is not a list"),
        (damaged(command=["sh", 1]), "Container.command[1]: 1 is not a str"),
        (damaged(labels=[["a", "b"], ["c"]]), "Container.labels[1]: has 1 members; 2 are needed"),
        (
            damaged(mounts=[{"type": "nfs", "target": "/"}]),
            "Container.mounts[0].type: 'nfs' is not one of bind, volume, tmpfs",
        ),
        (damaged(mounts=[{"type": "bind"}]), "Container.mounts[0]: "),
        (damaged(ulimits=[{"name": "core", "soft": "1", "hard": 2}]), "Container.ulimits[0].soft: '1' is not a int"),
    ],
)
def test_an_error_names_the_path(text: str, message: str) -> None:
    """Whoever looks at a damaged spec learns which member to look at."""
    with pytest.raises(UserError) as raised:
        codec.loads(Container, text)
    assert str(raised.value).startswith(message)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(st.sampled_from(["name", "command", "labels", "mounts", "network", "unit", "stop_timeout", "user"]), _JSON)
def test_any_json_is_read_or_refused_by_path(member: str, value: object) -> None:
    """Any value in any member gives a container or a `UserError` that names the member; nothing else is raised."""
    try:
        codec.loads(Container, damaged(**{member: value}))
    except UserError as error:
        assert str(error).startswith(f"Container.{member}")
