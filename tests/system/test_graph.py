"""``ctrctl deps``, ``graph``, ``plot`` and ``diagnose`` on a host: what they say is what systemd has done."""

from __future__ import annotations

import json
import re
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from conftest import ARCHIVES
from eventkit import model
from hostkit import ctrctl, is_active, journal, run, service, show, systemctl, wait_until

from supervisor.cli import units
from supervisor.graph.model import State
from supervisor.graph.palette import STATES
from supervisor.names import name_of_service
from supervisor.paths import Layout
from supervisor.systemd.manager import Manager

Define = Callable[..., str]
HEALTH = 'HealthCmd=["sh", "-c", "echo no answer; exit 1"]'
SVG, XLINK = "{http://www.w3.org/2000/svg}", "{http://www.w3.org/1999/xlink}"
#: Ends at once when it is told to, which `sleep` as init does not.
PATIENT = """sh -c "trap 'exit 0' TERM; sleep 1000 & wait" """.strip()
#: systemd's catalog: "Automatic restarting of a unit has been scheduled".
RESTART_SCHEDULED = "5eb03494b6584870a536b337290809b3"
NOBODY = ("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups")


def container(image: str, command: str = PATIENT, *lines: str, unit: str = "", network: str = "none") -> str:
    """The text of a definition."""
    own = [f"Network={network}"] if network else []
    return "\n".join(["[Unit]", unit, "[Container]", f"Image={image}", f"Exec={command}", *own, *lines, ""])


def needs(*names: str, healthy: bool = False) -> str:
    """[Unit] lines."""
    units = [f"ctr-healthy@{name}.service" if healthy else service(name) for name in names]
    return "\n".join(f"{key}={' '.join(units)}" for key in ("Requires", "After"))


def diagnosis(name: str) -> dict[str, Any]:
    """What ``ctrctl diagnose`` says, for programs."""
    found: dict[str, Any] = json.loads(ctrctl("diagnose", "--format", "json", name).stdout)
    return found


def cause(name: str) -> str:
    """The verdict in one line."""
    found = diagnosis(name)["verdict"]
    return f"{found['level']}: {found['cause']}; {found['advice']}"


def failed(name: str) -> bool:
    return show(service(name), "ActiveState")["ActiveState"] == "failed"


@pytest.fixture
def chain(busybox: str, define: Define) -> None:
    """db <- app <- web, of which db cannot start."""
    define("db", container(busybox, "nosuch"), apply=False)
    define("app", container(busybox, unit=needs("db")), apply=False)
    define("web", container(busybox, unit=needs("app")))


@pytest.fixture
def shop(busybox: str, define: Define, tmp_path: Path) -> Iterator[Path]:
    """A project of two: front waits for store to be healthy, which it is once the file that this is exists."""
    member = "PartOf=ctr@shop.target"
    install = "[Install]\nWantedBy=ctr@shop.target"
    flag = tmp_path / "ok"
    health = ("HealthCmd=test -e /flag/ok", "HealthInterval=1s", "HealthRetries=1000", f"Volume={tmp_path}:/flag")
    define("store", container(busybox, PATIENT, *health, install, unit=member, network=""), apply=False)
    define("front", container(busybox, PATIENT, install, unit=f"{member}\n{needs('store', healthy=True)}"))
    yield flag
    systemctl("stop", "ctr@shop.target")


