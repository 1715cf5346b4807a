"""The two texts of health: what one side writes, the other reads."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import supervisor
from supervisor.errors import InternalError
from supervisor.health import plan, record

TEXTS = st.text(st.characters(exclude_categories=()), max_size=200)
TIMES = st.floats(0, 1e12, allow_nan=False)
RESULTS = st.builds(record.Result, TIMES, TIMES, st.integers(-1, 255), TEXTS)


@given(
    st.builds(
        record.State,
        invocation=st.text("0123456789abcdef", min_size=32, max_size=32),
        began=TIMES,
        counted=TIMES,
        status=st.sampled_from([record.STARTING, record.HEALTHY, record.UNHEALTHY]),
        failures=st.integers(0, 99),
        successes=st.integers(0, 99),
        acted=st.booleans(),
        results=st.lists(RESULTS, max_size=4).map(tuple),
    )
)
def test_a_record_comes_back(state: record.State) -> None:
    """Any output, whatever characters a command wrote: none of them can end a line or begin another."""
    again = record.loads(record.dumps(state))
    assert record.dumps(again) == record.dumps(state)
    assert [(r.start, r.end, r.code, r.output) for r in again.results] == [
        (r.start, r.end, r.code, r.output) for r in state.results
    ]


@pytest.mark.parametrize("text", ["", "status=healthy\n", "result=x\n", "invocation=a\nbegan=b\n", "\0"])
def test_a_damaged_record_is_an_error(text: str) -> None:
    """Which a probe takes for a run of which nothing is known."""
    with pytest.raises(InternalError):
        record.loads(text)


@given(
    st.builds(
        plan.Plan,
        interval=TIMES,
        timeout=TIMES,
        retries=st.integers(1, 99),
        start_period=TIMES,
        start_interval=TIMES,
        action=st.sampled_from(["none", "kill", "restart", "stop"]),
        log_count=st.integers(0, 99),
        log_size=st.integers(0, 9999),
        runtime=st.sampled_from(["crun", "runc"]),
        startup=st.none() | st.builds(plan.Startup, TIMES, TIMES, st.integers(0, 9), st.integers(0, 9)),
    )
)
def test_a_plan_comes_back(written: plan.Plan) -> None:
    """With or without a startup probe."""
    assert plan.dumps(plan.loads(plan.dumps(written))) == plan.dumps(written)


def test_a_plan_of_another_version_is_refused() -> None:
    """Rather than misread."""
    with pytest.raises(InternalError, match="ctrctl apply"):
        plan.loads("ctr-health=2\ninterval=1.0\n")


def test_a_probe_imports_little() -> None:
    """Each is a process of its own: no JSON, no regular expressions, no enums, no ctypes, no dataclasses."""
    root = str(Path(supervisor.__file__).parent.parent)
    code = f"import sys; sys.path.insert(0, {root!r}); import supervisor.probe.main; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-IS", "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    heavy = {"json", "re", "enum", "ctypes", "dataclasses", "collections", "socket", "subprocess", "typing", "signal"}
    assert loaded & heavy == set()
    assert not loaded & {"supervisor.spec", "supervisor.systemd.manager", "supervisor.systemd.sdbus"}
