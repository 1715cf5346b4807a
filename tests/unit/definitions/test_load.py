"""Definitions are read together, and nothing that looks like one is passed over silently."""

from __future__ import annotations

import pytest

from supervisor.definitions import gathering
from supervisor.definitions.context import Context
from supervisor.definitions.load import load
from tests.unit.definitions.trees import GOOD, messages, names, tree


def test_a_directory_gives_its_definitions_in_order_of_names() -> None:
    """Other files, hidden ones too, are passed over."""
    files = {f"/d/{name}": GOOD for name in ("b.container", "a.container", "README.md", "db.env", ".x.container")}
    loaded = load("/d", tree(files))
    assert (names(loaded), messages(loaded)) == (["a", "b"], [])


def test_definitions_see_each_other() -> None:
    """After=db.container works in whichever order files come, and with names the caller knows already."""
    files = {"/d/a.container": GOOD + b"[Unit]\nAfter=b.container c.container\n", "/d/b.container": GOOD}
    loaded = load(["/d/a.container", "/d/b.container"], tree(files), Context(names={"c.container": "c"}))
    assert (names(loaded), messages(loaded)) == (["a", "b"], [])
    assert load("/d/a.container", tree(files)).problems


def test_files_that_cannot_be_deployed_are_refused() -> None:
    """A .kube or .artifact file would otherwise be lost without a word; the key that podman would act on is named."""
    files = {
        "/d/x.kube": b"[Unit]\nDescription=x\n[Kube]\n# x\nYaml=x.yaml\nNetwork=host\n",
        "/d/y.kube": b"\n[Kube]\n",
        "/d/x.artifact": b"[Artifact]\nArtifact=x\n",
        "/d/a.container": GOOD,
    }
    loaded = load("/d", tree(files))
    assert names(loaded) == ["a"]
    assert [message.split(";")[0] for message in messages(loaded)] == [
        "/d/x.artifact:2: Artifact=: .artifact files are not supported",
        "/d/x.kube:5: Yaml=: .kube files are not supported yet",
        "/d/y.kube:2: .kube files are not supported yet",
    ]
    assert messages(load("/d/y.kube", tree(files))) == messages(loaded)[2:]


@pytest.mark.parametrize(
    "name", ("compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml", "compose.override.yaml")
)
def test_compose_files_are_refused(name: str) -> None:
    """By their names, in a directory or named; what is beside them is compiled. Other YAML belongs to applications."""
    files = {f"/d/shop/{name}": b"services: {}\n", "/d/a.container": GOOD, "/d/prometheus.yml": b"", "/d/c/x.yaml": b""}
    loaded = load("/d", tree(files))
    assert names(loaded) == ["a"]
    assert messages(loaded) == [
        f"/d/shop/{name}:1: Compose files are not read yet; write one .container file for each service"
    ]
    assert messages(load(f"/d/shop/{name}", tree(files))) == messages(loaded)


def test_a_misspelt_suffix_is_warned_of() -> None:
    """podman passes over it without a word. What editors and packages keep is no mistake, nor are other files."""
    kept = ("a.container~", "a.container.bak", "a.container.dpkg-old", "notes.txt", "app.conf", "x.pid")
    files = {f"/d/{name}": GOOD for name in ("a.container", "b.containr", "c.Container", "d.volumes", *kept)}
    loaded = load("/d", tree(files))
    assert (names(loaded), messages(loaded)) == (["a"], [])
    assert [str(warning) for warning in loaded.warnings] == [
        "/d/b.containr: is no definition, and passed over; was .container meant?",
        "/d/c.Container: is no definition, and passed over; was .container meant?",
        "/d/d.volumes: is no definition, and passed over; was .volume meant?",
    ]


def test_directories_are_read_with_all_below_them() -> None:
    """As podman does it; those of rootless users are passed over, aloud, unless they are named."""
    files = {f"/d/{name}.container": GOOD for name in ("a", "x/b", "x/y/c", "users/1000/e", "x/users/f")}
    loaded = load("/d", tree({**files, "/d/.git/g.container": GOOD, "/d/x/README": b""}))
    assert names(loaded) == ["a", "b", "f", "c"]
    assert [str(warning).split(";")[0] for warning in loaded.warnings] == [
        "/d/users: holds definitions for rootless podman, which are passed over"
    ]
    assert names(load("/d/users", tree(files))) == ["e"]