def test_the_root_of_a_failed_chain_is_named(chain: None) -> None:
    """web could not start as app could not, as db has no such command: every view names db, not app."""
    done = ctrctl("start", "web", check=False)
    assert done.returncode == 125
    assert "ctr@db.service, which it requires, failed: db: crun create: " in done.stderr
    assert "app" not in done.stderr
    assert "db, which it requires through app, failed: crun create: executable file" in cause("web")
    assert diagnosis("web")["root_causes"][0]["way"] == [service("web"), service("app"), service("db")]
    assert "command was not found" in cause("db")
    assert "root cause  web → app → db: crun create" in ctrctl("diagnose", "web").stdout
    found = json.loads(ctrctl("deps", "--format", "json", "web").stdout)
    assert [(n["name"], n["depth"], n["state"], n["problem"]) for n in found["needs"]] == [
        ("app", 1, "stopped", None),
        ("db", 2, "failed", "exit status 127"),
    ]
    found = json.loads(ctrctl("deps", "--format", "json", "db").stdout)
    assert [n["name"] for n in found["needed_by"]] == ["app", "web"]
    nodes = json.loads(ctrctl("graph", "--format", "json").stdout)["nodes"]
    assert {n["name"]: n["state"] for n in nodes} == {"db": "failed", "app": "stopped", "web": "stopped"}
    drawn = fills(ctrctl("graph").stdout)
    assert (drawn[service("db")], drawn[service("app")]) == (STATES[State.FAILED].fill, STATES[State.STOPPED].fill)
    # Without the right to read the journal, systemd's own state has to do.
    page = run(*NOBODY, "ctrctl", "diagnose", "web")
    assert "db, which it requires through app, failed: exited with status 127" in page.stdout
    assert "only root" in page.stderr


def test_what_is_waited_for_and_how_it_went(shop: Path) -> None:
    """While front waits for store's health, `deps` and `diagnose` say so; afterwards `plot` shows that it did."""
    systemctl("start", "--no-block", "ctr@shop.target")

    def probing() -> list[dict[str, Any]]:
        waits: list[dict[str, Any]] = json.loads(ctrctl("deps", "--format", "json", "front").stdout)["waits_for"]
        return waits if waits and waits[-1]["state"] == "running" and "probed" in waits[-1]["why"] else []

    waits = wait_until(probing, what="front waits for store")
    assert [(w["unit"], w["type"], w["state"]) for w in waits] == [
        (service("front"), "start", "waiting"),
        ("ctr-healthy@store.service", "start", "running"),
    ]
    assert "busy: its start waits for store (health)" in cause("front")
    assert "busy: it runs, and is not healthy yet" in cause("store")
    assert "starting…" in ctrctl("plot", "shop").stdout
    shop.touch()
    wait_until(lambda: is_active(service("front")), what="front has started")
    assert "ok: all is well: it runs" in cause("front")
    assert "ok: all is well: it runs and is healthy" in cause("store")
    assert json.loads(ctrctl("deps", "--format", "json", "front").stdout)["waits_for"] == []
    check_plot()
    check_graph()


def svg_words(text: str) -> list[str]:
    """Every text in a picture, and all that is shown beside the pointer."""
    root = ElementTree.fromstring(text)
    return [found.text or "" for tag in ("text", "title") for found in root.iter(f"{SVG}{tag}")]


def fills(text: str) -> dict[str, str]:
    """The colour that graphviz has filled the node of each unit with."""
    found = {}
    for link in ElementTree.fromstring(text).iter(f"{SVG}a"):
        area = next((shape for tag in ("path", "polygon") for shape in link.iter(f"{SVG}{tag}")), None)
        if area is not None:
            found[link.get(f"{XLINK}title", "")] = area.get("fill", "")
    return found


def check_plot() -> None:
    """Two rows in the order of their start, and the critical path through both."""
    for command in (("ctrctl",), (*NOBODY, "ctrctl")):
        root = ElementTree.fromstring(run(*command, "plot", "shop").stdout)
        texts = [text.text or "" for text in root.iter(f"{SVG}text")]
        assert [text for text in texts if text in ("store", "front")] == ["store", "front"]
        words = [title.text or "" for title in root.iter(f"{SVG}title")]
        parts = [word.split(" ")[:2] for word in words if word.startswith(("store: ", "front: "))]
        for part in ("network", "launch", "healthy"):
            assert ["store:", part] in parts
        assert ["front:", "launch"] in parts
        path = next(text for text in texts if text.startswith("Critical path: store"))
        assert "front" in " ".join(texts[texts.index(path) :])


