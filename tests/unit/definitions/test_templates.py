"""``web@.container`` is deployed as its instances: files and links beside it, and the one it names itself."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.definitions.context import Context
from supervisor.definitions.load import load
from supervisor.spec.container import Entry
from tests.unit.definitions.trees import GOOD, messages, names, tree


def test_an_instance_is_a_file_or_a_link() -> None:
    """What both read as is the template's content; each has a name of its own."""
    files = {"/d/web@.container": GOOD, "/d/web@1.container": GOOD, "/d/web@b-c.container": GOOD}
    loaded = load("/d", tree(files))
    assert (names(loaded), messages(loaded), loaded.warnings) == (["web_1", "web_b-c"], [], ())
    assert [one.source for one in loaded.containers] == ["/d/web@1.container", "/d/web@b-c.container"]


def test_a_template_without_instance_deploys_nothing_and_says_so() -> None:
    """With the command that makes one."""
    loaded = load("/d", tree({"/d/web@.container": GOOD}))
    assert (names(loaded), messages(loaded), loaded.sources) == ([], [], ())
    assert [str(warning) for warning in loaded.warnings] == [
        "/d/web@.container: is a template, and no instance of it is here; make one with "
        "'ln -s web@.container web@NAME.container', or write DefaultInstance= in [Install]"
    ]


def test_the_default_instance_needs_no_file() -> None:
    """Its source and its mistakes are the template's; with a link of that name it is that."""
    text = GOOD + b"Environment=A=%i\n[Install]\nDefaultInstance=5\nWantedBy=multi-user.target\n"
    loaded = load("/d", tree({"/d/web@.container": text}))
    assert (messages(loaded), loaded.warnings, loaded.sources) == ([], (), ("/d/web@.container",))
    (container,) = loaded.containers
    assert (container.name, container.source) == ("web_5", "/d/web@.container")
    assert container.environment == (("A", "5"),)
    assert container.unit.install == (Entry("WantedBy", "multi-user.target"),)
    both = load("/d", tree({"/d/web@.container": text, "/d/web@5.container": text}))
    assert [(one.name, one.source) for one in both.containers] == [("web_5", "/d/web@5.container")]


def test_mistakes_of_a_default_instance_are_the_templates() -> None:
    """There is no other file to open."""
    text = b"[Container]\nImge=x\n[Install]\nDefaultInstance=5\n"
    loaded = load("/d", tree({"/d/web@.container": text, "/d/web@5.container.d/1.conf": b"[Container]\nMemory=x\n"}))
    assert [message.split(";")[0] for message in messages(loaded)] == [
        "/d/web@.container:1: says not what to run",
        "/d/web@.container:2: Imge=: no such key in [Container]",
        "/d/web@5.container.d/1.conf:2: Memory=: 'x' is not a size",
    ]
    loaded = load("/d", tree({"/d/web@.container": GOOD + b"[Install]\nDefaultInstance=a/b\n"}))
    assert messages(loaded) == [
        "/d/web@.container:4: DefaultInstance=: is not the name of an instance; use letters, digits and :_.-"
    ]


def test_naming_a_template_means_its_instances() -> None:
    """And an instance that has no link is refused: the next apply of the directory would take it away again."""
    files = {"/d/web@.container": GOOD, "/d/web@1.container": GOOD, "/d/other.container": GOOD}
    assert names(load("/d/web@.container", tree(files))) == ["web_1"]
    assert names(load("/d/web@1.container", tree(files))) == ["web_1"]
    assert messages(load("/d/web@3.container", tree(files))) == [
        "/d/web@3.container: is not there, but its template is; "
        "make the instance with 'ln -s web@.container /d/web@3.container'"
    ]


def test_specifiers_are_those_of_podmans_unit() -> None:
    """web-app@a\\x2db.service; for systemd they are text by then, with nothing in it that it would expand again."""
    text = GOOD + (
        b"ContainerName=%p-%j\nEnvironment=A=%N,%i,%I,%p,%P,%j,%J,%f,%n\n"
        b"[Unit]\nDescription=%N %i %I %n %%i\n[Service]\nExecStartPre=/x %I 100%%\nMemoryMax=%jM\n"
    )
    (container,) = load("/d", tree({"/d/my-5@a\\x2db-c.container": text})).containers
    assert container.name == "my-5-5"
    assert dict(container.environment)["A"] == (
        "my-5@a\\x2db-c,a\\x2db-c,a-b/c,my-5,my/5,5,5,/a-b/c,ctr@my-5-5.service"
    )
    assert container.unit.unit == (Entry("Description", "my-5@a\\x2db-c a\\x2db-c a-b/c %n %%i"),)
    assert container.unit.service == (Entry("ExecStartPre", "/x a-b/c 100%%"),)
    assert [limit.value for limit in container.scope_properties] == [str(5 * 1024**2)]


