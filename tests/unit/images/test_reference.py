"""Image references and sources."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.errors import UserError
from supervisor.images import reference
from supervisor.images.reference import Source, Transport

DIGEST = "sha256:" + "0a" * 32

labels = st.from_regex(r"[a-z0-9](?:[a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True)
hosts = st.one_of(
    st.just("localhost"),
    st.builds(lambda a, b: f"{a}.{b}", labels, labels),
    st.builds(lambda a, port: f"{a}:{port}", labels, st.integers(1, 65535)),
)
components = st.from_regex(r"[a-z0-9]{1,8}(?:(?:\.|_|__|-{1,3})[a-z0-9]{1,8}){0,2}", fullmatch=True)
tags = st.from_regex(r"[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,20}", fullmatch=True)
digests = st.from_regex(r"sha256:[0-9a-f]{64}", fullmatch=True)


@pytest.mark.parametrize(
    ("text", "full"),
    [
        ("nginx", "docker.io/library/nginx:latest"),
        ("nginx:1.27", "docker.io/library/nginx:1.27"),
        ("grafana/grafana", "docker.io/grafana/grafana:latest"),
        ("docker.io/nginx", "docker.io/library/nginx:latest"),
        ("index.docker.io/nginx", "docker.io/library/nginx:latest"),
        ("localhost/web", "localhost/web:latest"),
        ("localhost:5000/web:v1", "localhost:5000/web:v1"),
        ("[::1]:5000/web", "[::1]:5000/web:latest"),
        ("quay.io/a/b/c__d", "quay.io/a/b/c__d:latest"),
        (f"nginx@{DIGEST}", f"docker.io/library/nginx@{DIGEST}"),
        (f"nginx:1@{DIGEST}", f"docker.io/library/nginx:1@{DIGEST}"),
    ],
)
def test_short_names_become_full_ones(text: str, full: str) -> None:
    """docker's defaults: registry, library/ and tag."""
    assert reference.normalize(text) == full


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no repository name"),
        ("Nginx", "'Nginx' is not a repository name"),
        ("a//b", "'' is not a repository name"),
        ("web:", "tag '' is not valid"),
        ("web:-x", "tag '-x' is not valid"),
        ("web:" + "t" * 129, "is not valid"),
        ("web@sha256:12", "is not sha256: and 64"),
        ("web@md5:" + "0" * 32, "is not sha256: and 64"),
        ("-x.y/web", "'-x.y' is not a registry"),
        ("a.b:port/web", "'a.b:port' is not a registry"),
        ("quay.io/", "no repository name"),
        ("a/" * 140 + "b", "more than 255 characters"),
        ("../../etc", "'..' is not a reg"),
        ("web\n", "not a repository name"),
    ],
)
def test_what_is_wrong_is_said(text: str, why: str) -> None:
    """Every refusal names the part that is wrong."""
    with pytest.raises(UserError, match=re.escape(why)):
        reference.normalize(text)


@given(hosts, st.lists(components, min_size=1, max_size=3), tags, st.one_of(st.just(""), digests))
def test_a_full_reference_is_its_own_normal_form(host: str, path: list[str], tag: str, digest: str) -> None:
    """What has a registry and a tag stays as it is, and taking it apart and writing it again changes nothing."""
    text = f"{host}/{'/'.join(path)}:{tag}" + (f"@{digest}" if digest else "")
    assert reference.normalize(text) == text
    parsed = reference.parse(text)
    assert (parsed.registry, parsed.path, parsed.tag, parsed.digest) == (host, "/".join(path), tag, digest)


@given(st.text(max_size=80))
def test_any_text_is_normalized_or_refused(text: str) -> None:
    """No text makes the parser fail otherwise, and a normal form is stable and has no blanks or '..' components."""
    try:
        full = reference.normalize(text)
    except UserError:
        return
    assert reference.normalize(full) == full
    assert not re.search(r"\s", full)
    assert ".." not in full.split("/")


def test_short_names_mean_localhost_first() -> None:
    """The store looks for a short name on localhost, then on docker.io; a full name means only itself."""
    assert reference.candidates("web") == ("localhost/web:latest", "docker.io/library/web:latest")
    assert reference.candidates("a/web:1") == ("localhost/a/web:1", "docker.io/a/web:1")
    assert reference.candidates("docker.io/web") == ("docker.io/library/web:latest",)
    assert reference.candidates("quay.io/web") == ("quay.io/web:latest",)
    assert reference.candidates(f"quay.io/web:1@{DIGEST}")[-1] == f"quay.io/web@{DIGEST}"


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("nginx", Source(Transport.DOCKER, reference="docker.io/library/nginx:latest")),
        ("docker://quay.io/a:1", Source(Transport.DOCKER, reference="quay.io/a:1")),
        ("oci:/srv/web", Source(Transport.OCI, "/srv/web")),
        ("oci:web:1.0", Source(Transport.OCI, "/here/web", "1.0")),
        ("oci-archive:/srv/web.tar", Source(Transport.OCI_ARCHIVE, "/srv/web.tar")),
        ("docker-archive:web.tar:web:1", Source(Transport.DOCKER_ARCHIVE, "/here/web.tar", "web:1")),
        ("dir:/srv/web", Source(Transport.DIR, "/srv/web")),
        ("docker://oci:1", Source(Transport.DOCKER, reference="docker.io/library/oci:1")),
    ],
)
def test_sources(text: str, source: Source) -> None:
    """A transport in front, else a registry; relative paths are taken below the caller's directory."""
    assert reference.parse_source(text, "/here") == source


def test_a_transport_needs_a_path() -> None:
    """``oci:`` alone is refused."""
    with pytest.raises(UserError, match="has no path"):
        reference.parse_source("oci:", "/here")
