"""Manifests, indexes and configurations, and the JSON edge under them."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.errors import UserError
from supervisor.images import manifest
from supervisor.images.manifest import Descriptor, Index, IndexEntry, Manifest
from supervisor.spec.health import HealthCheck
from supervisor.spec.image import ImageConfig

A, B = ("sha256:" + c * 64 for c in "ab")

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def encode(value: object) -> bytes:
    return json.dumps(value).encode()


def test_a_manifest() -> None:
    """Config and layers, lowest first."""
    data = encode({"schemaVersion": 2, "config": {"digest": A, "size": 2}, "layers": [{"digest": B, "size": 9}]})
    assert manifest.parse_manifest(data, "web") == Manifest(Descriptor(A, 2), (Descriptor(B, 9),))


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ({"schemaVersion": 1}, "old manifest format"),
        ({"schemaVersion": 2}, "neither an image manifest nor an index"),
        ({"config": {"digest": "sha256:../../x"}}, "is not a sha256 digest"),
        ({"config": {"digest": A, "mediaType": "application/vnd.cncf.helm"}}, "is not a container image"),
        ({"config": {"digest": A}, "layers": [{"digest": B, "mediaType": "x+encrypted"}]}, "is encrypted"),
        ({"config": {"digest": A}, "layers": {}}, "web.layers: is not a JSON array"),
        ([], "is not a JSON object"),
    ],
)
def test_what_is_no_image_is_refused(value: object, why: str) -> None:
    """The message names what was read and which member is wrong."""
    with pytest.raises(UserError, match=why):
        manifest.parse_manifest(encode(value), "web")


def test_the_index_entry_for_this_platform_is_chosen() -> None:
    """By operating system and architecture, attestations passed over; none that fits is an error that lists what
    there is.
    """
    index = manifest.parse_manifest(
        encode(
            {
                "manifests": [
                    {"digest": A, "platform": {"os": "unknown", "architecture": "unknown"}},
                    {"digest": B, "platform": {"os": "linux", "architecture": "arm64"}},
                ]
            }
        ),
        "web",
    )
    assert isinstance(index, Index)
    assert manifest.choose(index, "arm64", "web").digest == B
    with pytest.raises(UserError, match="has no image for linux/amd64; it has linux/arm64"):
        manifest.choose(index, "amd64", "web")
    alone = Index((IndexEntry(Descriptor(A), "", ""),))
    assert manifest.choose(alone, "amd64", "web").digest == A


def test_the_configuration() -> None:
    """Every member rendering needs, absent or null ones empty."""
    config = manifest.parse_config(
        encode(
            {
                "architecture": "amd64",
                "os": "linux",
                "created": "2024-01-01T00:00:00Z",
                "rootfs": {"diff_ids": [A]},
                "config": {
                    "User": "web",
                    "Env": ["PATH=/bin", "EMPTY=", "EQUALS=a=b"],
                    "Entrypoint": None,
                    "Cmd": ["a"],
                    "Volumes": {"/b": {}, "/a": {}},
                    "ExposedPorts": {"80/tcp": {}},
                    "Labels": {"k": "v"},
                    "StopSignal": "SIGQUIT",
                },
            }
        ),
        "web",
    )
    assert config.diff_ids == (A,)
    assert config.config == ImageConfig(
        user="web",
        environment=(("PATH", "/bin"), ("EMPTY", ""), ("EQUALS", "a=b")),
        command=("a",),
        volumes=("/a", "/b"),
        exposed_ports=("80/tcp",),
        labels=(("k", "v"),),
        stop_signal="SIGQUIT",
    )


@given(st.binary(max_size=30) | json_values.map(encode))
def test_any_bytes_are_understood_or_refused(data: bytes) -> None:
    """What a registry sends never fails otherwise than as a `UserError`."""
    for parse in (manifest.parse_manifest, manifest.parse_config):
        try:
            parse(data, "web")
        except UserError as error:
            assert str(error).startswith("web")


@pytest.mark.parametrize(
    ("healthcheck", "expected"),
    [
        (None, None),
        ({}, None),
        ({"Test": []}, None),
        ({"Test": ["NONE"]}, None),
        ({"Test": ["CMD"]}, None),
        ({"Test": ["CMD", "/probe", "-q"]}, HealthCheck(("/probe", "-q"))),
        ({"Test": ["CMD-SHELL", "a | b"], "Interval": 0, "Retries": 0}, HealthCheck(("/bin/sh", "-c", "a | b"))),
        (
            {"Test": ["CMD", "x"], "Interval": 5 * 10**9, "Timeout": 10**9, "StartPeriod": 10**8, "Retries": 7},
            HealthCheck(("x",), interval=5, timeout=1, start_period=0.1, retries=7),
        ),
    ],
)
def test_dockers_healthcheck(healthcheck: object, expected: HealthCheck | None) -> None:
    """Durations in nanoseconds; 0 and absent are the defaults (moby, image specification v1.2)."""
    data = encode({"architecture": "amd64", "config": {"Healthcheck": healthcheck}, "rootfs": {"diff_ids": [A]}})
    assert manifest.parse_config(data, "web").config.health == expected
