"""Metrics as Prometheus gets them: the page, the dashboard and the rules, on a host with containers."""

from __future__ import annotations

import contextlib
import json
import os
import re
import resource
import signal
import socket
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hostkit import is_active, main_pid, run, show, systemctl, wait_until
from prometheus_client.parser import text_string_to_metric_families

CONTRIB = Path(__file__).resolve().parents[2] / "contrib"
ADDRESS = "127.0.0.1:10287"
SOCKET, SERVICE, SUPERVISOR = "ctr-metrics.socket", "ctr-metrics.service", "ctr-supervisor.service"
DROP_IN = Path("/run/systemd/system/ctr-metrics.socket.d/test.conf")
NAME, PROJECT = "metricsweb", "metricsshop"
#: What only a host with controllers counts; every query of the dashboard for anything else shows something.
CONTROLLED = re.compile("ctr_container_(memory|tasks|io|cpu_throttled)")
#: Prometheus waits 10 s by default; a slow machine gets more.
PATIENCE = 60.0

Define = Callable[..., str]


@pytest.fixture(autouse=True)
def ended() -> Iterator[None]:
    """It would stay for as long as somebody may come back."""
    yield
    systemctl("stop", SERVICE)


@pytest.fixture
def supervisor() -> Iterator[None]:
    """It runs, and runs again afterwards."""
    systemctl("start", SUPERVISOR)
    yield
    systemctl("start", SUPERVISOR)


@pytest.fixture
def web(define: Define, busybox: str) -> str:
    """A container of a project, with a network, a health check, in a slice of its own; restarted when it dies."""
    unit = define(
        NAME,
        f"""
        [Unit]
        PartOf=ctr@{PROJECT}.target
        [Container]
        Image={busybox}
        Exec=sh -c 'trap "exit 0" TERM; while :; do sleep 0.1; done'
        HealthCmd=true
        HealthInterval=1s
        [Service]
        Slice=ctr-{PROJECT}.slice
        Restart=always
        RestartSec=100ms
        """,
    )
    systemctl("start", unit)
    return NAME


def fetch(url: str, timeout: float = PATIENCE) -> str:
    with urllib.request.urlopen(url, timeout=timeout) as answer:
        return str(answer.read().decode())


def page(address: str = ADDRESS) -> str:
    """What a scrape gets."""
    return fetch(f"http://{address}/metrics")


def samples(text: str) -> dict[str, dict[frozenset[tuple[str, str]], float]]:
    """Values by metric and labels."""
    found: dict[str, dict[frozenset[tuple[str, str]], float]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, {})[frozenset(sample.labels.items())] = sample.value
    return found


def value(name: str, **labels: str) -> float | None:
    """One value of a fresh page, by some of its labels."""
    wanted = set(labels.items())
    return next((number for key, number in samples(page()).get(name, {}).items() if wanted <= key), None)


def main_pid_of(unit: str) -> int:
    """Of one that runs."""
    pid = int(show(unit, "MainPID")["MainPID"])
    assert pid, f"{unit}: does not run"
    return pid


# the page


def test_a_container_with_a_supervisor(supervisor: None, web: str) -> None:
    """Supervisor, systemd and kernel in one page: project, image, phase, use; a kill is counted where it belongs."""
    assert wait_until(lambda: value("ctr_supervisor_up"))
    wait_until(lambda: value("ctr_container_phase", container=web, phase="running"))
    found = samples(page())
    labels = {("container", web), ("project", PROJECT)}
    (info,) = (set(key) for key in found["ctr_container_info"] if labels <= key)
    assert ("image", "localhost/busybox:latest") in info
    assert re.fullmatch(r"sha256:[0-9a-f]{64}", dict(info)["image_digest"])
    assert found["ctr_container_cpu_seconds_total"][frozenset(labels)] > 0
    assert found["ctr_slice_cpu_seconds_total"][frozenset({("slice", f"ctr-{PROJECT}.slice")})] > 0
    assert ("resource", "cpu") in {
        pair for key in found["ctr_container_pressure_waiting_seconds_total"] for pair in key
    }
    began = wait_until(lambda: value("ctr_container_start_time_seconds", container=web))
    assert abs(began - time.time()) < 300
    assert 0 < wait_until(lambda: value("ctr_container_start_duration_seconds", container=web)) < 300


