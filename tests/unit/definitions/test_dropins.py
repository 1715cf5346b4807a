"""Drop-ins say more after the definition itself, in systemd's order, and are named by their own file and line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.definitions.dropins import directories, places
from supervisor.definitions.load import Loaded, Read, load
from supervisor.spec.container import Entry
from tests.unit.definitions.trees import GOOD, messages, names, tree


def setting(value: str) -> bytes:
    return f"[Container]\nEnvironment=V={value}\n".encode()


def value(loaded: Loaded) -> str | None:
    (container,) = loaded.containers
    return dict(container.environment).get("V")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("foo.container", ["foo.container.d", "container.d"]),
        ("foo-bar-baz.pod", ["foo-bar-baz.pod.d", "foo-bar-.pod.d", "foo-.pod.d", "pod.d"]),
        ("web@1.volume", ["web@1.volume.d", "web@.volume.d", "volume.d"]),
        ("web@.volume", ["web@.volume.d", "volume.d"]),
        ("a-b@x-y.network", ["a-b@x-y.network.d", "a-b@.network.d", "a-@.network.d", "a-.network.d", "network.d"]),
        ("a.b-c.image", ["a.b-c.image.d", "a.b-.image.d", "image.d"]),
        ("x.build", ["x.build.d", "build.d"]),
    ],
)
def test_directories_from_the_most_specific(name: str, expected: list[str]) -> None:
    """podman's GetUnitDropinPaths: the whole name, an instance's template, names cut at dashes, the kind."""
    assert list(directories(name)) == expected


def test_settings_come_after_the_file_in_order_of_names() -> None:
    """Lists add up, and an empty assignment in a drop-in takes back what the file itself says."""
    files = {
        "/d/a.container": GOOD + b"Label=a=file\nDNS=1.1.1.1\n[Unit]\nAfter=x.service\n",
        "/d/a.container.d/20-b.conf": b"[Container]\nLabel=a=second\n[Unit]\nAfter=z.service\n",
        "/d/a.container.d/10-a.conf": b"[Container]\nLabel=a=first b=1\nDNS=\nDNS=9.9.9.9\n[Unit]\nAfter=y.service\n",
        "/d/a.container.d/README": b"no setting",
    }
    loaded = load("/d", tree(files))
    assert (messages(loaded), loaded.warnings) == ([], ())
    (container,) = loaded.containers
    assert (container.labels, container.dns) == ((("a", "second"), ("b", "1")), ("9.9.9.9",))
    assert container.unit.unit == tuple(Entry("After", f"{name}.service") for name in "xyz")


def test_a_value_that_is_set_once_is_overridden_without_a_word() -> None:
    """That is what drop-ins are for; twice in one file is worth a warning, in a drop-in too."""
    files = {"/d/a.container": GOOD, "/d/a.container.d/1.conf": b"[Container]\nImage=y\n"}
    loaded = load("/d", tree(files))
    assert loaded.warnings == () and loaded.containers[0].image == "y"
    files["/d/a.container.d/1.conf"] += b"Image=z\n"
    assert [str(warning) for warning in load("/d", tree(files)).warnings] == [
        "/d/a.container.d/1.conf:2: Image=: has no effect: /d/a.container.d/1.conf:3 sets it again; "
        "remove one of the two"
    ]


@pytest.mark.parametrize("path", ["/d", "/d/a-b.container"])
def test_a_directory_and_a_file_get_the_same_drop_ins(path: str) -> None:
    """One definition applied alone is what it is among the others."""
    files = {"/d/a-b.container": GOOD, "/d/a-.container.d/1.conf": setting("1")}
    assert value(load(path, tree(files))) == "1"


def test_the_kinds_own_directory_serves_the_definitions_further_down() -> None:
    """As in podman's directories; nothing above what was asked for is looked at, but in a place for definitions."""
    files = {"/etc/ctr/sub/a.container": GOOD, "/etc/ctr/container.d/1.conf": setting("1")}
    for path in ("/etc/ctr", "/etc/ctr/sub", "/etc/ctr/sub/a.container"):
        assert value(load(path, tree(files))) == "1"
    files = {"/home/x/sub/a.container": GOOD, "/home/x/container.d/1.conf": setting("1")}
    assert value(load("/home/x", tree(files))) == "1"
    assert value(load("/home/x/sub", tree(files))) is None


def test_podmans_directories_add_to_each_other() -> None:
    """The administrator's drop-in of /etc changes the distribution's file of /usr."""
    usr, etc = "/usr/share/containers/systemd", "/etc/containers/systemd"
    files = {f"{usr}/a.container": GOOD, f"{usr}/a.container.d/1.conf": setting("usr")}
    files[f"{etc}/a.container.d/1.conf"] = setting("etc")
    assert value(load([usr, etc], tree(files))) == "etc"
    assert places(f"{usr}/x/a.container", [usr, etc]) == ("/run/containers/systemd", etc, f"{usr}/x", usr)