def test_podmans_directories_mask_each_other() -> None:
    """/run wins over /etc, and /etc over /usr, whatever the order they are given in."""
    files = {f"{place}/containers/systemd/a.container": GOOD for place in ("/etc", "/usr/share", "/run")}
    files["/usr/share/containers/systemd/b.container"] = GOOD
    places = [f"{place}/containers/systemd" for place in ("/usr/share", "/etc", "/run")]
    loaded = load(places, tree(files))
    assert [one.source for one in loaded.containers] == [
        "/run/containers/systemd/a.container",
        "/usr/share/containers/systemd/b.container",
    ]
    assert [warning.file for warning in loaded.warnings] == [
        "/etc/containers/systemd/a.container",
        "/usr/share/containers/systemd/a.container",
    ]


def test_a_link_that_leads_back_is_a_problem() -> None:
    """Not an endless walk."""

    def read(path: str) -> bytes | tuple[str, ...]:
        if path.rstrip("/").rpartition("/")[2] in ("d", "again", "more"):
            return ("again", "more")
        raise FileNotFoundError(2, "No such file or directory", path)

    assert "a link leads back" in messages(load("/d", read))[0]


def test_too_many_directories_are_a_problem_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes after the last one that is read is as unknown as that."""
    monkeypatch.setattr(gathering, "_DIRECTORIES", 2)
    loaded = load("/d", tree({f"/d/{name}.container": GOOD for name in ("a/a", "b/b", "c/c")}))
    assert [problem.file for problem in loaded.problems] == ["/d/b", "/d"]


def test_one_name_defined_twice_names_both_files() -> None:
    """Neither wins."""
    files = {"/d/a.container": GOOD, "/d/b.container": GOOD + b"ContainerName=a\n", "/d/c.container": GOOD}
    loaded = load("/d", tree(files))
    assert names(loaded) == ["c"]
    assert messages(loaded) == [
        "/d/b.container:3: ContainerName=: /d/a.container defines the container 'a' too; rename one of them",
        "/d/a.container:1: /d/b.container defines the container 'a' too; rename one of them",
    ]


def test_a_name_that_a_drop_in_gives_to_two() -> None:
    """The line is the drop-in's, and both definitions are left out."""
    files = {"/d/a.container": GOOD, "/d/b.container": GOOD, "/d/container.d/x.conf": b"[Container]\nContainerName=x\n"}
    loaded = load("/d", tree(files))
    assert names(loaded) == []
    assert [message.split(" defines")[0] for message in messages(loaded)] == [
        "/d/container.d/x.conf:2: ContainerName=: /d/a.container",
        "/d/container.d/x.conf:2: ContainerName=: /d/b.container",
    ]


def test_a_broken_file_does_not_take_the_others_with_it() -> None:
    """The valid ones are there, the problems of all broken ones too."""
    files = {"/d/a.container": b"x\ny\n", "/d/b.container": GOOD, "/d/c.container": b"\xff\n"}
    loaded = load("/d", tree(files))
    assert names(loaded) == ["b"]
    assert {problem.file for problem in loaded.problems} == {"/d/a.container", "/d/c.container"}


def test_paths_that_cannot_be_read_or_are_no_definitions() -> None:
    """What was asked for by name is never passed over."""
    files = {"/d/README.md": b"", "/d/a.container": GOOD, "/d/b.container/x": b""}
    loaded = load(["/d/README.md", "/none", "/d", "/d/a.container"], tree(files))
    assert names(loaded) == ["a"]
    assert messages(loaded) == [
        "/d/README.md: is not a definition; "
        "give a .container, .network, .volume, .pod, .image or .build file or a directory",
        "/none: cannot be read: No such file or directory",
        "/d/b.container: is a directory; a .container file was expected",
    ]


