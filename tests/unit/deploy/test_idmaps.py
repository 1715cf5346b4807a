"""Who gets which of the host's users: nobody's twice, and the same again."""

from __future__ import annotations

import dataclasses
import pwd
from itertools import combinations
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.deploy import idmaps, state
from supervisor.deploy.idmaps import AREA, IDENTITY, Allotment, Given, HostNumbers
from supervisor.errors import UserError
from supervisor.paths import Layout
from supervisor.render.users import Accounts, User
from supervisor.spec.userns import IdMaps, IdRange, UserNamespace, UserNamespaceMode
from tests.unit.deploy.host import Place

AUTO = UserNamespace()
KEEP = UserNamespace(UserNamespaceMode.KEEP_ID)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def allotment(host: HostNumbers | None = None, **before: Given) -> Allotment:
    return Allotment(before, host or HostNumbers())


def at(start: int, size: int = 65536) -> IdMaps:
    return IdMaps((IdRange(0, start, size),), (IdRange(0, start, size),))


def test_the_area_is_free_of_everybody_else() -> None:
    """It lies in systemd's range for containers, above all that useradd(8) gives to users."""
    assert max(524288, 600100000) < AREA[0] < AREA[1] <= 1879048192
    assert AREA[0] % 65536 == AREA[1] % 65536 == 0


def test_what_one_has_it_keeps() -> None:
    """With the same wish, whatever came before it in the area has gone; another wish, or a larger image, is anew."""
    before = Given(AUTO, at(AREA[0] + 5 * 65536))
    assert allotment(web=before).maps("web", AUTO, 65536) == before.maps
    assert allotment(web=before).maps("web", AUTO, 65537) == at(AREA[0], 65537)
    assert allotment(web=before).maps("web", UserNamespace(size=10), 65536) == at(AREA[0], 10)
    assert allotment(web=before).maps("web", None, 65536) is None
    assert allotment(web=before).maps("web", KEEP, 65536) == IDENTITY


def test_what_one_gives_up_nobody_has_at_once() -> None:
    """It may run with them until it is restarted; the next apply hands them out."""
    made = allotment(web=Given(AUTO, at(AREA[0])))
    assert made.maps("web", UserNamespace(size=9), 0) == at(AREA[0] + 65536, 9)
    assert made.maps("db", AUTO, 65536) == at(AREA[0] + 2 * 65536)
    assert allotment().maps("db", AUTO, 65536) == at(AREA[0])


def test_numbers_of_others_are_left_alone() -> None:
    """Users and groups of the host, subordinate ranges, machines of systemd-nspawn, other containers' own mappings."""
    first, *rest = [AREA[0] + n * 65536 for n in range(6)]
    host = HostNumbers(
        passwd=f"dynamic:x:{first + 7}:0::/:\n",
        group=f"one:x:{rest[0] + 65535}:\n",
        subuid=f"# comment\ncontainers:{rest[1]}:1\n1000:{rest[1] + 5}:x\n",
        machines=(rest[2],),
    )
    asked = UserNamespace(UserNamespaceMode.MAPPED, uids=(IdRange(0, rest[3], 1),), gids=(IdRange(0, 9, 1),))
    made = allotment(host, db=Given(asked, IdMaps(asked.uids, asked.gids)), all=Given(KEEP, IDENTITY))
    found = made.maps("web", AUTO, 65536)
    assert found == at(rest[4])


def test_the_range_named_ctr_is_used_when_there_is_one_in_both_files() -> None:
    """An administrator's choice, to the last number; podman's own range is not ours to give."""
    line = "ctr:200000:100\n"
    host = HostNumbers(subuid=line, subgid=line + "containers:1:9\n")
    made = allotment(host)
    assert made.maps("a", UserNamespace(size=60), 0) == at(200000, 60)
    assert made.maps("b", UserNamespace(size=40), 0) == at(200060, 40)
    other = allotment(HostNumbers(subuid=line, subgid="ctr:300000:100\n")).maps("a", UserNamespace(size=60), 0)
    assert other == IdMaps((IdRange(0, 200000, 60),), (IdRange(0, 300000, 60),))
    with pytest.raises(UserError, match=r"no 1 consecutive users are left in the ranges of ctr.*ask for fewer"):
        made.maps("c", UserNamespace(size=1), 0)
    assert allotment(HostNumbers(subuid=line)).maps("a", AUTO, 65536) == at(AREA[0])
    assert allotment(HostNumbers(subuid="containers:1:99\n", subgid="containers:1:99\n")).maps("a", AUTO, 9) == at(
        AREA[0], 9
    )