def test_a_kill_is_counted(supervisor: None, web: str) -> None:
    """As an exit by its reason and as a restart, with the code that a shell would show."""

    def counts() -> tuple[float, float] | None:
        exits = value("ctr_container_exits_total", container=web, reason="signal")
        restarts = value("ctr_container_restarts_total", container=web)
        # Only the supervisor counts restarts, and one that does not answer in time is left out of a page.
        return None if restarts is None else (exits or 0, restarts)

    wait_until(lambda: value("ctr_container_phase", container=web, phase="running"))
    exits, restarts = wait_until(counts)
    os.kill(main_pid(web), signal.SIGKILL)
    wait_until(lambda: counts() == (exits + 1, restarts + 1))
    wait_until(lambda: value("ctr_container_last_exit_code", container=web) == 137)


def test_network_use_is_the_containers(web: str) -> None:
    """What it is sent is counted, in packets and bytes."""
    inside = run(
        "nsenter", f"--target={main_pid(web)}", "--net", "ip", "-4", "-oneline", "address", "show", "scope", "global"
    )
    (address,) = re.findall(r"inet ([0-9.]+)/", inside.stdout)

    def received(what: str) -> float:
        return value(f"ctr_container_network_receive_{what}_total", container=web) or 0

    before = received("bytes"), received("packets")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for _ in range(10):
            sender.sendto(b"x" * 1000, (address, 9))
    wait_until(lambda: received("bytes") >= before[0] + 10_000)
    wait_until(lambda: received("packets") >= before[1] + 10)


def test_promtool_accepts_the_page(web: str) -> None:
    """Names, types, help texts and units; with a container, so with samples in it."""
    checked = run("promtool", "check", "metrics", stdin=page(), check=False)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


def test_without_the_supervisor(supervisor: None, web: str) -> None:
    """What systemd and the kernel tell is there; a scrape does not start the supervisor that somebody has stopped."""
    systemctl("stop", SUPERVISOR)
    assert value("ctr_supervisor_up") == 0
    assert value("ctr_systemd_up") == 1
    assert value("ctr_container_up", container=web, project=PROJECT) == 1
    assert value("ctr_container_phase", container=web, phase="running") == 1
    assert (value("ctr_container_cpu_seconds_total", container=web) or 0) > 0
    assert value("ctr_container_restarts_total", container=web) is None
    assert not is_active(SUPERVISOR)


def test_with_a_supervisor_that_hangs(supervisor: None) -> None:
    """A scrape waits for it, but not for ever: the page is there before Prometheus gives up."""
    wait_until(lambda: value("ctr_supervisor_up") == 1)
    pid = main_pid_of(SUPERVISOR)
    os.kill(pid, signal.SIGSTOP)
    try:
        wait_until(lambda: value("ctr_supervisor_up") == 0)
        wait_until(lambda: value("ctr_systemd_up") == 1)
    finally:
        with contextlib.suppress(ProcessLookupError):  # systemd's watchdog, half a minute later, ends it as well
            os.kill(pid, signal.SIGCONT)
    wait_until(lambda: value("ctr_supervisor_up") == 1)


@pytest.mark.controllers
def test_memory_and_tasks(define: Define, busybox: str) -> None:
    """Limits as they were given, and use below them."""
    systemctl(
        "start",
        define("small", f"[Container]\nImage={busybox}\nNetwork=none\nMemory=64m\nPidsLimit=50\nExec=sleep 1000\n"),
    )
    assert value("ctr_container_memory_limit_bytes", container="small") == 64 << 20
    assert 0 < (value("ctr_container_memory_bytes", container="small") or 0) < 64 << 20
    # The runtime that has started it may be there a moment longer.
    wait_until(lambda: value("ctr_container_tasks", container="small") == 1)
    assert value("ctr_container_tasks_limit", container="small") == 50
    assert value("ctr_container_oom_kills_total", container="small") == 0
    assert value("ctr_container_io_read_bytes_total", container="small") is not None


