"""A user namespace means what podman-run(1) says it means for root."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.definitions import idmap_text
from supervisor.definitions.quadlet import compile_file
from supervisor.definitions.userns import Wish, compiled
from supervisor.errors import UserError
from supervisor.spec.userns import IdRange, UserNamespace, UserNamespaceMode

BASE = "[Container]\nImage=localhost/nginx\n"
MAPPED = UserNamespaceMode.MAPPED


def namespace(lines: str) -> UserNamespace | None:
    result = compile_file("/etc/ctr/web.container", BASE + lines)
    assert result.problems == () and result.defined is not None
    return result.defined.user_namespace


def problems(lines: str) -> list[str]:
    return [str(problem) for problem in compile_file("/etc/ctr/web.container", BASE + lines).problems]


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("", None),
        ("UserNS=host\n", None),
        ("UserNS=auto\nUserNS=\n", None),
        ("UserNS=auto\n", UserNamespace()),
        (
            "UserNS=auto:size=9,uidmapping=0:5:1,gidmapping=3:@6\n",
            UserNamespace(size=9, uids=(IdRange(0, 5, 1),), gids=(IdRange(3, 6, 1),)),
        ),
        ("UserNS=keep-id\n", UserNamespace(UserNamespaceMode.KEEP_ID)),
        ("UserNS=keep-id:uid=5,gid=6\n", UserNamespace(UserNamespaceMode.KEEP_ID, user="5:6")),
        ("UserNS=keep-id:gid=6\n", UserNamespace(UserNamespaceMode.KEEP_ID, user="0:6")),
        (
            "UIDMap=0:100:10 10:5\nGIDMap=0:7:2:2:90:3\n",
            UserNamespace(
                MAPPED, 0, (IdRange(0, 100, 10), IdRange(10, 5, 1)), (IdRange(0, 7, 2), IdRange(2, 90, 3))
            ),
        ),
        ("UIDMap=0:1:5\n", UserNamespace(MAPPED, 0, (IdRange(0, 1, 5),), (IdRange(0, 1, 5),))),
        ("UIDMap=0:1:5\nUIDMap=u5:9\nUIDMap=g5:8\n", UserNamespace(
            MAPPED, 0, (IdRange(0, 1, 5), IdRange(5, 9, 1)), (IdRange(0, 1, 5), IdRange(5, 8, 1)))),
        ("UIDMap=0:1:0\nUIDMap=0:2:1\n", UserNamespace(MAPPED, 0, (IdRange(0, 2, 1),), (IdRange(0, 2, 1),))),
        ("SubUIDMap=a\nSubGIDMap=b\n", UserNamespace(MAPPED, sub_uid="a", sub_gid="b")),
        ("SubGIDMap=b\n", UserNamespace(MAPPED, sub_uid="b", sub_gid="b")),
        (
            "RemapUsers=manual\nRemapUid=0:1:5\nRemapGid=0:2:5\n",
            UserNamespace(MAPPED, 0, (IdRange(0, 1, 5),), (IdRange(0, 2, 5),)),
        ),
        ("RemapUsers=auto\nRemapUid=0:5:1\nRemapUidSize=9\n", UserNamespace(size=9, uids=(IdRange(0, 5, 1),))),
        ("RemapUsers=keep-id\nRemapUid=5\n", UserNamespace(UserNamespaceMode.KEEP_ID, user="5:0")),
    ],
)  # fmt: skip
def test_what_is_asked_for(lines: str, expected: UserNamespace | None) -> None:
    """Every way to write it, podman 4's keys among them."""
    assert namespace(lines) == expected