def test_networks_and_volumes_are_loaded_beside_containers() -> None:
    """A container means them by file name; their own names are the files' without suffix, or what they say."""
    files = {
        "/d/a.container": GOOD + b"Network=shop.network\nVolume=data.volume:/data\nVolume=raw.volume:/raw\n",
        "/d/data.volume": b"[Volume]\nVolumeName=shop-data\n",
        "/d/raw.volume": b"[Volume]\n",
        "/d/shop.network": b"[Network]\n",
    }
    loaded = load("/d", tree(files))
    assert (messages(loaded), loaded.warnings) == ([], ())
    assert [(network.name, network.source) for network in loaded.networks] == [("shop", "/d/shop.network")]
    assert [volume.name for volume in loaded.volumes] == ["shop-data", "raw"]
    (container,) = loaded.containers
    assert [one.network for one in container.attachments] == ["shop"]
    assert [mount.source for mount in container.mounts] == ["shop-data", "raw"]


def test_a_file_that_is_not_there_is_named_with_the_line() -> None:
    """For each kind, wherever it is referred to."""
    lines = b"Network=a.network\nVolume=b.volume:/b\nMount=type=volume,source=c.volume,target=/c\n"
    files = {"/d/x.container": GOOD + lines, "/d/y.container": GOOD + b"Network=d.container\n"}
    files["/d/z.container"] = GOOD + b"[Unit]\nAfter=e.network f.volume g.container\n"
    found = [message.split("; ")[0] for message in messages(load("/d", tree(files)))]
    assert found == [
        "/d/x.container:3: Network=: there is no valid a.network beside this definition",
        "/d/x.container:4: Volume=: there is no valid b.volume beside this definition",
        "/d/x.container:5: Mount=: there is no valid c.volume beside this definition",
        "/d/y.container:3: Network=: there is no valid d.container beside this definition",
        *(
            f"/d/z.container:4: After=: there is no valid {n} beside this definition"
            for n in ["e.network", "f.volume", "g.container"]
        ),
    ]


def test_names_are_unique_for_each_kind() -> None:
    """A container, a network and a volume may have one name; two networks may not."""
    files = {"/d/a.container": GOOD, "/d/a.network": b"[Network]\n", "/d/a.volume": b"[Volume]\n"}
    assert messages(load("/d", tree(files))) == []
    files["/d/b.network"] = b"[Network]\nNetworkName=a\n"
    loaded = load("/d", tree(files))
    assert (names(loaded), loaded.networks, len(loaded.volumes)) == (["a"], (), 1)
    assert messages(loaded) == [
        "/d/b.network:2: NetworkName=: /d/a.network defines the network 'a' too; rename one of them",
        "/d/a.network:1: /d/b.network defines the network 'a' too; rename one of them",
    ]


def test_two_definitions_that_publish_one_port_are_warned_of() -> None:
    """Both files are named with their lines; other protocols, addresses and ports are no matter."""
    files = {
        "/d/a.container": GOOD + b"PublishPort=8080:80 53:53/udp\n",
        "/d/b.container": GOOD + b"\nPublishPort=127.0.0.1:8000-8100:8000-8100\nPublishPort=53:53/tcp\n",
        "/d/c.container": GOOD + b"PublishPort=[::1]:8000:80\nPublishPort=80\nPublishPort=127.0.0.2:8050:80\n",
        "/d/d.container": GOOD + b"Network=host\nPublishPort=8080:80\n",
    }
    warnings = [str(warning) for warning in load("/d", tree(files)).warnings if warning.file != "/d/d.container"]
    assert warnings == [
        "/d/a.container:3: PublishPort=: 8080:80/tcp is published by /d/b.container:4 too, "
        "and only one of them can be running; change one",
        "/d/b.container:4: PublishPort=: 127.0.0.1:8000-8100:8000-8100/tcp is published by /d/a.container:3 too, "
        "and only one of them can be running; change one",
    ]


def test_two_files_of_one_name_are_named() -> None:
    """A reference is a file's name: with two files of it one would be taken, and podman reads only one of them."""
    files = {
        "/d/a/data.volume": b"[Volume]\nVolumeName=x\n",
        "/d/b/data.volume": b"[Volume]\nVolumeName=y\n",
        "/d/b/db.container": GOOD + b"Volume=data.volume:/d\n",
        "/d/c/data.container": GOOD,
    }
    loaded = load("/d", tree(files))
    assert loaded.volumes == ()
    assert sorted(message for message in messages(loaded) if "the same name" in message) == [
        "/d/a/data.volume:1: /d/b/data.volume has the same name, by which others refer to it; rename one of them",
        "/d/b/data.volume:1: /d/a/data.volume has the same name, by which others refer to it; rename one of them",
    ]
