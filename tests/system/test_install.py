"""An upgrade: `contrib/install` on a host where containers run."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from hostkit import main_pid, messages, run, show, systemctl, wait_until

Define = Callable[..., str]

CHECKOUT = Path(__file__).parents[2]


def test_an_upgrade_replaces_the_relay_and_no_container_notices(define: Define, busybox: str) -> None:
    """After installing again the relay is a new process, the container the old one, and no line is missing."""
    script = "n=0; while :; do echo line $n; n=$((n+1)); sleep 0.01; done"
    text = f"[Container]\nImage={busybox}\nNetwork=none\nStopSignal=SIGKILL\nExec=sh -c '{script}'\n"
    unit = define("web", text.replace("$", "$$"))
    systemctl("start", unit)
    init, relay = main_pid("web"), show("ctr-log.service", "MainPID")["MainPID"]
    wait_until(lambda: messages("CONTAINER_NAME=web"), what="first lines")
    run(CHECKOUT / "contrib/install", "--no-deps")
    assert wait_until(lambda: show("ctr-log.service", "MainPID")["MainPID"] not in ("0", relay), what="new relay")
    seen = len(messages("CONTAINER_NAME=web"))
    wait_until(lambda: len(messages("CONTAINER_NAME=web")) > seen, what="lines through the new relay")
    assert main_pid("web") == init
    systemctl("stop", unit)
    numbers = [int(m[1]) for line in messages("CONTAINER_NAME=web") if (m := re.fullmatch(r"line (\d+)", line))]
    assert numbers == list(range(len(numbers)))