def test_a_plus_replaces_part_of_what_came_before() -> None:
    """As podman has it for ``--uidmap 0:100000:1000 --uidmap +10:5:1``; numbers of the host are taken away, too."""
    assert idmap_text.ranges(("0:100000:1000", "+10:5:1"), "u") == (
        IdRange(0, 100000, 10),
        IdRange(10, 5, 1),
        IdRange(11, 100011, 989),
    )
    assert idmap_text.ranges(("0:100:10", "+20:103:2"), "u") == (
        IdRange(0, 100, 3),
        IdRange(5, 105, 5),
        IdRange(20, 103, 2),
    )


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("UserNS=nomap\n", "3: UserNS=: nomap leaves out the user who starts the container"),
        ("UserNS=ns:/proc/1/ns/user\n", "3: UserNS=: a namespace that others made"),
        ("UserNS=container:db\n", "3: UserNS=: containers that share users belong in one pod"),
        ("UserNS=other\n", "'other' is not a user namespace; write auto, keep-id or host"),
        ("UserNS=host:x\n", "'host:x' is not a user namespace"),
        ("UserNS=auto:sise=5\n", "auto has no option 'sise=5'"),
        ("UserNS=auto:size=x\n", "'x' is not a number"),
        ("UserNS=auto:size=4294967294\n", "is more than 2147483648"),
        ("UserNS=keep-id:size=5\n", "keep-id has no option 'size=5'"),
        ("UserNS=auto\nUIDMap=0:1:5\n", "3: UserNS=: 'auto' and mappings of its own exclude each other"),
        ("UserNS=auto\nRemapUsers=auto\n", "4: RemapUsers=: cannot stand beside UserNS="),
        ("RemapUid=5\n", "3: RemapUid=: means nothing without RemapUsers="),
        ("RemapUsers=x\n", "RemapUsers=x is not manual, auto or keep-id"),
        ("UIDMap=1:1:5\n", "3: UIDMap=: no user 0 in the container"),
        ("UIDMap=u0:1:5\n", "no group 0 in the container"),
        ("UIDMap=0:1:5:9\n", "'0:1:5:9' is not a mapping; write CONTAINER:HOST:LENGTH"),
        ("UIDMap=0:1:5 3:9:9\n", "number 3 in the container is mapped twice"),
        ("UIDMap=0:1:5 9:3:9\n", "number 3 of the host is mapped twice"),
        ("UIDMap=0:4294967290:9\n", "goes beyond 4294967294"),
        ("UIDMap=uu0:1:5\n", "has a flag twice"),
        ("SubUIDMap=a:b\n", "'a:b' is not a user's name"),
    ],
)
def test_a_mistake_is_named(lines: str, message: str) -> None:
    """With line, key and what to write instead; one mistake is said once."""
    (found,) = problems(lines)
    assert message in found


@given(st.lists(st.text("0123456789:+ug@-", max_size=20), max_size=4), st.sampled_from(["u", "g"]))
def test_any_text_gives_a_mapping_or_a_refusal(texts: list[str], kind: str) -> None:
    """What is accepted is in order, and maps no number twice."""
    try:
        found = idmap_text.ranges(texts, kind)
    except UserError:
        return
    inside = [number for one in found for number in (one.container, one.container + one.length)]
    outside = [n for one in sorted(found, key=lambda r: r.host) for n in (one.host, one.host + one.length)]
    assert inside == sorted(inside) and outside == sorted(outside)
    assert all(one.length > 0 for one in found)


@given(st.lists(st.tuples(*(st.integers(0, 30),) * 3), max_size=5))
def test_plus_is_as_if_each_number_were_assigned_in_turn(triples: list[tuple[int, int, int]]) -> None:
    """A model: a later one takes its numbers, of both sides, away from all before it."""
    model: dict[int, int] = {}
    for container, host, length in triples:
        for at in range(length):
            model = {inside: out for inside, out in model.items() if inside != container + at and out != host + at}
            model[container + at] = host + at
    found = idmap_text.ranges([f"+{c}:{h}:{n}" for c, h, n in triples], "u")
    assert {one.container + at: one.host + at for one in found for at in range(one.length)} == model


@given(st.text(max_size=30))
def test_any_mode_is_understood_or_refused(text: str) -> None:
    """No other error than ours."""
    try:
        compiled(Wish(text))
    except UserError as error:
        assert str(error)