def test_instances_name_each_other() -> None:
    """Once the specifier is replaced, an instance's neighbour is a definition like any other."""
    web = GOOD + b"Network=net@%i.network\nVolume=data@%i.volume:/d\n[Unit]\nAfter=db@%i.container db@%i.service\n"
    files = {"/d/web@1.container": web, "/d/db@1.container": GOOD}
    files |= {"/d/net@1.network": b"[Network]\nNetworkName=n-%p\n", "/d/data@1.volume": b"[Volume]\n"}
    loaded = load("/d", tree(files))
    assert messages(loaded) == []
    web1 = loaded.containers[1]
    assert web1.unit.unit == (Entry("After", "ctr@db_1.service"),)
    assert [one.network for one in web1.attachments] == ["n-net"]
    assert [mount.source for mount in web1.mounts] == ["data_1"]


def test_a_control_character_in_an_instance_is_refused() -> None:
    """It would end the line, and begin another one."""
    loaded = load("/d", tree({"/d/web@a\\x0ab.container": GOOD + b"ContainerName=x\n[Unit]\nDescription=%I\n"}))
    assert [problem.line for problem in loaded.problems] == [5]


def test_host_facts_reach_every_kind() -> None:
    """Also names; without them the letter is refused."""
    files = {"/d/a.container": GOOD + b"ContainerName=a-%l\nHostName=%H\n", "/d/b.volume": b"[Volume]\nVolumeName=%m\n"}
    loaded = load("/d", tree(files), Context(host={"l": "h", "H": "h.example", "m": "0123"}))
    assert messages(loaded) == []
    assert [(one.name, one.hostname) for one in loaded.containers] == [("a-h", "h.example")]
    assert [one.name for one in loaded.volumes] == ["0123"]
    assert len(load("/d", tree(files)).problems) == 3


@pytest.mark.parametrize("kind", ["network", "volume"])
def test_other_kinds_have_templates_too(kind: str) -> None:
    """podman makes units of them; its own default name for what they make is none, with '@' in it."""
    text = f"[{kind.title()}]\n".encode()
    loaded = load("/d", tree({f"/d/x@.{kind}": text, f"/d/x@1.{kind}": text}))
    assert (messages(loaded), loaded.warnings) == ([], ())
    assert [one.name for one in (*loaded.networks, *loaded.volumes)] == ["x_1"]


NAMES = st.text("abcXYZ019_.-", min_size=1, max_size=12)


@given(NAMES, NAMES, st.booleans())
def test_naming(prefix: str, instance: str, named: bool) -> None:
    """The container of an instance is PREFIX_INSTANCE, podman's systemd-%p_%i, or whatever ContainerName= makes of
    it."""
    text = GOOD + (b"ContainerName=c.%i.%p\n" if named else b"")
    if prefix.startswith("."):
        return  # a hidden file
    loaded = load("/d", tree({f"/d/{prefix}@{instance}.container": text}))
    valid = named or prefix[0].isalnum()
    assert names(loaded) == ([f"c.{instance}.{prefix}" if named else f"{prefix}_{instance}"] if valid else [])
    assert bool(loaded.problems) is not valid


def test_an_instance_whose_name_no_container_can_have() -> None:
    """systemd takes more characters than a container's name has: the way out is said."""
    files = {"/d/web@.container": GOOD, "/d/web@a:b.container": GOOD}
    (message,) = messages(load("/d", tree(files)))
    assert message.startswith("/d/web@a:b.container:1: the file's name 'web_a:b' is not valid")
    assert message.endswith("; or write ContainerName=")
    named = {"/d/web@.container": GOOD, "/d/web@a:b.container": GOOD + b"ContainerName=ab\n"}
    assert messages(load("/d", tree(named))) == []


def test_the_default_instance_of_a_volume() -> None:
    """It has an effect there too: the volume is made."""
    for kind in ("volume", "network"):
        text = f"[{kind.title()}]\n[Install]\nDefaultInstance=x\n".encode()
        loaded = load("/d", tree({f"/d/data@.{kind}": text}))
        assert [one.name for one in (*loaded.volumes, *loaded.networks)] == ["data_x"]
        assert loaded.warnings == ()
        loaded = load("/d", tree({f"/d/data.{kind}": text}))
        assert "is no template" in str(loaded.warnings[0])