def check_graph() -> None:
    """The project as a box, the health as an edge; as SVG through graphviz."""
    found = ctrctl("graph", "shop", "--format", "mermaid").stdout
    assert '["shop"]' in found
    assert "|requires#44; when healthy|" in found
    output = Path("/var/tmp/shop.svg")
    assert shutil.which("dot"), "the test host has graphviz"
    ctrctl("graph", "shop", "--output", output)
    words = {text.text for text in ElementTree.parse(output).iter(f"{SVG}text")}
    drawn = fills(output.read_text())
    output.unlink()
    assert {"shop", "store", "front", "healthy"} <= words
    assert (drawn[service("store")], drawn[service("front")]) == (
        STATES[State.HEALTHY].fill,
        STATES[State.RUNNING].fill,
    )
    missing = ctrctl("graph", "nosuch", check=False)
    assert (missing.returncode, missing.stderr) == (125, "ctrctl: no project 'nosuch'; projects: shop\n")
    missing = ctrctl("plot", "shopp", check=False)
    assert missing.returncode == 125
    assert "no container or project 'shopp'; did you mean 'shop'" in missing.stderr


def test_the_wait_for_a_restart_is_no_launch(busybox: str, define: Define, tmp_path: Path) -> None:
    """Which systemd 257 counts as activating: the bars begin with the restart, not RestartSec= before."""
    once = PATIENT.replace("trap", "test -e /flag/it || { touch /flag/it; exit 3; }; trap", 1)
    again = ("[Service]", "Restart=always", "RestartSec=2s")
    define("again", container(busybox, once, f"Volume={tmp_path}:/flag", *again))
    began = time.time()
    ctrctl("start", "again")
    wait_until(lambda: show(service("again"), "NRestarts")["NRestarts"] == "1", what="again is restarted")
    wait_until(lambda: is_active(service("again")), what="again runs")
    (scheduled,) = journal(f"MESSAGE_ID={RESTART_SCHEDULED}", f"UNIT={service('again')}", since=began)
    ready = int(show(service("again"), "ActiveEnterTimestampMonotonic")["ActiveEnterTimestampMonotonic"])
    took = ready - int(str(scheduled["__MONOTONIC_TIMESTAMP"]))
    (words,) = [word for word in svg_words(ctrctl("plot", "again").stdout) if word.startswith("again: launch ")]
    number, unit = words.split()[2:]
    # journald may have been late; not by half of RestartSec=.
    assert float(number) * {"ms": 1e3, "s": 1e6}[unit] <= took + 1_000_000


@pytest.fixture
def tag() -> Iterator[str]:
    """A name for an image, which goes when its containers have gone."""
    yield "localhost/fetched-for-plot"
    ctrctl("image", "rm", "localhost/fetched-for-plot")


def test_a_fetch_is_part_of_the_start(tag: str, define: Define) -> None:
    """An image that ``ctrctl apply`` has just fetched has a bar of its own, before the launch."""
    source = f"[Image]\nImage=docker-archive:{ARCHIVES}/busybox.tar\nImageTag={tag}\n"
    define("fetched", source, suffix=".image", apply=False)
    define("fetched", container("fetched.image"))
    ctrctl("start", "fetched")
    run("journalctl", "--sync")
    bars = [word.split()[1] for word in svg_words(ctrctl("plot", "fetched").stdout) if word.startswith("fetched: ")]
    assert [bar for bar in bars if bar != "start-up"][:2] == ["image", "launch"]


def edges_drawn() -> dict[tuple[str, str], list[str]]:
    """The edges between containers in ``ctrctl graph``."""
    edges = json.loads(ctrctl("graph", "--format", "json").stdout)["edges"]
    return {(e["source"], e["target"]): e["relations"] for e in edges if name_of_service(e["target"])}


def edges_shown() -> dict[tuple[str, str], list[str]]:
    """The same in the objects of the supervisor; to what project each belongs, they say elsewhere."""
    return {
        (properties["Unit"], unit): ways
        for properties in model().values()
        for unit, ways in properties["Dependencies"].items()
        if name_of_service(unit)
    }


