"""``ctrctl diagnose``: from symptoms to the likely cause, for every rule of the table, and for any symptoms at all."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.cli.symptoms import Culprit, Level, Symptoms, Verdict
from supervisor.cli.verdict import RULES, verdict
from supervisor.graph.waiting import Job
from supervisor.lifecycle.phase import Phase

FAILED = Symptoms("web", Phase.EXITED, result="exit-code", code="exited", status=78, seconds=0.2, output="no such host")
RUNNING = Symptoms("web", Phase.RUNNING)
KILL = "signal 9 (SIGKILL)"
WAITING = (
    (0, Job(7, "ctr@web.service", "start", "waiting")),
    (1, Job(8, "ctr-healthy@db.service", "start", "running")),
)
STOP = ((0, Job(9, "ctr@web.service", "stop", "running")),)
DB = Culprit("db", "ctr@db.service", ("ctr@web.service", "ctr@app.service", "ctr@db.service"), "exited with status 1")
PORT = Culprit(
    "web",
    "ctr-netns@web.service",
    ("ctr@web.service", "ctr-netns@web.service"),
    "port 8080/tcp: held by nginx.service; stop it or publish another port",
)

CASES: list[tuple[Symptoms, Level, str, str]] = [
    (Symptoms("web", load="masked"), Level.FAILED, "masked", "systemctl unmask ctr@web.service"),
    (Symptoms("web", load="bad-setting"), Level.FAILED, "cannot load its unit", "systemd-analyze verify"),
    (Symptoms("web", Phase.PAUSED, oom=1), Level.WARNING, "paused", "ctrctl unpause web"),
    (Symptoms("web", Phase.STOPPING, jobs=STOP), Level.BUSY, "being stopped", "ctrctl kill web"),
    (Symptoms("web", Phase.STOPPING), Level.BUSY, "being cleaned up after", "wait"),
    (replace(FAILED, phase=Phase.STOPPING), Level.FAILED, "it exited at once with status 78", "ctrctl logs"),
    (Symptoms("web", jobs=WAITING), Level.BUSY, "waits for db (health): it is probed", "systemctl cancel 7"),
    (Symptoms("web", jobs=WAITING[:1]), Level.BUSY, "queued", "list-jobs"),
    (Symptoms("web", culprits=(DB,)), Level.FAILED, "db, which it requires through app, failed: exited", "diagnose db"),
    (Symptoms("web", culprits=(PORT,)), Level.FAILED, "network could not be set up: port 8080/tcp: held by", "stop it"),
    (replace(FAILED, oom=2, code="killed", status=9), Level.FAILED, "out of memory", "raise MemoryMax="),
    (replace(FAILED, image="x", image_missing=True), Level.FAILED, "image x is not in the store", "ctrctl pull x"),
    (
        replace(FAILED, image="x", status=125, launcher="web: mount /a/images/layers/b: No such file or directory"),
        Level.FAILED,
        "image x is not in the store",
        "ctrctl pull x",
    ),
    (
        replace(FAILED, status=125, launcher="web: mount /data: /srv/x does not exist on the host; make it first"),
        Level.FAILED,
        "something it mounts is missing: mount /data: /srv/x does not exist",
        "make it first",
    ),
    (replace(FAILED, status=127, launcher="web: crun create: x"), Level.FAILED, "command was not found", "Exec="),
    (replace(FAILED, status=126, launcher="web: crun create: x"), Level.FAILED, "cannot be executed", "x bit"),
    (replace(FAILED, status=127), Level.FAILED, "exited at once with status 127", "ctrctl logs"),
    (replace(FAILED, status=243, credentials="secret 'k': gone; create it"), Level.FAILED, "secret 'k'", "create it"),
    (replace(FAILED, status=125, launcher="web: no plan; run 'ctrctl apply'"), Level.FAILED, "no plan", "ctrctl apply"),
    (Symptoms("web", condition=False), Level.IDLE, "Condition", "systemctl status"),
    (replace(FAILED, result="timeout", code="killed", status=9), Level.FAILED, "too long", "TimeoutStartSec="),
    (replace(FAILED, result="watchdog"), Level.FAILED, "WATCHDOG=1", "WatchdogSec="),
    (replace(FAILED, policy="always", restarts=5), Level.FAILED, "gave up after 5 restarts", "ctrctl start web"),
    (replace(FAILED, result="start-limit-hit"), Level.FAILED, "start limit was hit", "ctrctl start web"),
    (replace(FAILED, phase=Phase.RESTARTING, restarts=9), Level.FAILED, "in a loop, 9 times", "ctrctl logs"),
    (replace(FAILED, phase=Phase.RUNNING, restarts=9), Level.FAILED, "in a loop, 9 times", "ctrctl logs"),
    (FAILED, Level.FAILED, "exited at once with status 78; it last said: no such host", "ctrctl logs"),
    (replace(FAILED, seconds=900.0, output=""), Level.FAILED, "it exited with status 78", "ctrctl logs"),
    (replace(FAILED, phase=Phase.RESTARTING), Level.FAILED, "systemd starts it again", "ctrctl logs"),
    (replace(FAILED, code="killed", signal=KILL, result="signal"), Level.FAILED, f"killed by {KILL}", "logs"),
    (replace(FAILED, code="dumped", signal="signal 11 (SIGSEGV)"), Level.FAILED, "crashed with signal 11", "logs"),
    (replace(FAILED, status=143), Level.IDLE, "status 143", "SuccessExitStatus=143"),
    (Symptoms("web", Phase.FAILED, result="resources"), Level.FAILED, "result 'resources'", "journalctl"),
    (Symptoms("web", Phase.STARTING), Level.BUSY, "being started", "wait"),
    (replace(RUNNING, health="unhealthy", streak=3, probe="refused"), Level.FAILED, "3 times in a row: refused", "run"),
    (replace(RUNNING, health="starting"), Level.BUSY, "not healthy yet", "ctrctl start --wait web"),
    (replace(RUNNING, oom=2), Level.WARNING, "OOM killer ended 2", "MemoryMax="),
    (replace(RUNNING, pids=2), Level.WARNING, "could not start processes", "TasksMax="),
    (replace(RUNNING, memory_high=2), Level.WARNING, "MemoryHigh=", "raise"),
    (replace(RUNNING, memory_max=2), Level.WARNING, "MemoryMax=", "raise"),
    (replace(RUNNING, throttled=0.5), Level.WARNING, "50%", "CPUQuota="),
    (replace(RUNNING, culprits=(DB,)), Level.WARNING, "it runs, but db", "ctrctl diagnose db"),
    (replace(RUNNING, ailing=("db",)), Level.WARNING, "db, which it requires, is unhealthy", "diagnose db"),
    (RUNNING, Level.OK, "all is well: it runs", ""),
    (replace(RUNNING, health="healthy"), Level.OK, "and is healthy", ""),
    (Symptoms("web", Phase.EXITED, code="exited"), Level.IDLE, "ended, and well (status 0)", "ctrctl start web"),
    (Symptoms("web", Phase.EXITED, code="killed", signal=KILL), Level.IDLE, f"stopped, by {KILL}", "start"),
    (Symptoms("web"), Level.IDLE, "no failure of it is known", "ctrctl start web"),
]


@pytest.mark.parametrize(("seen", "level", "cause", "advice"), CASES, ids=[case[2] for case in CASES])
def test_causes(seen: Symptoms, level: Level, cause: str, advice: str) -> None:
    """The sentence that names the cause, and what to do."""
    found = verdict(seen)
    assert (found.level, cause in found.cause, advice in found.advice) == (level, True, True), found


def test_every_rule_is_tried() -> None:
    """Each one is the first to answer for one of the cases."""

    def first(seen: Symptoms) -> object:
        return next(rule for rule in RULES if rule(seen))

    assert {first(case[0]) for case in CASES} == set(RULES)


@given(
    st.builds(
        Symptoms,
        name=st.just("web"),
        phase=st.sampled_from(Phase),
        load=st.sampled_from(("loaded", "masked", "not-found")),
        result=st.sampled_from(("success", "exit-code", "signal", "timeout", "protocol", "oom-kill", "new-one")),
        code=st.sampled_from(("", "exited", "killed", "dumped")),
        status=st.integers(0, 255),
        oom=st.integers(0, 2),
        seconds=st.none() | st.floats(0, 1e6),
        restarts=st.integers(0, 9),
        policy=st.sampled_from(("no", "always", "on-failure")),
        launcher=st.text(max_size=20),
        output=st.text(max_size=20),
        jobs=st.sampled_from(((), STOP, WAITING, WAITING[:1], WAITING[1:])),
        health=st.sampled_from(("", "starting", "healthy", "unhealthy")),
        culprits=st.sampled_from(((), (DB,), (PORT,), (PORT, DB))),
        ailing=st.sampled_from(((), ("db",))),
        condition=st.booleans(),
        image_missing=st.booleans(),
        throttled=st.floats(0, 1),
    )
)
def test_there_is_a_verdict_for_anything(seen: Symptoms) -> None:
    """Never none, never empty; and 'all is well' only for what runs."""
    found = verdict(seen)
    assert isinstance(found, Verdict)
    assert found.cause
    assert found.advice or found.level is Level.OK or ";" not in found.cause
    assert found.level is not Level.OK or seen.phase is Phase.RUNNING
