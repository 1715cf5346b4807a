"""Fixtures of the system tests, which run as root inside a booted test host:

    contrib/testbed run [--suite bookworm] -- python3 -m pytest tests/system [-k NAME]

Helpers to import are in `hostkit` (``from hostkit import run, ctrctl, show, journal, wait_until``…). Fixtures:

``busybox``   a string: the reference of an image with busybox, loaded once for all tests.
``image``     a function: ``image("nginx")`` loads the demo image of that name once and returns its reference.
``define``    a function: ``define("web", text)`` writes /etc/ctr/web.container (text is dedented), runs
              ``ctrctl apply`` and returns "ctr@web.service". At the end of the test the container is stopped and
              removed. ``apply=False`` only writes; ``suffix=".volume"`` writes another kind.
``tidy``      a function: ``tidy(name)`` has a container that the test made itself (``ctrctl run -d --name …``)
              removed at its end, and returns the name.

Every test is checked for leaks (module `leaks`): units, processes, mounts, control groups, files, network namespaces
that are there after it and were not before fail it. A failing test shows the state and journal of ctr's units.

Markers: ``controllers`` the test needs control group controllers (memory, pids…) and is skipped where there are none;
``apparmor`` it needs a kernel that uses AppArmor, and is skipped on others;
``reboot`` it reboots the host: runs only with ``--reboot``, and then nothing else runs.
"""

from __future__ import annotations

import os
import signal
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import hostkit
import leaks
import pytest
from hostkit import DEFINITIONS, ctrctl, run, service, systemctl, wait_until

ARCHIVES = Path("/usr/share/ctr-demo-images")
SETTLE_SECONDS = 60.0
#: A test that takes longer hangs: told while there is somebody to tell. Long versions of tests have variables.
HANG_SECONDS = 7200 if any(name.startswith("CTR_") for name in os.environ) else 900

Define = Callable[..., str]


def pytest_addoption(parser: pytest.Parser) -> None:
    """--reboot."""
    parser.addoption("--reboot", action="store_true", help="run the tests that reboot the host, and only those")


def pytest_configure(config: pytest.Config) -> None:
    """Our markers."""
    config.addinivalue_line("markers", "controllers: needs control group controllers")
    config.addinivalue_line("markers", "apparmor: needs a kernel that uses AppArmor")
    config.addinivalue_line("markers", "reboot: reboots the host; runs only with --reboot")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Choose the tests that fit this run and this host."""
    rebooting = bool(config.getoption("--reboot"))
    unfit = [item for item in items if (item.get_closest_marker("reboot") is not None) != rebooting]
    if unfit:
        config.hook.pytest_deselected(items=unfit)
        items[:] = [item for item in items if item not in unfit]
    for marker, is_there, what in (
        ("controllers", hostkit.controllers() >= {"memory", "pids"}, "memory and pids controllers"),
        ("apparmor", hostkit.has_apparmor(), "AppArmor"),
    ):
        skip = pytest.mark.skip(reason=f"this host has no {what}; contrib/testbed vm has")
        for item in items:
            if item.get_closest_marker(marker) and not is_there:
                item.add_marker(skip)


@pytest.fixture(autouse=True)
def no_hang() -> Iterator[None]:
    """Fail the test that waits for ever, also where it waits again while it is failing."""

    def expire(*_: object) -> None:
        pytest.fail(f"it hangs: not over after {HANG_SECONDS} s")

    before = signal.signal(signal.SIGALRM, expire)
    signal.setitimer(signal.ITIMER_REAL, HANG_SECONDS, HANG_SECONDS / 10)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture(autouse=True)
def no_leaks(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail the test that leaves something behind. It is set up first and so torn down last."""
    request.node.stash[_STARTED] = time.time()
    before = leaks.snapshot()
    yield
    found: list[str] = []

    def clean() -> bool:
        found[:] = leaks.snapshot().leaks_since(before)
        return not found

    try:
        wait_until(clean, SETTLE_SECONDS)  # what was asked to end may take a moment
    except AssertionError:
        pytest.fail("left behind:\n  " + "\n  ".join(found), pytrace=False)


@pytest.fixture(scope="session")
def image() -> Callable[[str], str]:
    """Load a demo image; its reference."""
    loaded: dict[str, str] = {}

    def load(name: str) -> str:
        if name not in loaded:
            archive = ARCHIVES / f"{name}.tar"
            assert archive.exists(), f"{archive}: not found; run contrib/demo/build {name} outside of the test host"
            ctrctl("image", "load", archive, timeout=600)
            loaded[name] = f"localhost/{name}:latest"
        return loaded[name]

    return load


@pytest.fixture(scope="session")
def busybox(image: Callable[[str], str]) -> str:
    """The smallest demo image."""
    return image("busybox")


@pytest.fixture
def tidy() -> Iterator[Callable[[str], str]]:
    """Remove containers at the end of the test, however it ended."""
    containers: list[str] = []

    def remember(name: str) -> str:
        containers.append(name)
        return name

    yield remember
    if containers:
        ctrctl("rm", "--force", *reversed(containers), check=False, timeout=600)
        systemctl("reset-failed", *map(service, containers), check=False)


@pytest.fixture
def define(tidy: Callable[[str], str]) -> Iterator[Define]:
    """Write a definition and deploy it."""
    written: list[Path] = []

    def write(name: str, text: str, *, apply: bool = True, suffix: str = ".container") -> str:
        path = DEFINITIONS / f"{name}{suffix}"
        written.append(path)
        path.write_text(textwrap.dedent(text))
        if suffix == ".container":
            tidy(name)
        if apply:
            ctrctl("apply")
        return service(name)

    yield write
    for path in written:
        path.unlink(missing_ok=True)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Show the host beside a failure."""
    outcome = yield
    report = outcome.get_result()  # type: ignore[attr-defined]
    if report.failed:
        status = run("systemctl", "status", "--no-pager", "--lines=0", "ctr*", check=False).stdout
        report.sections.append(("units of ctr", status))
        report.sections.append(("journal of ctr since the test began", _journal(item.stash.get(_STARTED, 0.0))))


def _journal(since: float) -> str:
    select = ["--no-pager", "--output=short-precise", f"--since=@{since:.3f}", "--lines=150"]
    return run("journalctl", *select, "--unit=ctr*", "+", "_COMM=systemd", check=False).stdout


_STARTED = pytest.StashKey[float]()
