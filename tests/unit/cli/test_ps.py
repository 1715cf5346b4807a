"""The rows of ``ctrctl ps``: words, filters and JSON."""

from __future__ import annotations

import pytest

from supervisor.cli.containers import Details, Exit, Listing, health
from supervisor.cli.ports import Published
from supervisor.cli.ps import document, duration, matches, parse_filters, rfc3339, row, status
from supervisor.errors import UserError
from supervisor.lifecycle.phase import Phase
from supervisor.systemd.manager import UnitStatus

NOW = 1_700_000_000.0


def _listing(
    phase: Phase, *, exit: Exit | None = None, started: float | None = None, details: Details | None = None
) -> Listing:
    return Listing("web", phase, started, exit, details or Details(readable=True, image="nginx", command=("nginx",)))


def _exit(code: str, number: int, result: str = "exit-code", ago: float = 120) -> Exit:
    return Exit("", result, code, number, NOW - ago)


def _oom(ago: float) -> Exit:
    return Exit("", "signal", "killed", 9, NOW - ago, 1)


@pytest.mark.parametrize(
    ("listing", "words"),
    [
        (_listing(Phase.RUNNING, started=NOW - 300), "Up 5 minutes"),
        (_listing(Phase.RUNNING), "Up"),
        (_listing(Phase.PAUSED, started=NOW - 5), "Up 5 seconds (Paused)"),
        (_listing(Phase.EXITED, exit=_exit("exited", 3)), "Exited (3) 2 minutes ago"),
        (_listing(Phase.EXITED, exit=_exit("killed", 9)), "Exited (137) 2 minutes ago"),
        (_listing(Phase.EXITED, exit=Exit("", "success", "exited", 0, 0.0)), "Exited (0)"),
        (_listing(Phase.RESTARTING, exit=_exit("exited", 1, ago=3)), "Restarting (1) 3 seconds ago"),
        (_listing(Phase.FAILED, exit=_exit("", 0, "resources")), "Failed (could not start) 2 minutes ago"),
        (_listing(Phase.FAILED), "Failed"),
        (_listing(Phase.EXITED, exit=_oom(120)), "Exited (137) 2 minutes ago (oom)"),
        (_listing(Phase.RESTARTING, exit=_oom(3)), "Restarting (137) 3 seconds ago (oom)"),
        (Listing("web", Phase.RUNNING, NOW - 300, None, Details(), oom=2), "Up 5 minutes (oom 2)"),
        (Listing("web", Phase.RUNNING, NOW - 300, None, Details(), "healthy", 1), "Up 5 minutes (healthy, oom 1)"),
        (_listing(Phase.CREATED), "Created"),
        (_listing(Phase.STARTING), "Starting"),
        (_listing(Phase.STOPPING), "Stopping"),
    ],
)
def test_status_words(listing: Listing, words: str) -> None:
    """docker's words where it has one."""
    assert status(listing, NOW) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-3, "less than a second"),
        (0.9, "less than a second"),
        (1, "1 second"),
        (59.9, "59 seconds"),
        (60, "about a minute"),
        (119, "about a minute"),
        (120, "2 minutes"),
        (3599, "59 minutes"),
        (3600, "about an hour"),
        (7200, "2 hours"),
        (47 * 3600, "47 hours"),
        (48 * 3600, "2 days"),
        (13 * 86400, "13 days"),
        (14 * 86400, "2 weeks"),
        (60 * 86400, "2 months"),
        (729 * 86400, "24 months"),
        (730 * 86400, "2 years"),
    ],
)
def test_durations_as_docker_rounds_them(seconds: float, words: str) -> None:
    """go-units' HumanDuration, in lower case."""
    assert duration(seconds) == words


def test_a_long_command_is_cut_unless_asked() -> None:
    """30 characters, an ellipsis among them; --no-trunc shows all."""
    item = _listing(Phase.CREATED, details=Details(readable=True, command=("x" * 40,)))
    assert row(item, NOW)[2] == "x" * 29 + "…"
    assert row(item, NOW, full=True)[2] == "x" * 40


def test_what_cannot_be_read_is_a_dash() -> None:
    """An unprivileged caller sees which containers run, and a dash for the rest."""
    item = _listing(Phase.CREATED, details=Details())
    assert row(item, NOW)[1:3] == ("-", "-")
    assert document(item, NOW)["image"] is None


def test_failure_is_red() -> None:
    """A status that wants attention is coloured, a clean exit is not."""
    assert row(_listing(Phase.EXITED, exit=_exit("exited", 1)), NOW)[3][0] == "red"
    assert row(_listing(Phase.EXITED, exit=_exit("exited", 0)), NOW)[3][0] == ""


@pytest.mark.parametrize(
    ("gate", "timer", "expected"),
    [
        (None, None, ""),
        (("inactive", 0), ("inactive", 0), ""),
        (("inactive", 7), ("inactive", 8), "starting"),
        (("activating", 0), ("inactive", 8), "starting"),
        (("active", 0), ("active", 0), "healthy"),
        (("active", 0), None, "healthy"),
        (("failed", 0), ("active", 0), "unhealthy"),
        (("inactive", 0), ("active", 0), "unhealthy"),
        (None, ("active", 0), "unhealthy"),
    ],
)
def test_health_is_what_the_units_say(
    gate: tuple[str, int] | None, timer: tuple[str, int] | None, expected: str
) -> None:
    """The gate: active while healthy. The timer: there while anything is probed."""
    units = [UnitStatus("u", "", "loaded", unit[0], "", unit[1]) if unit else None for unit in (gate, timer)]
    assert health(*units) == expected


