"""What the health options of ``ctrctl run`` mean, and which of them contradict each other."""

from __future__ import annotations

import pytest

from supervisor.cli import run_options
from supervisor.cli.parser import parser
from supervisor.errors import UserError
from supervisor.spec.container import Container
from supervisor.spec.health import HealthAction, HealthCheck, Notify, StartupProbe


def container(*argv: str) -> Container:
    options = parser("run", "summary", ())
    run_options.configure("run", options)
    args = options.parse_args((*argv, "image"))
    return run_options.request(args, "web", run_options.Caller("/")).container


def test_without_options_it_is_the_images() -> None:
    """No check of its own, and the image's is not switched off."""
    made = container()
    assert (made.health, made.no_health, made.notify) == (None, False, Notify.STARTED)


def test_a_command_alone_has_podmans_defaults() -> None:
    """A line is for /bin/sh, a JSON list is executed."""
    assert container("--health-cmd", "test -e /ok").health == HealthCheck(("/bin/sh", "-c", "test -e /ok"))
    assert container("--health-cmd", '["test", "-e", "/ok"]').health == HealthCheck(("test", "-e", "/ok"))


def test_every_option_reaches_the_spec() -> None:
    """Each ends in the field that means it."""
    words = """
        --health-cmd=true --health-interval=10s --health-timeout=5 --health-retries=2 --health-start-period=1m
        --health-start-interval=1 --health-on-failure=restart --health-max-log-count=7 --health-max-log-size=0
        --health-startup-cmd=up --health-startup-interval=2 --health-startup-timeout=3 --health-startup-retries=4
        --health-startup-success=5 --sdnotify=healthy
    """
    made = container(*words.split())
    assert made.health == HealthCheck(
        command=("/bin/sh", "-c", "true"),
        interval=10.0,
        timeout=5.0,
        retries=2,
        start_period=60.0,
        start_interval=1.0,
        action=HealthAction.RESTART,
        startup=StartupProbe(("/bin/sh", "-c", "up"), interval=2.0, timeout=3.0, retries=4, successes=5),
        log_count=7,
        log_size=0,
    )
    assert made.notify is Notify.HEALTHY


@pytest.mark.parametrize("words", [("--no-healthcheck",), ("--health-cmd", "none"), ("--health-cmd", '["NONE"]')])
def test_no_check_at_all(words: tuple[str, ...]) -> None:
    """Not even the image's."""
    made = container(*words)
    assert (made.health, made.no_health) == (None, True)


@pytest.mark.parametrize(
    ("word", "notify"),
    [
        ("conmon", Notify.STARTED),
        ("ignore", Notify.STARTED),
        ("container", Notify.CONTAINER),
        ("healthy", Notify.HEALTHY),
    ],
)
def test_who_says_that_it_has_started(word: str, notify: Notify) -> None:
    """podman's words."""
    assert container("--sdnotify", word).notify is notify


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--sdnotify maybe", "--sdnotify: 'maybe' is unknown; use conmon"),
        ("--no-healthcheck --sdnotify healthy", "--sdnotify: healthy needs a health check"),
        ("--no-healthcheck --health-cmd true", "--no-healthcheck: contradicts --health-cmd"),
        ("--no-healthcheck --health-retries 3", "--no-healthcheck: contradicts --health-retries"),
        ("--health-cmd none --health-startup-cmd x", "--health-cmd none: contradicts --health-startup-cmd"),
        ("--health-cmd true --health-startup-retries 1", "--health-startup-retries: needs .*--health-startup-cmd"),
        ("--health-cmd true --health-interval often", "--health-interval: 'often'"),
        ("--health-cmd true --health-retries 0", "--health-retries: '0'"),
        ("--health-cmd true --health-on-failure explode", "--health-on-failure: 'explode'"),
    ],
)
def test_mistakes_name_the_option(words: str, message: str) -> None:
    """Every message begins with what to correct."""
    with pytest.raises(UserError, match=f"^{message}"):
        container(*words.split())
