"""``ctrctl volume``: what the words of ``create`` mean, how volumes are shown, and what prune would take."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from supervisor.cli import volume
from supervisor.cli.console import Console
from supervisor.cli.main import guarded
from supervisor.cli.parser import parser
from supervisor.cli.volume_archive import size
from supervisor.deploy.records import VolumeRecord
from supervisor.errors import UserError
from supervisor.paths import Layout
from supervisor.spec import codec
from supervisor.spec.container import Container, Mount, MountType
from supervisor.spec.volume import Volume

SOURCE = "ctrctl volume create"


def created(*argv: str) -> Volume:
    options = parser("volume", "summary", ())
    volume.configure("volume", options)
    return volume.definition(options.parse_args(("create", *argv)))


def test_a_name_alone_is_a_directory() -> None:
    """Without one it gets a new one each time."""
    assert created("data") == Volume("data", SOURCE)
    assert created().name != created().name


def test_every_option_reaches_the_spec() -> None:
    """As podman-volume-create(1) names them."""
    words = "-d local -o type=nfs --opt device=nas:/srv -o o=vers=4.2,soft -o nocopy --uid 7 --gid 8 --label a=b data"
    assert created(*words.split()) == Volume(
        "data", SOURCE, "nfs", "nas:/srv", "vers=4.2,soft", 7, 8, copy=False, labels=(("a", "b"),)
    )
    assert created("-o", "type=tmpfs", "data").device == "tmpfs"
    owned = created("-o", "o=uid=7,gid=8", "data")
    assert (owned.uid, owned.gid, owned.options) == (7, 8, "")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("../x", "NAME: volume name"),
        ("-d image x", "--opt image: belongs to --driver image"),
        ("-o size=3 x", "--opt: 'size=3' is unknown"),
        ("-o type= x", "--opt: 'type=' is unknown"),
        ("-o type=ext4 x", "--opt: there is no device"),
        ("-o o=ro x", "--opt: there is no device"),
        ("-o device=srv/./x\x07 x", "--opt device: the device"),
        ("--uid root x", "--uid: 'root'"),
        ("--label =b x", "--label: "),
    ],
)
def test_what_cannot_be_is_named(words: str, message: str) -> None:
    """With its option."""
    with pytest.raises(UserError, match=message):
        created(*words.split(" "))


@pytest.fixture
def host(tmp_path: Path) -> Path:
    """Volumes: 'data' with a record and in use, 'spare' of a definition, 'old' only a directory."""
    records = tmp_path / "var/lib/ctr/volume-records"
    records.mkdir(parents=True)
    data = Volume("data", SOURCE, "tmpfs", "tmpfs", labels=(("tier", "back"),))
    unit = "/etc/systemd/system/var-lib-ctr-volumes-data.mount"
    (records / "data.json").write_text(codec.dumps(VolumeRecord(data, (unit,))))
    (records / "spare.json").write_text(codec.dumps(VolumeRecord(Volume("spare", "/etc/ctr/spare.volume"))))
    (tmp_path / "etc/ctr").mkdir(parents=True)
    (tmp_path / "etc/ctr/spare.volume").touch()
    (tmp_path / "var/lib/ctr/volumes/old").mkdir(parents=True)
    container = Container("web", "x", image="a", mounts=(Mount(MountType.VOLUME, "/d", "data"),))
    current = tmp_path / "var/lib/ctr/containers/web/v.1"
    current.mkdir(parents=True)
    (current.parent / "current").symlink_to("v.1")
    (current.parent / "spec.json").write_text(codec.dumps(container))
    (current.parent / "deployed.json").write_text('{"origin": "x"}')
    return tmp_path


def said(host: Path, *argv: str) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    code = guarded(("volume", *argv), Console(io.StringIO(), out, err, {}, Layout(str(host))))
    return code, out.getvalue(), err.getvalue()


def test_the_table_shows_every_volume(host: Path) -> None:
    """Also those that nobody defined, and who uses them."""
    assert said(host, "ls")[1].splitlines() == [
        "NAME    TYPE        DEVICE   USED BY",
        "data    tmpfs       tmpfs    web",
        "old     directory   -",
        "spare   directory   -",
    ]


def test_filters_choose(host: Path) -> None:
    """Names by part, labels with and without a value, and those that no container names."""
    for words, names in (
        ("name=a", ["data", "spare"]),
        ("label=tier", ["data"]),
        ("label=tier=front", []),
        ("dangling=true", ["old", "spare"]),
    ):
        assert said(host, "ls", "-q", "-f", words)[1].split() == names
    code, _, error = said(host, "ls", "-f", "size=1")
    assert code == 125
    assert "filter 'size=1'" in error


def test_inspect_is_json(host: Path) -> None:
    """One that does not exist is an error beside those that do."""
    code, out, error = said(host, "inspect", "data", "nope")
    assert code == 125
    assert "volume nope: does not exist" in error
    (found,) = json.loads(out)
    assert found["unit"] == "var-lib-ctr-volumes-data.mount"
    assert (found["containers"], found["labels"]) == (["web"], {"tier": "back"})


def test_prune_asks_nobody_who_is_not_there(host: Path) -> None:
    """Without a terminal and --force nothing goes; what would is named, a definition's volume among it only once the
    definition is gone."""
    code, out, error = said(host, "prune")
    assert (code, out) == (125, "")
    assert "would remove old with" in error
    (host / "etc/ctr/spare.volume").unlink()
    assert "would remove old, spare with" in said(host, "prune")[2]


def test_size_counts_hard_links_once(tmp_path: Path) -> None:
    """As du(1) does; a link's target does not count."""
    (tmp_path / "a").write_bytes(b"x" * 100_000)
    before = size(str(tmp_path))
    (tmp_path / "b").hardlink_to(tmp_path / "a")
    (tmp_path / "c").symlink_to("/usr")
    assert before >= 100_000
    assert size(str(tmp_path)) == before
