"""The state machine of health: examples for each rule, and properties that hold for every run."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from supervisor.health import machine
from supervisor.health.plan import Plan, Startup
from supervisor.health.record import HEALTHY, STARTING, UNHEALTHY, Result, State, begin

T0 = 1000.0


def result(code: int) -> Result:
    return Result(1.0, 2.0, code, "")


def play(plan: Plan, *steps: tuple[float, int]) -> tuple[State, list[tuple[str, ...]]]:
    """The state after probes that ended at the given times (seconds after the start) with the given codes, and the
    actions of each."""
    state, actions = begin("i", T0), []
    for at, code in steps:
        state, done = machine.transition(plan, state, result(code), T0 + at)
        actions.append(done)
    return state, actions


def test_one_success_makes_it_healthy() -> None:
    """At any time, in the start period as well; said once."""
    state, actions = play(Plan(start_period=60), (0.1, 1), (0.2, 0), (30, 0))
    assert state.status == HEALTHY
    assert actions == [(), (machine.BECAME_HEALTHY,), ()]


def test_retries_failures_in_a_row_make_it_unhealthy() -> None:
    """A success in between begins the count anew; recovered by the first success."""
    plan = Plan(retries=2)
    state, actions = play(plan, (1, 0), (31, 1), (61, 0), (91, 1), (121, 1), (151, 1), (181, 0))
    healthy, unhealthy = (machine.BECAME_HEALTHY,), (machine.BECAME_UNHEALTHY,)
    assert actions == [healthy, (), (), (), unhealthy, (), healthy]
    assert state.failures == 0


def test_a_gates_many_probes_do_not_use_up_the_retries() -> None:
    """While it starts, failures count once per interval, from one interval after the start on."""
    plan = Plan(interval=10, retries=3)
    often = [(n / 4, 1) for n in range(119)]
    state, actions = play(plan, *often)
    assert (state.status, set(actions)) == (STARTING, {()})
    state, actions = play(plan, *often, (30, 1))
    assert (state.status, actions[-1]) == (UNHEALTHY, (machine.BECAME_UNHEALTHY,))


def test_failures_in_the_start_period_do_not_count() -> None:
    """docker-run(1) --health-start-period; once it was healthy, they count there as well."""
    plan = Plan(interval=1, retries=1, start_period=60)
    assert play(plan, *((n, 1) for n in range(61)))[0].status == STARTING
    assert play(plan, (61, 1))[0].status == UNHEALTHY
    assert play(plan, (5, 0), (6, 1))[0].status == UNHEALTHY


def test_the_action_comes_once_with_the_change() -> None:
    """podman-run(1) --health-on-failure."""
    for action in ("kill", "restart", "stop"):
        _, actions = play(Plan(retries=1, action=action), (1, 0), (31, 1), (61, 1))
        assert actions[1:] == [(machine.BECAME_UNHEALTHY, action), ()]


def test_an_action_waits_for_its_turn() -> None:
    """It is due with the first failure after that; not any more when the container has recovered."""
    plan = Plan(retries=1, action="restart")
    sick, actions = machine.transition(plan, begin("i", T0), result(1), T0 + 31, may_act=False)
    assert actions == (machine.BECAME_UNHEALTHY,)
    sick, actions = machine.transition(plan, sick, result(1), T0 + 61, may_act=False)
    assert actions == ()
    assert machine.transition(plan, sick, result(1), T0 + 91)[1] == (machine.RESTART,)
    well, actions = machine.transition(plan, sick, result(0), T0 + 91)
    assert actions == (machine.BECAME_HEALTHY,)
    assert machine.transition(plan, well, result(1), T0 + 121)[1] == (machine.BECAME_UNHEALTHY, machine.RESTART)


def test_a_startup_restart_waits_for_its_turn() -> None:
    """The failures count on; it comes with the first one after that."""
    plan = Plan(startup=Startup(interval=5, timeout=1, retries=2, successes=1))
    state = begin("i", T0)
    for at in (5, 10, 15):
        state, actions = machine.transition(plan, state, result(1), T0 + at, may_act=False)
        assert actions == ()
    assert machine.transition(plan, state, result(1), T0 + 20)[1] == (machine.RESTART,)


def test_the_startup_probe_comes_first() -> None:
    """Its successes have to come in a row and make nothing healthy; then the health check decides."""
    plan = Plan(startup=Startup(interval=5, timeout=1, retries=0, successes=2))
    state, actions = play(plan, (1, 0), (2, 1), (3, 0))
    assert machine.starts_up(plan, state)
    state, actions = play(plan, (1, 0), (2, 1), (3, 0), (4, 0))
    assert not machine.starts_up(plan, state)
    assert (state.status, set(actions)) == (STARTING, {()})
    assert play(plan, (3, 0), (4, 0), (5, 0))[0].status == HEALTHY


def test_startup_failures_restart_the_container() -> None:
    """One counts per interval; without retries never."""
    plan = Plan(startup=Startup(interval=5, timeout=1, retries=2, successes=1))
    _, actions = play(plan, (1, 1), (5, 1), (6, 1), (9, 1), (10, 1))
    assert actions == [(), (), (), (), (machine.RESTART,)]
    never = Plan(startup=Startup(interval=5, timeout=1, retries=0, successes=1))
    assert set(play(never, *((n, 1) for n in range(100)))[1]) == {()}


def test_results_are_kept_up_to_the_definitions_count() -> None:
    """The last ones; with 0 all."""
    steps = [(float(n), n) for n in range(1, 9)]
    assert [r.code for r in play(Plan(log_count=3), *steps)[0].results] == [6, 7, 8]
    assert len(play(Plan(log_count=0), *steps)[0].results) == 8


def test_results_without_limit_have_one() -> None:
    """Each probe reads and writes all of them: what a command writes must not make it slower and slower."""
    state = begin("i", T0)
    for number in range(1200):
        state, _ = machine.transition(Plan(log_count=0), state, result(0), T0 + number)
    assert len(state.results) == 1000
    for number in range(20):
        state, _ = machine.transition(Plan(log_count=0), state, Result(1, number, 0, "x" * (1 << 20)), T0 + number)
    assert [r.end for r in state.results] == [16, 17, 18, 19]


PLANS = st.builds(
    Plan,
    interval=st.sampled_from([0.0, 0.1, 1.0, 30.0]),
    retries=st.integers(1, 4),
    start_period=st.sampled_from([0.0, 2.0, 60.0]),
    start_interval=st.sampled_from([0.0, 0.5, 5.0]),
    action=st.sampled_from(["none", "kill"]),
    startup=st.none()
    | st.builds(Startup, st.sampled_from([0.0, 0.1, 5.0]), st.just(1.0), st.integers(0, 3), st.integers(0, 3)),
)
STEPS = st.lists(st.tuples(st.floats(0.001, 40), st.sampled_from([0, 1, -1])), max_size=60)


@given(PLANS, STEPS)
def test_announcements_and_states_agree(plan: Plan, steps: list[tuple[float, int]]) -> None:
    """A change of status is announced exactly when it happens; nothing returns to starting; pauses are positive, and
    never longer than the longest interval."""
    state, now = begin("i", T0), T0
    for wait, code in steps:
        now += wait
        new, actions = machine.transition(plan, state, result(code), now)
        assert (machine.BECAME_HEALTHY in actions) == (state.status != HEALTHY and new.status == HEALTHY)
        assert (machine.BECAME_UNHEALTHY in actions) == (state.status != UNHEALTHY and new.status == UNHEALTHY)
        assert new.status != STARTING or state.status == STARTING
        assert 0 < machine.pause(plan, new, now) <= 30
        state = new


@given(PLANS)
def test_a_gate_comes_to_an_end(plan: Plan) -> None:
    """Following the pauses, a container that never passes is given up no later than start period, retries intervals,
    and one more allow, unless a startup probe may go on for ever."""
    if plan.startup:
        return
    state, now = begin("i", T0), T0
    limit = T0 + plan.start_period + (plan.retries + 1) * plan.spacing
    while state.status == STARTING:
        assert now <= limit
        state, _ = machine.transition(plan, state, result(1), now)
        now += machine.pause(plan, state, now)