class Asked(Manager):
    """Remembers which units it was asked about."""

    units_asked: tuple[str, ...] = ()

    def properties(self, unit: str, interface: str, *names: str) -> dict[str, Any]:
        self.units_asked += (unit,)
        return super().properties(unit, interface, *names)


def test_what_the_files_say_is_what_systemd_makes_of_them(busybox: str, define: Define, tmp_path: Path) -> None:
    """The dependencies of containers are the same whether systemd has loaded them or they are read without it; then it
    is not asked, since it would load them for each question (six hundred containers: half a minute)."""
    shop = "PartOf=ctr@shop.target"
    install = "[Install]\nWantedBy=ctr@shop.target"
    define("db", container(busybox, PATIENT, f"Volume={tmp_path}:/data", HEALTH, install, unit=shop), apply=False)
    unit = f"{shop}\n{needs('db', healthy=True)}\nWants=cron.service"
    define("app", container(busybox, PATIENT, unit=unit, network=""), apply=False)
    define("side", container(busybox, PATIENT, network="app.container"), apply=False)
    define("web", container(busybox, PATIENT, "[Install]\nRequiredBy=ctr@app.service", unit="BindsTo=ctr@side.service"))
    extra = Path("/run/systemd/system/ctr@web.service.d/extra.conf")
    holder = Path("/run/systemd/system/holder.target")
    extra.parent.mkdir(parents=True)
    extra.write_text("[Unit]\nUpholds=ctr@db.service\nAfter=ctr-healthy@db.service\n")

    def told() -> list[str]:
        names = ("db", "app", "side", "web")
        texts = [ctrctl("graph", "--format", "json").stdout, ctrctl("graph", "shop", "--format", "json").stdout]
        texts += [ctrctl("deps", "--format", "json", name).stdout for name in names]
        # A unit's description is known of loaded ones only.
        return [line for text in texts for line in text.splitlines() if '"detail"' not in line]

    try:
        systemctl("daemon-reload")
        loaded = ("list-units", "--all", "ctr@*.service")
        wait_until(lambda: service("db") not in systemctl(*loaded).stdout, what="nobody has it loaded any more")
        with Asked.open() as manager:
            units.around("web", manager, Layout())
            assert [unit for unit in manager.units_asked if unit.startswith("ctr")] == []
        apart = told()
        assert {'"upholds"', '"shares network"'} <= {line.strip(" ,") for line in apart}
        wait_until(lambda: edges_shown() == edges_drawn(), what="the supervisor has the same graph")
        holder.write_text("[Unit]\nAfter=" + " ".join(map(service, ("db", "app", "side", "web"))) + "\n")
        systemctl("start", "holder.target")
        assert service("db") in systemctl(*loaded).stdout
        assert told() == apart
    finally:
        systemctl("stop", "holder.target", check=False)
        holder.unlink(missing_ok=True)
        extra.unlink()
        extra.parent.rmdir()
        systemctl("daemon-reload")