@pytest.mark.parametrize(
    ("word", "remark"), [("", ""), ("starting", " (health: starting)"), ("healthy", " (healthy)")]
)
def test_health_stands_in_the_status(word: str, remark: str) -> None:
    """docker's words; nothing for a container without a health check."""
    item = _listing(Phase.RUNNING, started=NOW - 7200)
    item.health = word
    assert status(item, NOW) == f"Up 2 hours{remark}"
    assert document(item, NOW)["health"] == (word or None)
    assert matches(item, parse_filters([f"health={word or 'none'}"]))
    assert not matches(item, parse_filters(["health=unhealthy"]))
    with pytest.raises(UserError, match="health is one of"):
        parse_filters(["health=fine"])


def test_ports_of_what_is_up() -> None:
    """Where they lead while it runs; a port of a stopped container leads nowhere, and is not shown."""
    details = Details(readable=True, ports=(Published(80, 8080),))
    running, exited = (_listing(phase, details=details) for phase in (Phase.RUNNING, Phase.EXITED))
    assert row(running, NOW)[4] == "0.0.0.0:8080->80/tcp"
    assert row(exited, NOW)[4] == ""
    assert [port["host_port"] for port in document(running, NOW)["ports"]] == [8080]  # type: ignore[attr-defined]
    assert document(exited, NOW)["ports"] == []


def test_json_has_numbers_and_times() -> None:
    """Programs get the parts, not only the words."""
    found = document(_listing(Phase.EXITED, exit=_exit("exited", 3)), NOW)
    assert found["state"] == "exited"
    assert found["exit_code"] == 3
    assert found["finished_at"] == "2023-11-14T22:11:20.000000Z"
    assert found["started_at"] is None


@pytest.mark.parametrize(
    ("filters", "fits"),
    [
        ([], True),
        (["name=we"], True),
        (["name=db"], False),
        (["name=db", "name=web"], True),
        (["status=running"], True),
        (["status=exited"], False),
        (["label=tier"], True),
        (["label=tier=front"], True),
        (["label=tier=back"], False),
        (["label=tier", "label=other"], False),
        (["name=web", "status=exited"], False),
    ],
)
def test_filters(filters: list[str], fits: bool) -> None:
    """Values of a key are alternatives, keys and labels all have to fit."""
    item = _listing(Phase.RUNNING, details=Details(labels=(("tier", "front"),)))
    assert matches(item, parse_filters(filters)) is fits


@pytest.mark.parametrize("text", ["name", "colour=red", "status=sleeping", ""])
def test_filters_that_make_no_sense(text: str) -> None:
    """A filter that could never match is an error, not an empty list."""
    with pytest.raises(UserError, match=r"^filter "):
        parse_filters([text])


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, None), (0.0, None), (1.5, "1970-01-01T00:00:01.500000Z"), (1.99999999, "1970-01-01T00:00:01.999999Z")],
)
def test_rfc3339(seconds: float | None, text: str | None) -> None:
    """UTC, microseconds, null where there is no time."""
    assert rfc3339(seconds) == text


def test_restarts_have_a_column_when_it_is_asked_for() -> None:
    """And are always in JSON; null where systemd was not asked."""
    item = _listing(Phase.RUNNING)
    assert len(row(item, NOW)) == 5
    assert document(item, NOW)["restarts"] is None
    item.restarts = 3
    assert row(item, NOW, wide=True) == (*row(item, NOW), "3")
    assert document(item, NOW)["restarts"] == 3


def test_the_pod_it_is_in() -> None:
    """A column when asked for, and in JSON; a dash where it cannot be known, nothing where there is none."""
    inside = _listing(Phase.CREATED, details=Details(readable=True, pod="shop"))
    alone, secret = (_listing(Phase.CREATED, details=Details(readable=readable)) for readable in (True, False))
    assert [row(item, NOW, pod=True)[5] for item in (inside, alone, secret)] == ["shop", "", "-"]
    assert len(row(inside, NOW)) == 5
    inside.restarts = 3
    assert row(inside, NOW, pod=True, wide=True)[5:] == ("shop", "3")
    assert [document(item, NOW)["pod"] for item in (inside, alone)] == ["shop", None]


@pytest.mark.parametrize(
    ("words", "expected"),
    [(["shop"], True), (["sho"], False), (["other", "shop"], True), (["other"], False), ([""], False)],
)
def test_what_is_in_a_pod(words: list[str], expected: bool) -> None:
    """By its whole name, as podman's filter; of two, in either."""
    wanted = parse_filters([f"pod={word}" for word in words])
    assert matches(_listing(Phase.CREATED, details=Details(readable=True, pod="shop")), wanted) is expected
    assert not matches(_listing(Phase.CREATED), wanted)