def test_numbers_that_run_are_left_alone(tmp_path: Path) -> None:
    """Whoever has them by the records: an apply that was killed before its restarts left somebody with the old ones."""
    for name, lines in (
        ("old", "user-map=0\t1000\t1\nuser-map=1\t{0}\t5\ngroup-map=0\t{1}\t65536\n"),
        ("keep", "user-map=0\t0\t4294967295\ngroup-map=0\t0\t4294967295\nuser-map=odd\n"),
    ):
        path = tmp_path / "run/ctr/networks" / name / "document"
        path.parent.mkdir(parents=True)
        path.write_text(f"ctr-network=7\nname={name}\n" + lines.format(AREA[0], AREA[0] + 65536))
    (tmp_path / "run/ctr/networks/torn").mkdir()
    host = idmaps.host_numbers(Layout(str(tmp_path)))
    assert allotment(host).maps("web", AUTO, 65536) == at(AREA[0] + 2 * 65536)
    before = Given(AUTO, at(AREA[0]))
    assert allotment(host, old=before).maps("old", AUTO, 65536) == before.maps


def test_numbers_that_somebody_is_to_have_by_number_are_left_alone() -> None:
    """Also one that is deployed only after whoever asks for any."""
    asked = (IdRange(0, AREA[0], 1), IdRange(1, AREA[0] + 65536, 1))
    wishes = {
        "a": AUTO,
        "b": UserNamespace(UserNamespaceMode.MAPPED, uids=asked[:1], gids=(IdRange(0, AREA[0] + 2 * 65536, 1),)),
        "c": UserNamespace(uids=asked[1:]),
    }
    made = Allotment({}, HostNumbers(), wishes)
    assert made.maps("a", AUTO, 65536) == at(AREA[0] + 3 * 65536)
    assert made.maps("b", wishes["b"], 0) == IdMaps(wishes["b"].uids, wishes["b"].gids)
    assert made.maps("c", wishes["c"], 65536) is not None


@pytest.mark.parametrize(
    "wish",
    [
        UserNamespace(UserNamespaceMode.MAPPED, uids=(IdRange(0, AREA[0] + 65535, 1),), gids=(IdRange(0, 9, 1),)),
        UserNamespace(UserNamespaceMode.MAPPED, uids=(IdRange(0, 9, 1),), gids=(IdRange(0, AREA[0] - 1, 2),)),
        UserNamespace(UserNamespaceMode.MAPPED, sub_uid="me", sub_gid="me"),
        UserNamespace(gids=(IdRange(7, AREA[0] + 7, 1),)),
    ],
)
def test_numbers_that_were_given_to_one_cannot_be_asked_for(wish: UserNamespace) -> None:
    """They are that one's alone, until it gives them up, be it in the same apply."""
    host = HostNumbers(subuid=f"me:{AREA[0]}:5\n", subgid="me:1:5\n")
    before = {"web": Given(AUTO, at(AREA[0]))}
    for wishes in ({}, {"web": AUTO}):
        with pytest.raises(UserError, match=r"user namespace: (user|group)s \d+ to \d+ .* 'web' .*UserNS=auto"):
            Allotment(before, host, wishes).maps("db", wish, 65536)
    assert Allotment(before, host, {"web": None, "db": wish}).maps("db", wish, 65536)
    everything = UserNamespace(UserNamespaceMode.MAPPED, uids=IDENTITY.uids, gids=IDENTITY.gids)
    assert Allotment(before, host).maps("db", everything, 0) == IDENTITY


def test_the_range_named_ctr_is_nobodys_by_name() -> None:
    """As long as those who ask for any get their numbers from it."""
    line = "ctr:200000:100\n"
    wish = UserNamespace(UserNamespaceMode.MAPPED, sub_uid="ctr", sub_gid="me")
    with pytest.raises(UserError, match=r"the ranges of ctr .* are what UserNS=auto takes from; name another"):
        allotment(HostNumbers(subuid=line, subgid=line + "me:1:5\n")).maps("a", wish, 0)
    assert allotment(HostNumbers(subuid=line, subgid="me:1:5\n")).maps("a", wish, 0)


def test_whom_only_the_hosts_name_services_know() -> None:
    """Somebody of a directory, say, who is in no file: asked is for the first number."""
    known = {AREA[0], AREA[0] + 65536, AREA[0] + 2 * 65536 + 1}
    made = Allotment({}, HostNumbers(), is_somebodys=known.__contains__)
    assert made.maps("web", AUTO, 65536) == at(AREA[0] + 2 * 65536)


def test_the_hosts_name_services_are_asked() -> None:
    """Root is somebody, as a user and as a group; the last number is nobody."""
    assert idmaps.is_somebodys(0)
    assert not idmaps.is_somebodys(2**32 - 2)


