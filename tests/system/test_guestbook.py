"""Three services that need each other, as contrib/demo/guestbook has them: names, a published port, data, a secret, the
order of their start, and all of it again after a reboot."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest
from hostkit import (
    DEFINITIONS,
    Entry,
    boot_number,
    ctrctl,
    is_active,
    journal,
    messages,
    reboot,
    run,
    service,
    systemctl,
    wait_until,
)

DEMO = Path(__file__).resolve().parents[2] / "contrib" / "demo" / "guestbook"
PAGE = "http://127.0.0.1:8080/"
NAMES = ("guestbook-db", "guestbook-app", "guestbook-web")
BEFORE = Path("/var/tmp/addresses-before")


def page(data: str | None = None) -> str:
    """The page, or with *data* the answer to an entry; empty while nobody answers."""
    try:
        with urlopen(PAGE, data.encode() if data else None, timeout=20) as answer:
            return str(answer.read().decode())
    except (URLError, OSError):
        return ""


def addresses() -> str:
    """What each container sees of itself and the others."""
    return "".join(ctrctl("exec", name, "cat", "/etc/hosts").stdout for name in NAMES)


def moment(entries: list[Entry], text: str) -> int:
    """When the first of *entries* whose message has *text* was logged, in microseconds."""
    times = [int(str(e["__MONOTONIC_TIMESTAMP"])) for e in entries if text in str(e.get("MESSAGE"))]
    assert times, f"no message with '{text}'"
    return times[0]


def start_order() -> None:
    """The journal of this boot: the database is healthy before the application starts, and that before nginx."""
    run("journalctl", "--sync")
    boot = "_BOOT_ID=" + Path("/proc/sys/kernel/random/boot_id").read_text().replace("-", "").strip()
    entries = {name: journal(boot, "_PID=1", f"UNIT={service(name)}") for name in NAMES}
    started = {name: moment(found, "Started") for name, found in entries.items()}
    starting = {name: moment(found, "Starting") for name, found in entries.items()}
    assert started["guestbook-db"] < starting["guestbook-app"]
    assert started["guestbook-app"] < starting["guestbook-web"]
    for before, after in (("guestbook-db", "guestbook-app"), ("guestbook-app", "guestbook-web")):
        healthy = journal(boot, "_PID=1", f"UNIT=ctr-healthy@{before}.service")
        assert moment(healthy, "Finished") <= starting[after]


def clean() -> None:
    ctrctl("rm", "--force", *reversed(NAMES))
    for path in DEMO.iterdir():
        (DEFINITIONS / path.name).unlink()
    ctrctl("apply")
    ctrctl("volume", "rm", "guestbook-data")
    ctrctl("secret", "rm", "guestbook-password")


@pytest.mark.reboot
def test_three_services_and_a_reboot(image: Callable[[str], str]) -> None:
    """One `systemctl start` of the web server starts all three in order; the page comes through the published port, and
    with it what was written into PostgreSQL; after a reboot it is there again, at the same addresses."""
    if boot_number() == 1:
        for name in ("postgres", "guestbook", "nginx"):
            image(name)
        for path in DEMO.iterdir():
            shutil.copy(path, DEFINITIONS)
        ctrctl("secret", "create", "guestbook-password", "-", stdin="correct horse battery staple")
        ctrctl("apply")
        systemctl("start", service("guestbook-web"), timeout=300)
        start_order()
        assert "Guestbook" in wait_until(page, what="the page")
        assert "thank you" in page("hello from before the reboot")
        assert "hello from before the reboot" in page()
        BEFORE.write_text(addresses())
        assert "correct horse" not in "".join(messages())
        reboot()
    wait_until(lambda: all(is_active(service(name)) for name in NAMES), 300, "all three run again")
    assert "hello from before the reboot" in wait_until(page, what="the page")
    start_order()
    assert addresses() == BEFORE.read_text()
    clean()