def test_causes(busybox: str, define: Define) -> None:
    """The likely cause of each of these, and what to do, in a sentence; never a traceback, for root and for nobody."""
    gone = Path("/srv/diagnose-gone")
    gone.mkdir()
    # An earlier container of that name has run, and ended; that is nothing of the new one's.
    ctrctl("run", "--rm", "--name=fresh", "--network=none", busybox, "true")
    again = ("[Service]", "Restart=always", "RestartSec=100ms")
    texts = {
        "absent": container(busybox, "nosuch"),
        "text": container(busybox, "/etc/passwd"),
        "code": container(busybox, "sh -c 'echo bad config >&2; exit 78'"),
        "slow": container(busybox, PATIENT, "Notify=yes"),
        "limit": container(busybox, "false", *again, unit="StartLimitBurst=2\nStartLimitIntervalSec=1h"),
        "loop": container(busybox, "sh -c 'echo again; exit 3'", *again, unit="StartLimitIntervalSec=0"),
        "mount": container(busybox, PATIENT, f"Volume={gone}:/data"),
        "holder": container(busybox, PATIENT, "PublishPort=7009:1", network=""),
        "late": container(busybox, PATIENT, "PublishPort=7009:1", network=""),
        "sick": container(busybox, PATIENT, HEALTH, "HealthInterval=1s", "HealthRetries=1"),
        "frozen": container(busybox),
        "done": container(busybox, "true"),
        "fresh": container(busybox),
    }
    texts["slow"] += "[Service]\nTimeoutStartSec=3s\n"
    for name, text in texts.items():
        define(name, text, apply=False)
    ctrctl("apply")
    gone.rmdir()
    ctrctl("start", "code", "limit", "loop", "holder", "sick", "frozen", "done")
    ctrctl("pause", "frozen")
    for name in ("absent", "text", "slow", "mount", "late"):
        assert ctrctl("start", name, check=False).returncode == 125
    wait_until(lambda: failed("code") and failed("limit"), what="code and limit have failed")
    wait_until(lambda: int(show(service("loop"), "NRestarts")["NRestarts"]) >= 2, what="loop restarts")
    wait_until(lambda: "unhealthy" in ctrctl("ps", "--filter", "health=unhealthy").stdout, what="sick is unhealthy")
    wait_until(lambda: show(service("done"), "ActiveState")["ActiveState"] == "inactive", what="done is done")
    expected = {
        "absent": "failed: its command was not found in the image (crun create: executable file",
        "text": "failed: its command cannot be executed (crun create: ",
        "code": "failed: it exited at once with status 78; it last said: bad config; see its log",
        "slow": "failed: it took too long to start or to stop, and systemd killed it",
        "limit": "failed: systemd gave up after ",
        "loop": "failed: it restarts in a loop, ",
        "mount": f"failed: something it mounts is missing: mount /data: {gone} does not exist on the host; make it",
        "holder": "ok: all is well: it runs",
        "late": "failed: its network could not be set up: port 7009/tcp: held by container holder; stop it or publish",
        "sick": "failed: it runs, but its health check failed ",
        "frozen": "warning: it is paused: every process of it is frozen; ctrctl unpause frozen",
        "done": "idle: it has ended, and well (status 0)",
        "fresh": "idle: it is not running, and no failure of it is known",
    }
    for name, words in expected.items():
        # What they said last is on its way to the journal.
        wait_until(lambda name=name, words=words: cause(name).startswith(words), what=words)  # type: ignore[misc]
    for name in ("absent", "late", "sick", "fresh"):
        page = run(*NOBODY, "ctrctl", "diagnose", name)
        assert f"{name}: " in page.stdout
        assert "internal error" not in page.stderr
    assert "no answer" in cause("sick")
    drawn = svg_words(ctrctl("plot", "sick").stdout)
    assert "unhealthy" in drawn
    assert not [word for word in drawn if word.startswith("sick: healthy") or "goes on" in word]
    ctrctl("unpause", "frozen")
    assert [ending["status"] for ending in diagnosis("code")["exits"]] == [78]


@pytest.mark.controllers
def test_lack_of_memory_is_the_cause(busybox: str, define: Define) -> None:
    """What it was killed for, not merely that it was killed."""
    hungry = "sh -c 'x=aaaaaaaaaaaaaaaa; while :; do x=$$x$$x; done'"
    define("hungry", container(busybox, hungry, "[Service]", "MemoryMax=16M"))
    ctrctl("start", "hungry", check=False)
    wait_until(lambda: failed("hungry"), 120, "hungry has failed")
    assert cause("hungry").startswith("failed: it ran out of memory")
    # Its scope is gone, and with it the kernel's counters.
    assert re.search(r"\nlimits +processes ended for lack of memory: [1-9]", ctrctl("diagnose", "hungry").stdout)
