"""What an image worker is told of the host's credentials."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from supervisor.errors import UserError
from supervisor.images.credentials import certificates, find, of_login, of_registry

STORED = json.dumps(
    {
        "auths": {
            "quay.io": {"auth": "cXVheQ=="},
            "quay.io/team/web": {"auth": "dGVhbQ=="},
            "https://index.docker.io/v1/": {"auth": "aHVi"},
            "registry.example:5000": {"auth": "ZXhhbXBsZQ=="},
            "registry.example": {"auth": "b3RoZXI="},
        },
        "credHelpers": {"quay.io": "helper", "other.example": "helper"},
        "credsStore": "desktop",
    }
)


@pytest.mark.parametrize(
    ("registry", "kept"),
    [
        ("quay.io", {"auths": {"quay.io", "quay.io/team/web"}, "credHelpers": {"quay.io"}}),
        ("docker.io", {"auths": {"https://index.docker.io/v1/"}}),
        ("registry.example:5000", {"auths": {"registry.example:5000"}}),
        ("registry.example", {"auths": {"registry.example"}}),
        ("io", {}),
        ("evil.quay.io", {}),
    ],
)
def test_a_worker_gets_the_credentials_of_its_registry_only(registry: str, kept: dict[str, set[str]]) -> None:
    """Whole host names with their port; docker.io under all of its names; stores of everybody's passwords never."""
    text = of_registry(STORED, registry)
    assert {member: set(entries) for member, entries in (json.loads(text) if text else {}).items()} == kept


def test_the_default_places_are_searched_in_order(tmp_path: Path) -> None:
    """podman's before docker's; one that has nothing for this registry does not hide the next."""
    podman, docker = tmp_path / ".config/containers/auth.json", tmp_path / ".docker/config.json"
    for path, registry in ((podman, "quay.io"), (docker, "docker.io")):
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps({"auths": {registry: {"auth": registry}}}))
    environ = {"HOME": str(tmp_path)}
    assert json.loads(find("quay.io", "", environ)) == {"auths": {"quay.io": {"auth": "quay.io"}}}
    assert json.loads(find("docker.io", "", environ)) == {"auths": {"docker.io": {"auth": "docker.io"}}}
    assert find("registry.example", "", environ) == ""
    assert find("quay.io", str(docker), environ) == ""


@pytest.mark.parametrize("content", ["no JSON", "[]", '{"auths": []}', b"\xff"])
def test_a_file_that_is_no_authfile_is_named(tmp_path: Path, content: str | bytes) -> None:
    """As is one that is missing, when it was asked for."""
    path = tmp_path / "auth.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UserError, match=r"auth\.json"):
        find("quay.io", str(path), {})
    with pytest.raises(UserError, match="none: does not exist"):
        find("quay.io", str(tmp_path / "none"), {})


def test_a_login_becomes_a_file() -> None:
    """For one registry; what comes after the first colon is the password."""
    assert json.loads(of_login("quay.io", "me:a:b")) == {"auths": {"quay.io": {"auth": "bWU6YTpi"}}}
    assert of_registry(of_login("docker.io", "me"), "docker.io")


def test_certificates(tmp_path: Path) -> None:
    """What containers-certs.d(5) names, and nothing else of the directory; a message when there is none."""
    assert certificates("") == ()
    with pytest.raises(UserError, match="put the registry's CA there"):
        certificates(str(tmp_path))
    (tmp_path / "ca.crt").write_text("x" * (1 << 20) + "x")
    with pytest.raises(UserError, match=r"ca\.crt: is longer than 1 MiB"):
        certificates(str(tmp_path))
    (tmp_path / "ca.crt").write_bytes(b"# Autorit\xe9\n")
    assert certificates(str(tmp_path)) == (("ca.crt", "# Autorit\ufffd\n"),)
    for name in ("client.key", "ca.crt", "client.cert", "README"):
        (tmp_path / name).write_text(name)
    assert certificates(str(tmp_path)) == tuple((n, n) for n in ("ca.crt", "client.cert", "client.key"))
    with pytest.raises(UserError, match="cannot be read"):
        certificates(f"{tmp_path}/none")