def test_numbers_of_one_apply(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """All that is looked at: who asks by number, what runs, whom the host knows."""
    asked = (IdRange(0, AREA[0], 1),)
    running = place.root / "run/ctr/networks/old/document"
    running.parent.mkdir(parents=True)
    running.write_text(f"user-map=0\t{AREA[0] + 65536}\t65536\n")
    real = pwd.getpwuid
    monkeypatch.setattr(pwd, "getpwuid", lambda number: real(0 if number == AREA[0] + 2 * 65536 else number))
    wishes = {"a": AUTO, "b": UserNamespace(UserNamespaceMode.MAPPED, uids=asked, gids=asked)}
    containers = [place.container(name, user_namespace=wish) for name, wish in wishes.items()]
    place.deployment().apply(containers, prune=lambda _: False)
    maps = {name: state.read(place.layout, name).record.id_maps for name in wishes}
    assert maps == {"a": at(AREA[0] + 3 * 65536), "b": IdMaps(asked, asked)}


def test_a_larger_image_needs_every_number() -> None:
    """A number far above, which is mapped by itself, is no proof of those below it."""
    wish = UserNamespace(uids=(IdRange(70000, 7, 1),), gids=(IdRange(70000, 7, 1),))
    maps = allotment().maps("web", wish, 65536)
    assert allotment(web=Given(wish, maps)).maps("web", wish, 65536) == maps
    found = allotment(web=Given(wish, maps)).maps("web", wish, 65537)
    assert found and found.uids[0] == IdRange(0, AREA[0] + 65536, 65537)


def test_digits_of_others_are_no_numbers() -> None:
    """int(3) does not take all that str.isdigit() does, nor do files of the host have to be in order."""
    host = HostNumbers(passwd="a:x:²:\n", group="a:x:²:\n", subuid="a:²:1\nb:1:²\n", subgid="a:²:²\n")
    assert allotment(host).maps("web", AUTO, 65536) == at(AREA[0])


def test_numbers_that_are_mapped_elsewhere() -> None:
    """auto:uidmapping=: those of the container go where they were asked to, the others stay in place."""
    wish = UserNamespace(size=10, uids=(IdRange(3, 77, 2), IdRange(20, 90, 1)))
    found = allotment().maps("a", wish, 0)
    assert found is not None
    assert found.uids == (
        IdRange(0, AREA[0], 3), IdRange(3, 77, 2), IdRange(5, AREA[0] + 5, 5), IdRange(20, 90, 1),
    )  # fmt: skip
    assert found.gids == (IdRange(0, AREA[0], 10),)


def test_ranges_by_name() -> None:
    """All ranges of the name in its file, one after the other; a name without any is refused."""
    host = HostNumbers(subuid="me:100:5\nyou:1:1\nme:300:2\n", subgid="me:7:9\n")
    wish = UserNamespace(UserNamespaceMode.MAPPED, sub_uid="me", sub_gid="me")
    assert allotment(host).maps("a", wish, 0) == IdMaps((IdRange(0, 100, 5), IdRange(5, 300, 2)), (IdRange(0, 7, 9),))
    with pytest.raises(UserError, match="/etc/subgid has no range of 'you'; add one"):
        allotment(host).maps("a", dataclasses.replace(wish, sub_gid="you"), 0)


def test_how_many_an_image_needs() -> None:
    """65536, or as many as its highest user or group; nobody's number does not count, whatever it is."""
    user = User(0, 0, "/", ())
    nobody = Accounts("root:x:0:0::/:\nnobody:x:99999999:1::/:\nodd\n", "nogroup:x:99999999:\n")
    assert idmaps.least_size(user, nobody) == 65536
    assert idmaps.least_size(user, Accounts("app:x:1000:1::/:\n", "app:x:70000:\n")) == 70001
    assert idmaps.least_size(User(5, 6, "/", (80000,)), Accounts()) == 80001


def test_what_the_host_says(tmp_path: Path) -> None:
    """Its files, where they are; a host without any has given nothing away."""
    assert idmaps.host_numbers(Layout(str(tmp_path))) == HostNumbers()
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/subuid").write_text("a:1:2\n")
    (tmp_path / "run/systemd/nspawn-uid/655360").parent.mkdir(parents=True)
    (tmp_path / "run/systemd/nspawn-uid/655360").touch()
    assert idmaps.host_numbers(Layout(str(tmp_path))) == HostNumbers(subuid="a:1:2\n", machines=(655360,))


STEPS = st.lists(
    st.tuples(st.sampled_from("abcdef"), st.one_of(st.none(), st.integers(1, 200000)), st.booleans()), max_size=25
)
TAKEN = st.lists(st.tuples(st.integers(0, 2**21), st.integers(0, 2**18)), max_size=6)


@given(STEPS, TAKEN)
def test_whatever_the_history_ranges_never_overlap(
    steps: list[tuple[str, int | None, bool]], taken: list[tuple[int, int]]
) -> None:
    """Containers come, change, are deployed again and go, in any order, also over several applies."""
    subuid = "".join(f"user:{AREA[0] + first}:{length}\n" for first, length in taken)
    host = HostNumbers(subuid=subuid, subgid=subuid)
    state: dict[str, Given] = {}
    made = Allotment(state, host)
    for name, size, is_new_apply in steps:
        if is_new_apply:
            made = Allotment(state, host)
        wish = UserNamespace(size=size) if size else None
        before = state.pop(name, None)
        found = made.maps(name, wish, 65536)
        if found:
            state[name] = Given(wish, found)
            assert before is None or before.wish != wish or before.maps == found
        spans = [(one.host, one.host + one.length) for given in state.values() if given.maps for one in given.maps.uids]
        spans += [(AREA[0] + first, AREA[0] + first + length) for first, length in taken if length]
        own = spans[: len(state)]
        for one, other in combinations(range(len(spans)), 2):
            if one < len(own):
                assert spans[one][1] <= spans[other][0] or spans[other][1] <= spans[one][0]
