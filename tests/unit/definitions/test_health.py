"""The values of the Health*= keys mean what podman-run(1) says."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.definitions import health
from supervisor.errors import UserError
from supervisor.spec.health import HealthAction, Notify


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("curl -f localhost || exit 1", ("/bin/sh", "-c", "curl -f localhost || exit 1")),
        ("/bin/check", ("/bin/sh", "-c", "/bin/check")),
        ('["pg_isready", "-U", "a b"]', ("pg_isready", "-U", "a b")),
        ('["/bin/check"]', ("/bin/check",)),
        ('["CMD", "a"]', ("a",)),
        ('["CMD-SHELL", "a && b"]', ("/bin/sh", "-c", "a && b")),
        ("CMD a b", ("a", "b")),
        ("CMD-SHELL a && b", ("/bin/sh", "-c", "a && b")),
        ("[ -e /ready ]", ("/bin/sh", "-c", "[ -e /ready ]")),
        ("[[ -e /ready ]]", ("/bin/sh", "-c", "[[ -e /ready ]]")),
        ("none", None),
        ("NONE", None),
        ('["NONE"]', None),
    ],
)
def test_command(text: str, expected: tuple[str, ...] | None) -> None:
    """A list is executed, a line is the shell's, ``none`` is no check."""
    assert health.command(text) == expected


@pytest.mark.parametrize(
    "text", ["", " ", "[", '["a"', "[1]", '["a", 1]', "[]", '[""]', '["CMD"]', "CMD", '["a\\u0000"]', "[" * 9999]
)
def test_refused_command(text: str) -> None:
    """What is no command at all."""
    with pytest.raises(UserError):
        health.command(text)


def test_numbers_and_words() -> None:
    """Their limits are podman's."""
    assert [health.interval(text) for text in ("disable", "30", "1m33s", "1.5h")] == [0, 30, 93, 5400]
    assert [health.timeout(text) for text in ("0", "1s", "2min")] == [0, 1, 120]
    assert [health.successes(text) for text in ("0", "3")] == [1, 3]
    assert (health.startup_retries("0"), health.retries("1"), health.log_count("0"), health.log_size("9")) == (
        0,
        1,
        0,
        9,
    )
    assert health.action("restart") is HealthAction.RESTART
    assert [health.notify(text) for text in ("true", "no", "healthy", "Healthy")] == [
        Notify.CONTAINER,
        Notify.STARTED,
        Notify.HEALTHY,
        Notify.HEALTHY,
    ]


@pytest.mark.parametrize(
    ("read", "text"),
    [
        (health.interval, "never"),
        (health.interval, "-1s"),
        (health.timeout, "500ms"),
        (health.retries, "0"),
        (health.retries, "x"),
        (health.startup_retries, "-1"),
        (health.action, "reboot"),
        (health.notify, "Healthy?"),
    ],
)
def test_refused_values(read: object, text: str) -> None:
    """Each names what it wants instead."""
    assert callable(read)
    with pytest.raises(UserError):
        read(text)


@given(st.text(alphabet='[]", aCMD-SHELnoe\\', max_size=24) | st.text(max_size=12))
def test_any_command_is_words_or_refused(text: str) -> None:
    """Never an exception, never an empty program."""
    try:
        found = health.command(text)
    except UserError:
        return
    assert found is None or (found[0] and all("\0" not in word for word in found))