def test_mistakes_are_named_by_the_drop_in() -> None:
    """Each once, although the drop-in serves two definitions, of which neither is deployed."""
    files = {"/d/a.container": GOOD, "/d/b.container": GOOD, "/d/c.network": b"[Network]\n"}
    files["/d/container.d/1.conf"] = b"x\n[Containr]\n[Container]\nMemory=lots\nImge=y\n"
    loaded = load("/d", tree(files))
    assert (names(loaded), len(loaded.networks)) == ([], 1)
    assert [message.split("; ")[0] for message in messages(loaded)] == [
        "/d/container.d/1.conf:1: 'x' has no '='",
        "/d/container.d/1.conf:2: [Containr] is not a section of a .container file",
        "/d/container.d/1.conf:4: Memory=: 'lots' is not a size",
        "/d/container.d/1.conf:5: Imge=: no such key in [Container]",
    ]


def test_a_drop_in_that_cannot_be_read_is_a_mistake_of_its_definition() -> None:
    """Deployed without it, the container might lack the limit that it sets."""
    files = {"/d/a.container": GOOD, "/d/a.container.d/1.conf": b"", "/d/b.container": GOOD}
    files["/d/b.container.d/2.conf/x"] = b""

    def read(path: str) -> bytes | tuple[str, ...]:
        if path == "/d/a.container.d/1.conf":
            raise PermissionError(13, "Permission denied", path)
        return tree(files)(path)

    loaded = load("/d", read)
    assert names(loaded) == []
    assert messages(loaded) == [
        "/d/a.container.d/1.conf: cannot be read: Permission denied",
        "/d/b.container.d/2.conf: is a directory; a file was expected",
    ]


def test_two_lines_that_contradict_each_other_name_both_places() -> None:
    """The line alone would be one of the wrong file."""
    files = {"/d/a.container": GOOD + b"Volume=/a:/x\n", "/d/a.container.d/1.conf": b"[Container]\nVolume=/b:/x\n"}
    assert messages(load("/d", tree(files))) == [
        "/d/a.container.d/1.conf:2: Volume=: line 3 mounts something at /x already; keep one of the two"
    ]


def test_a_directory_without_a_definition_is_a_warning() -> None:
    """It does nothing, and its author thinks it does."""
    files = {"/d/a.container": GOOD, "/d/b.container.d/1.conf": b"", "/d/pod.d/1.conf": b"", "/d/conf.d/x": b""}
    loaded = load("/d", tree(files))
    assert [str(warning) for warning in loaded.warnings] == [
        f"/d/{name}: belongs to no definition here; add that, or remove the directory"
        for name in ("b.container.d", "pod.d")
    ]


def hiding(path: str, files: dict[str, bytes]) -> Read:
    """*files*, among them an empty one: what a link to /dev/null reads as."""
    return tree({**files, path: b""})


PLACES = ("a-b-c@1.container.d", "a-b-c@.container.d", "a-b-@.container.d", "a-b-.container.d", "container.d")
FILE_NAMES = ("10.conf", "20.conf", "30.conf")


@given(st.sets(st.tuples(st.sampled_from(PLACES), st.sampled_from(FILE_NAMES))), st.data())
def test_precedence(present: set[tuple[str, str]], data: st.DataObject) -> None:
    """Whatever there is: the last name counts, of one name the most specific directory, and an empty file hides it."""
    files = {f"/d/{place}/{name}": setting(f"{place}/{name}") for place, name in present}
    files["/d/a-b-c@1.container"] = GOOD
    hidden = data.draw(st.sampled_from([None, *sorted(present)]))
    chosen: dict[str, str | None] = {}
    for place in reversed(PLACES):
        for name in FILE_NAMES:
            if (place, name) in present:
                chosen[name] = None if (place, name) == hidden else f"{place}/{name}"
    read = hiding(f"/d/{hidden[0]}/{hidden[1]}", files) if hidden else tree(files)
    left = [chosen[name] for name in sorted(chosen) if chosen[name]]
    assert value(load("/d", read)) == (left[-1] if left else None)


TREE_NAMES = [
    *("a.container", "a@.container", "a@1.container", "a@.pod", "b.volume", "x", "users", "container.d", "1.conf"),
    *("a.container.d", "a@.container.d", "c.kube", "b.image", "b.build", "n.network", "d@x.network"),
]
TREE_LINES = [
    *(b"[Container]", b"Image=x", b"[Install]", b"DefaultInstance=%", b"DefaultInstance=5", b"[Unit]", b"[Pod]"),
    *(b"After=a@%i.container a.service", b"\xff", b"Exec=\\", b"ServiceName=%i", b"Volume=b.volume:/%I", b"[Service]"),
]


@given(
    st.dictionaries(
        st.lists(st.sampled_from(TREE_NAMES), min_size=1, max_size=4).map("/".join),
        st.lists(st.sampled_from(TREE_LINES)).map(b"\n".join),
        max_size=8,
    )
)
def test_any_tree_is_loaded_without_an_exception(files: dict[str, bytes]) -> None:
    """And every complaint names a path in it."""
    loaded = load("/d", tree({f"/d/{path}": content for path, content in files.items()} | {"/d/README": b""}))
    assert all(problem.file.startswith("/d") for problem in (*loaded.problems, *loaded.warnings))