# the service


def test_a_kill_costs_nothing() -> None:
    """The socket stays, and the next scrape starts it again."""
    page()
    systemctl("kill", "--signal=KILL", SERVICE)
    wait_until(lambda: not is_active(SERVICE))
    assert "ctr_systemd_up 1.0" in page()


def test_a_thousand_idle_connections() -> None:
    """A scrape behind them is answered, by the same process, within its memory and its number of threads."""
    page()
    before = main_pid_of(SERVICE)
    with contextlib.ExitStack() as stack:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, hard), hard))
        stack.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        host, port = ADDRESS.split(":")
        for at in range(1000):
            connection = stack.enter_context(socket.create_connection((host, int(port)), timeout=60))
            if at % 2:
                connection.sendall(b"GET /metrics HTTP/1.1\r\nX: ")
        assert "ctr_systemd_up 1.0" in page()
        assert main_pid_of(SERVICE) == before
        assert len(os.listdir(f"/proc/{before}/task")) <= int(show(SERVICE, "TasksMax")["TasksMax"])
        (peak,) = (line for line in Path(f"/proc/{before}/status").read_text().splitlines() if line.startswith("VmHWM"))
        assert int(peak.split()[1]) << 10 < int(show(SERVICE, "MemoryMax")["MemoryMax"])


def test_another_address() -> None:
    """A drop-in for the socket and its restart are all that it takes, also while the service runs."""
    page()
    DROP_IN.parent.mkdir(parents=True, exist_ok=True)
    try:
        DROP_IN.write_text(
            "[Socket]\nListenStream=\nListenStream=127.0.0.2:10288\nListenStream=/run/ctr/metrics.sock\n"
        )
        systemctl("daemon-reload")
        systemctl("restart", SOCKET)
        assert "ctr_systemd_up 1.0" in page("127.0.0.2:10288")
        local = run("curl", "-sS", "--unix-socket", "/run/ctr/metrics.sock", "http://localhost/metrics").stdout
        assert "ctr_systemd_up 1.0" in local
        with pytest.raises(OSError, match="refused"):
            page()
    finally:
        DROP_IN.unlink()
        DROP_IN.parent.rmdir()
        Path("/run/ctr/metrics.sock").unlink(missing_ok=True)
        systemctl("daemon-reload")
        systemctl("restart", SOCKET)


def test_the_sandbox() -> None:
    """A user of its own, no capability, no network but the socket, nothing to write; exposure at most 1.0."""
    page()
    status = dict(
        line.split(":\t", 1)
        for line in Path(f"/proc/{main_pid_of(SERVICE)}/status").read_text().splitlines()
        if ":\t" in line
    )
    user = run("id", "-u", "ctr-metrics").stdout.strip()
    assert set(status["Uid"].split()) == {user}
    assert {int(status[name], 16) for name in ("CapPrm", "CapEff", "CapBnd", "CapAmb")} == {0}
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
    run("systemd-analyze", "security", "--threshold=10", SERVICE)


# Prometheus


