"""What deploy writes for health and readiness."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import pytest

from supervisor.errors import UserError
from supervisor.health import plan
from supervisor.inventory import cards
from supervisor.paths import Layout
from supervisor.render import dropins, health, oci, readiness
from supervisor.render.users import Accounts
from supervisor.spec.container import Container, Entry, UnitSections
from supervisor.spec.health import HealthAction, HealthChanges, HealthCheck, Notify, StartupProbe
from supervisor.spec.image import Image
from tests.unit.render.sample import FACTS, IMAGE, container

CHECK = HealthCheck(("/bin/sh", "-c", "test -e /ready"), interval=0.25, action=HealthAction.KILL)
FROM_IMAGE = dataclasses.replace(IMAGE, config=dataclasses.replace(IMAGE.config, health=HealthCheck(("/probe",))))


def files(made: Container, image: Image = IMAGE) -> dict[str, str]:
    """The files of the version directory by name."""
    text = oci.text(made, image, Accounts(image.passwd, image.group), FACTS, Layout())
    return {file.path: file.text for file in health.files(made, image, FACTS, text)}


def test_without_a_check_there_is_nothing() -> None:
    """No file, no unit, no line: such a container does not know of health."""
    assert files(container()) == {}
    assert health.units(container(), IMAGE, Layout()) == ()
    assert health.service_lines(container()) == health.companions(container(), IMAGE) == []


def test_the_images_check_applies_unless_refused() -> None:
    """The container's own goes first; HealthCmd=none leaves neither."""
    assert health.check(container(), FROM_IMAGE) == HealthCheck(("/probe",))
    assert health.check(container(health=CHECK), FROM_IMAGE) == CHECK
    assert health.check(container(no_health=True), FROM_IMAGE) is None


def test_the_command_runs_as_the_containers_own() -> None:
    """The process object of config.json with another command: same user, environment, capabilities, limits."""
    made = container(health=CHECK, user="web", environment=(("A", "b"),), terminal=True)
    own = oci.config(made, IMAGE, Accounts(IMAGE.passwd, IMAGE.group), FACTS, Layout())["process"]
    probe = json.loads(files(made)[plan.PROCESS])
    assert probe == own | {"args": list(CHECK.command), "terminal": False}


def test_the_plan_says_what_the_definition_says() -> None:
    """As the probe reads it; the startup probe has its own command."""
    startup = StartupProbe(("/up",), interval=3, timeout=math.inf, retries=4, successes=2)
    written = files(container(health=dataclasses.replace(CHECK, startup=startup)))
    read = plan.loads(written[plan.FILE])
    assert (read.interval, read.action, read.retries, read.runtime) == (0.25, "kill", 3, "crun")
    assert read.startup is not None
    assert (read.startup.interval, read.startup.timeout, read.startup.retries, read.startup.successes) == (3, 0, 4, 2)
    assert json.loads(written[plan.STARTUP_PROCESS])["args"] == ["/up"]


def test_the_timer_has_the_interval() -> None:
    """In seconds for the supervisor, and a minute more for systemd, which probes what the supervisor does not."""
    (file,) = health.units(container(health=CHECK), IMAGE, Layout())
    assert file.path == "/etc/systemd/system/ctr-health@web.timer.d/50-ctr.conf"
    assert file.text.splitlines()[1:] == [
        "[Timer]",
        "OnActiveSec=60250000us",
        "OnUnitInactiveSec=60250000us",
        "[X-Probe]",
        "IntervalSec=0.25",
    ]


def test_the_supervisor_reads_the_interval(tmp_path: Path) -> None:
    """What one side writes is what the other reads, to the microsecond."""
    layout = Layout(str(tmp_path))
    for interval in (0.001, 1 / 3, 30.0, 86400.0):
        (file,) = health.units(container(health=dataclasses.replace(CHECK, interval=interval)), IMAGE, layout)
        for path, text in ((file.path, file.text), (f"{layout.units}/ctr@web.service.d/50-ctr.conf", "")):
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            Path(path).write_text(text)
        card = cards.read("web", layout)
        assert card is not None
        assert card.interval == interval


