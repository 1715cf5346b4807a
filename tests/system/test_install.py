"""`contrib/install` on a host that has ctr: an upgrade while containers run, and --uninstall."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from hostkit import is_active, main_pid, messages, run, show, systemctl, wait_until

Define = Callable[..., str]

CHECKOUT = Path(__file__).parents[2]
MANIFEST = Path("/usr/lib/ctr/installed")
SUPERVISOR = "ctr-supervisor.service"


def install(option: str) -> None:
    """Run contrib/install."""
    run(CHECKOUT / "contrib/install", option, timeout=600)


def active() -> list[str]:
    """Units of ours that are active; slices stay for as long as systemd likes."""
    listed = systemctl("list-units", "--plain", "--no-legend", "--state=active", "ctr*").stdout.splitlines()
    return [line for line in listed if ".slice " not in line]


def test_an_upgrade_replaces_the_services_and_no_container_notices(define: Define, busybox: str) -> None:
    """After installing again the relay and the supervisor are new processes, the container the old one, and no line is
    missing."""
    script = "n=0; while :; do echo line $n; n=$((n+1)); sleep 0.01; done"
    text = f"[Container]\nImage={busybox}\nNetwork=none\nStopSignal=SIGKILL\nExec=sh -c '{script}'\n"
    unit = define("web", text.replace("$", "$$"))
    began = time.time()
    systemctl("start", unit)
    init, relay = main_pid("web"), show("ctr-log.service", "MainPID")["MainPID"]
    supervisor = show(SUPERVISOR, "MainPID")["MainPID"]
    wait_until(lambda: messages("CONTAINER_NAME=web", since=began), what="first lines")
    install("--no-deps")
    assert wait_until(lambda: show("ctr-log.service", "MainPID")["MainPID"] not in ("0", relay), what="new relay")
    assert is_active(SUPERVISOR)
    assert show(SUPERVISOR, "MainPID")["MainPID"] not in ("0", supervisor)
    seen = len(messages("CONTAINER_NAME=web", since=began))
    wait_until(lambda: len(messages("CONTAINER_NAME=web", since=began)) > seen, what="lines through the new relay")
    assert main_pid("web") == init
    systemctl("stop", unit)
    lines = messages("CONTAINER_NAME=web", since=began)
    numbers = [int(m[1]) for line in lines if (m := re.fullmatch(r"line (\d+)", line))]
    assert numbers == list(range(len(numbers)))


def test_programs_look_for_packages_only_where_they_use_them() -> None:
    """-I leaves the user's environment out; -S also Debian's packages, which costs every start of a container less."""
    names = MANIFEST.read_text().splitlines()
    files = [Path("/", name) for name in names if name.startswith(("usr/lib/ctr/ctr-", "usr/bin/"))]
    flags = {file.name: file.read_text().partition("\n")[0].removeprefix("#!/usr/bin/python3 ") for file in files}
    assert {name for name, flag in flags.items() if flag == "-I"} == {"ctr-supervisor", "ctr-metrics"}
    assert {flag for name, flag in flags.items()} == {"-I", "-IS"}


def test_the_first_call_starts_the_supervisor() -> None:
    """The bus knows who is io.ctr.Supervisor1, also while nobody is."""
    systemctl("stop", SUPERVISOR)
    run("busctl", "call", "io.ctr.Supervisor1", "/", "org.freedesktop.DBus.Peer", "Ping")
    wait_until(lambda: is_active(SUPERVISOR), what="the supervisor is ready")


def test_uninstall_leaves_nothing_but_definitions_and_state() -> None:
    """Not one installed file, unit that runs, or state of the supervisor; installing again brings all of it back."""
    installed = [Path("/", name) for name in MANIFEST.read_text().splitlines()]
    try:
        install("--uninstall")
        assert [path for path in (*installed, Path("/var/lib/ctr-supervisor")) if path.exists()] == []
        wait_until(lambda: not active(), what="the log relay, which was killed, has ended")
        assert Path("/etc/ctr").is_dir()
        assert Path("/var/lib/ctr").is_dir()
    finally:
        install("--no-deps")
    assert all(path.exists() for path in installed)
    for unit in (SUPERVISOR, "ctr-log.socket", "ctr-metrics.socket"):
        wait_until(partial(is_active, unit), what=f"{unit} is up")