@pytest.fixture
def prometheus(tmp_path: Path) -> Iterator[str]:
    """The URL of a Prometheus that scrapes this host every few seconds, and has our rules."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    config = {
        # A page may take as long as the time between two.
        "global": {"scrape_interval": "4s", "scrape_timeout": "4s", "evaluation_interval": "1s"},
        "scrape_configs": [{"job_name": "ctr", "static_configs": [{"targets": [ADDRESS]}]}],
        "rule_files": [str(CONTRIB / "alerts" / "ctr.rules.yml")],
    }
    tmp_path.joinpath("prometheus.yml").write_text(json.dumps(config))  # JSON is YAML
    words = [f"--config.file={tmp_path}/prometheus.yml", f"--storage.tsdb.path={tmp_path}/data"]
    with tmp_path.joinpath("log").open("wb") as log:
        process = subprocess.Popen(
            ["prometheus", *words, f"--web.listen-address={address}"], stdout=log, stderr=log, stdin=subprocess.DEVNULL
        )
    try:
        wait_until(lambda: _is_ready(address, process), timeout=120, what="Prometheus is ready")
        yield f"http://{address}"
    finally:
        process.kill()
        process.wait()


def _is_ready(address: str, process: subprocess.Popen[bytes]) -> bool:
    assert process.poll() is None, "Prometheus has ended"
    try:
        return "Ready" in fetch(f"http://{address}/-/ready")
    except OSError:
        return False


def ask(prometheus: str, expression: str) -> list[dict[str, Any]]:
    """The samples of an instant query; AssertionError when Prometheus finds fault with it."""
    try:
        answer = json.loads(fetch(f"{prometheus}/api/v1/query?{urllib.parse.urlencode({'query': expression})}", 60))
    except urllib.error.HTTPError as error:
        raise AssertionError(f"{expression}: {error.read().decode()}") from error
    assert answer["status"] == "success", answer
    return list(answer["data"]["result"])


def expressions(panel: dict[str, Any]) -> list[str]:
    """The queries of a panel as Grafana would send them with everything chosen."""
    return [everything(target["expr"].replace("$__rate_interval", "1m")) for target in panel.get("targets", ())]


def everything(query: str) -> str:
    """*query* with the variables as they are when all is chosen."""
    return re.sub(r"\$(instance|project|container)\b", ".*", query)


def choices(prometheus: str, variable: dict[str, Any]) -> set[str]:
    """What Grafana offers for *variable*: its ``label_values(SELECTOR, LABEL)``."""
    ((selector, label),) = re.findall(r"^label_values\((.*), (\w+)\)$", variable["query"]["query"])
    query = urllib.parse.urlencode({"match[]": everything(selector)})
    return {series[label] for series in json.loads(fetch(f"{prometheus}/api/v1/series?{query}"))["data"]}


def test_a_real_prometheus(supervisor: None, web: str, prometheus: str) -> None:
    """It scrapes, answers with the container's value, evaluates our rules; every query of the dashboard works."""
    wait_until(lambda: ask(prometheus, f'ctr_container_up{{container="{web}",project="{PROJECT}"}} == 1'), timeout=120)
    wait_until(lambda: ask(prometheus, 'up{job="ctr"} == 1'), timeout=120)
    (image,) = wait_until(lambda: ask(prometheus, f'ctr_container_info{{container="{web}"}}'), timeout=120)
    assert image["metric"]["image"] == "localhost/busybox:latest"
    dashboard = json.loads(CONTRIB.joinpath("grafana", "ctr.json").read_text())
    panels = [panel for panel in dashboard["panels"] if panel["type"] != "row"]
    for query in [query for panel in panels for query in expressions(panel)]:
        if CONTROLLED.search(query):
            ask(prometheus, query)
        else:
            wait_until(partial(ask, prometheus, query), timeout=120, what=query)
    chosen = {variable["name"]: variable for variable in dashboard["templating"]["list"]}
    assert ADDRESS in choices(prometheus, chosen["instance"])
    assert PROJECT in choices(prometheus, chosen["project"])
    assert web in choices(prometheus, chosen["container"])
    wait_until(lambda: {rule["health"] for rule in rules(prometheus)} == {"ok"}, timeout=120)
    wait_until(lambda: ask(prometheus, f'project:ctr_container_up:sum{{project="{PROJECT}"}} == 1'), timeout=120)


def rules(prometheus: str) -> list[dict[str, Any]]:
    """Every rule, with how its last evaluation went."""
    groups = json.loads(fetch(f"{prometheus}/api/v1/rules"))["data"]["groups"]
    return [rule for group in groups for rule in group["rules"]]


def test_the_rules_pass_their_tests() -> None:
    """promtool's own tests of them: each alert fires when it should, and not on a quiet host."""
    run("promtool", "check", "rules", CONTRIB / "alerts" / "ctr.rules.yml")
    run("promtool", "test", "rules", CONTRIB / "alerts" / "ctr.test.yml")
