"""Who a container runs as."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.errors import UserError
from supervisor.render.users import Accounts, User, resolve

ACCOUNTS = Accounts(
    "# comment:x:9:9::/:/\nroot:x:0:0:root:/root:/bin/sh\nbroken\n"
    "web:x:33:34:web:/var/www:/bin/sh\n1000:x:7:7::/seven:/bin/sh\n",
    "root:x:0:\nweb:x:34:\nextra:x:50:web,other\nbad:x:notanumber:web\n",
)


@pytest.mark.parametrize(
    ("spec", "user"),
    [
        ("", User(0, 0, "/root", ())),
        ("root", User(0, 0, "/root", (0,))),
        ("web", User(33, 34, "/var/www", (34, 50))),
        ("33", User(33, 34, "/var/www", (34, 50))),
        ("web:root", User(33, 0, "/var/www", (0,))),
        ("33:77", User(33, 77, "/var/www", (77,))),
        ("4242", User(4242, 0, "/", (0,))),
        ("4242:extra", User(4242, 50, "/", (50,))),
        ("web:", User(33, 34, "/var/www", (34, 50))),
        (":extra", User(0, 50, "/root", (50,))),
        ("1000", User(7, 7, "/seven", (7,))),
    ],
)
def test_names_and_numbers_resolve_as_docker_does(spec: str, user: User) -> None:
    """A name or number takes the first line that matches; groups are looked up only when none was given."""
    assert resolve(spec, (), ACCOUNTS, "image x") == user


def test_extra_groups_are_names_or_numbers() -> None:
    """GroupAdd= adds to what the account files say."""
    assert resolve("web", ("77", "root"), ACCOUNTS, "image x").groups == (0, 34, 50, 77)


@pytest.mark.parametrize("spec", ["nobody", "web:nogroup", "-1", "99999999999", "\u0661", "web:-1"])
def test_an_unknown_one_is_named_with_the_image(spec: str) -> None:
    """A name without a line is an error that says which and where it was looked for."""
    with pytest.raises(UserError, match=r"'.+': not in /etc/(passwd|group) of image x"):
        resolve(spec, (), ACCOUNTS, "image x")


def test_without_account_files_numbers_work() -> None:
    """An image from scratch has no /etc/passwd; root's home is /root all the same."""
    assert resolve("", (), Accounts(), "x") == User(0, 0, "/root", ())
    assert resolve("10:20", (), Accounts(), "x") == User(10, 20, "/", (20,))


@given(st.integers(0, 2**31 - 1), st.integers(0, 2**31 - 1), st.text())
def test_numeric_ids_pass_through_any_files(uid: int, gid: int, junk: str) -> None:
    """UID:GID means exactly that unless a line has that very number or name, whatever else the files hold."""
    files = Accounts(junk, junk)
    if str(uid) in junk or str(gid) in junk:
        return
    user = resolve(f"{uid}:{gid}", (), files, "x")
    assert (user.uid, user.gid) == (uid, gid)


@given(st.text(), st.text(), st.text())
def test_hostile_files_only_ever_give_user_errors(spec: str, passwd: str, group: str) -> None:
    """The files come from the image: nothing in them raises anything but UserError, or gives an id out of range."""
    try:
        user = resolve(spec, (), Accounts(passwd, group), "x")
    except UserError:
        return
    assert all(0 <= n < 2**31 for n in (user.uid, user.gid, *user.groups))
