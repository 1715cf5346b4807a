"""What skopeo says, in words that help. The lines are skopeo 1.9's and 1.18's own."""

from __future__ import annotations

import pytest

from supervisor.errors import HostError, NotFoundError, UnreachableError, UserError
from supervisor.images.skopeo import Access, explain

PREFIX = 'time="2026-11-21T04:48:47Z" level=fatal msg="Error parsing image name \\"docker://h:1/t\\": '


@pytest.mark.parametrize(
    ("said", "kind", "words"),
    [
        (
            PREFIX + 'pinging container registry h:1: http: server gave HTTP response to HTTPS client"',
            UserError,
            "use --tls-verify=false for a plain-HTTP registry",
        ),
        (PREFIX + 'reading manifest latest in h:1/t: manifest unknown"', NotFoundError, "no such image or tag"),
        (PREFIX + 'reading manifest latest in h:1/t: authentication required"', UserError, "refuses access"),
        (
            'pinging container registry h:1: Get "http://h:1/v2/": dial tcp 127.0.0.1:1: connect: connection refused',
            UnreachableError,
            "connection refused; is the registry running",
        ),
        ("pinging h:40443: dial tcp 127.0.0.1:40443: connect: connection refused", UnreachableError, "refused; is"),
        ("received unexpected HTTP status: 404 Not Here", NotFoundError, "no such image or tag"),
        ("fetching blob: blob unknown to registry", HostError, "blob unknown to registry"),
        ("", HostError, "skopeo failed without a word"),
    ],
)
def test_errors(said: str, kind: type[Exception], words: str) -> None:
    """Who must act decides the type; the message names the image, the meaning and skopeo's own words."""
    error = explain("h:1/t:latest", said)
    assert type(error) is kind
    assert str(error).startswith("h:1/t:latest: pull: ")
    assert words in str(error)


def test_how_a_registry_is_reached() -> None:
    """No login is an argument, which everybody on the host could read; it is in a file."""
    assert Access(False, "/auth.json", "/certs").options == (
        *("--tls-verify=false", "--authfile", "/auth.json", "--cert-dir", "/certs"),
    )
    assert Access().options == ()