@pytest.mark.parametrize("interval", [0.0, math.inf])
def test_a_check_without_interval_starts_no_probes(interval: float) -> None:
    """It is there for ``ctrctl healthcheck run``, and whoever starts its gate."""
    made = container(health=dataclasses.replace(CHECK, interval=interval))
    (file,) = health.units(made, IMAGE, Layout())
    assert "Sec" not in file.text
    assert health.companions(made, IMAGE) == []
    assert plan.loads(files(made)[plan.FILE]).interval == 0


def test_the_service_takes_its_companions_along() -> None:
    """Started, not required: a probe that cannot be started ends no container."""
    (line,) = health.companions(container(health=CHECK), IMAGE)
    assert line.startswith("ExecStartPost=-/") and line.endswith(" start ctr-healthy@web.service ctr-health@web.timer")
    assert health.service_lines(container(notify=Notify.CONTAINER)) == [
        "Requires=ctr-notify@web.socket",
        "After=ctr-notify@web.socket",
    ]


def test_a_container_that_notifies_is_told_where() -> None:
    """The socket, and the watchdog's time as sd_watchdog_enabled(3) reads it."""
    accounts = Accounts(IMAGE.passwd, IMAGE.group)
    unit = UnitSections(service=(Entry("WatchdogSec", "5s"), Entry("WatchdogSec", "1min 30s")))
    config = oci.config(container(notify=Notify.CONTAINER, unit=unit), IMAGE, accounts, FACTS, Layout())
    assert {"NOTIFY_SOCKET=/run/notify/notify.sock", "WATCHDOG_USEC=90000000"} <= set(config["process"]["env"])
    assert [m["source"] for m in config["mounts"] if m["destination"] == "/run/notify"] == ["/run/ctr/notify/web"]
    with pytest.raises(UserError, match=r"WatchdogSec=.*Notify=yes"):
        oci.config(container(unit=unit), IMAGE, accounts, FACTS, Layout())


def test_an_empty_watchdog_is_none() -> None:
    """And it resets nothing, as systemd reads it."""
    empty, some = Entry("WatchdogSec", ""), Entry("WatchdogSec", "5s")
    for notify in Notify:
        assert "WATCHDOG_USEC" not in readiness.environment(
            container(notify=notify, unit=UnitSections(service=(empty,)))
        )
    unit = UnitSections(service=(some, empty))
    assert readiness.environment(container(notify=Notify.CONTAINER, unit=unit))["WATCHDOG_USEC"] == "5000000"


def test_the_start_waits_for_health() -> None:
    """Notify=healthy: a part of the start as systemd sees it; the launcher does not know of it."""
    line = "ExecStartPost=/usr/lib/ctr/ctr-probe start web"
    for notify in Notify:
        made = container(health=CHECK, notify=notify)
        assert (line in dropins.text(made, IMAGE, FACTS, Layout()).splitlines()) == (notify is Notify.HEALTHY)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"notify": Notify.HEALTHY}, "set HealthCmd="),
        ({"notify": Notify.CONTAINER, "oneshot": True}, "remove it"),
        ({"health": HealthCheck(())}, "not a command"),
        ({"health": HealthCheck(("a\0b",))}, "not a command"),
    ],
)
def test_what_cannot_work_is_refused(changes: dict[str, object], why: str) -> None:
    """Before anything is written."""
    with pytest.raises(UserError, match=why):
        files(container(**changes))


def test_changes_of_the_images_check() -> None:
    """What podman changes of it without a command of the container's own; the rest stays the image's."""
    startup = StartupProbe(("/s",))
    made = container(health_changes=HealthChanges(HealthAction.STOP, startup, log_count=0))
    assert health.check(made, FROM_IMAGE) == HealthCheck(
        ("/probe",), action=HealthAction.STOP, startup=startup, log_count=0
    )
    only_log = container(health_changes=HealthChanges(log_size=1))
    assert health.check(only_log, IMAGE) is None and files(only_log) == {}
    for changes in (HealthChanges(HealthAction.KILL), HealthChanges(startup=startup)):
        with pytest.raises(UserError, match="has no health check of its own; set HealthCmd="):
            files(container(health_changes=changes))
