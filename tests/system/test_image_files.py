"""``.image`` files: what ``ctrctl apply`` fetches with their options, and that nothing of a login can be seen."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import imagekit
import pytest
from conftest import ARCHIVES, Define
from hostkit import RUNTIME, STATE, ctrctl, journal, run, systemctl
from imagekit import ARCHITECTURE, Registry, file, inspect, layer, layout

PASSWORD = "correct-horse-battery"
CONTENT = layer(file("hello", b"hi\n"))


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """One that has a certificate of its own, and lets one user in."""
    directory = tmp_path_factory.mktemp("registry")
    with imagekit.registry(directory, PASSWORD, tls=True) as made:
        made.push(layout(directory / "host", CONTENT), "web:1")
        made.push(layout(directory / "other", CONTENT, architecture=_other()), "foreign:1")
        yield made


@pytest.fixture
def certificates(registry: Registry, tmp_path: Path) -> Path:
    """A directory as containers-certs.d(5) has it."""
    (tmp_path / "certs").mkdir()
    (tmp_path / "certs/ca.crt").write_text(registry.authority)
    return tmp_path / "certs"


@pytest.fixture(autouse=True)
def clean_store() -> Iterator[None]:
    """Images that a test fetches go at its end."""
    before = set(_ids())
    yield
    for image in set(_ids()) - before:
        ctrctl("image", "rm", "--force", image)


def _ids() -> list[str]:
    return [str(image["id"]) for image in json.loads(ctrctl("images", "--format", "json").stdout)]


def _other() -> str:
    return "arm64" if ARCHITECTURE == "amd64" else "amd64"


def test_a_login_and_certificates_of_its_own(registry: Registry, certificates: Path, define: Define) -> None:
    """The image comes with both, under both names; the password is in no journal and no file that others may read."""
    began = time.time()
    define(
        "private",
        f"""\
        [Image]
        Image={registry.address}/web:1
        ImageTag=localhost/private:now
        Creds={imagekit.USER}:{PASSWORD}
        CertDir={certificates}
        """,
        suffix=".image",
        apply=False,
    )
    define("reader", "[Container]\nImage=private.image\nExec=none\nNetwork=none\n", apply=False)
    assert "would be fetched" in ctrctl("apply", "--dry-run").stdout
    ctrctl("apply")
    assert inspect("localhost/private:now")["names"] == [f"{registry.address}/web:1", "localhost/private:now"]
    assert json.loads(ctrctl("inspect", "reader").stdout)[0]["image"]["reference"] == "localhost/private:now"
    assert "fetched" not in ctrctl("apply", "--dry-run").stdout
    assert not [entry for entry in journal(since=began) if PASSWORD in str(entry.get("MESSAGE", ""))]
    assert not list(RUNTIME.glob("images/requests/*"))


def test_what_is_wrong_with_a_login_is_said(registry: Registry, certificates: Path, define: Define) -> None:
    """A wrong password, and a certificate that nobody vouches for; nothing is deployed."""
    text = f"[Image]\nImage={registry.address}/web:1\nCreds={imagekit.USER}:wrong\n"
    define("private", f"{text}CertDir={certificates}\n", suffix=".image", apply=False)
    define("reader", "[Container]\nImage=private.image\nExec=none\nNetwork=none\n", apply=False)
    assert "refuses access" in ctrctl("apply", check=False).stderr
    define("private", text, suffix=".image", apply=False)
    assert "certificate is not trusted" in ctrctl("apply", check=False).stderr
    assert not (STATE / "containers/reader").exists()


def test_an_image_for_another_architecture(registry: Registry, tmp_path: Path, define: Define) -> None:
    """With the login from a file, which only root may read."""
    auth = tmp_path / "auth.json"
    run("skopeo", "login", "--tls-verify=false", f"--authfile={auth}", f"--username={imagekit.USER}",
        f"--password={PASSWORD}", registry.address)  # fmt: skip
    auth.chmod(0o600)
    define(
        "foreign",
        f"[Image]\nImage={registry.address}/foreign:1\nArch={_other()}\nAuthFile={auth}\nTLSVerify=no\n",
        suffix=".image",
    )
    assert inspect(f"{registry.address}/foreign:1")["architecture"] == _other()


def test_an_image_in_a_file(define: Define, tmp_path: Path) -> None:
    """It has the name that ImageTag= says, and is taken from what Image= says: also when that changes."""
    text = f"[Image]\nImage=docker-archive:{ARCHIVES}/busybox.tar\nImageTag=localhost/from-file\n"
    define("file", text, suffix=".image")
    assert "localhost/from-file:latest" in inspect("localhost/from-file")["names"]
    first = inspect("localhost/from-file")["id"]
    assert "fetched" not in ctrctl("apply", "--dry-run").stdout
    layout(tmp_path / "other", CONTENT)
    define("file", f"[Image]\nImage=oci:{tmp_path}/other\nImageTag=localhost/from-file\n", suffix=".image", apply=False)
    assert "image localhost/from-file would be fetched" in ctrctl("apply", "--dry-run").stdout
    ctrctl("apply")
    assert inspect("localhost/from-file")["id"] != first
    assert "fetched" not in ctrctl("apply", "--dry-run").stdout
    ctrctl("image", "rm", "localhost/from-file")


def test_tries_and_time(define: Define) -> None:
    """A registry that is not there is asked so often, one that never answers is waited for so long; no unit fails."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        define("slow", f"[Image]\nImage=127.0.0.1:{port}/web\nTLSVerify=no\n[Service]\nTimeoutStartSec=1\n",
               suffix=".image", apply=False)  # fmt: skip
        failed = ctrctl("apply", check=False)
    assert "took more than 1 s; give it more with TimeoutStartSec= in [Service]" in failed.stderr
    define("slow", f"[Image]\nImage=127.0.0.1:{port}/web\nRetry=2\nRetryDelay=10ms\n", suffix=".image", apply=False)
    failed = ctrctl("apply", check=False)
    assert failed.stderr.count("trying again in 0.01 s") == 2
    last = failed.stderr.splitlines()[-1]
    assert "/etc/ctr/slow.image:2: Image=: " in last and "connection refused" in last
    assert not systemctl("list-units", "--plain", "--no-legend", "--state=failed", "ctr*").stdout
    assert not list(Path("/run/systemd/system").glob("ctr-store@*"))
