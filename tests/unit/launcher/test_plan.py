"""What the launcher reads from a plan."""

from __future__ import annotations

import pytest

from supervisor.errors import InternalError, NotFoundError
from supervisor.launcher import plan as plans


def test_repeated_keys_keep_their_order() -> None:
    """Layers and volumes come back in the order they were written, layers split at the tab."""
    plan = plans.Plan("ctr-plan=1\nname=web\nlayer=erofs\t/a\t/b\nlayer=directory\t/c\nvolume=/x\nvolume=/y\n")
    assert plan.layers == (("erofs", "/a", "/b"), ("directory", "/c"))
    assert plan.volumes == ("/x", "/y")


def test_values_keep_equals_signs_and_spaces() -> None:
    """Only the first '=' of a line separates."""
    assert plans.Plan("ctr-plan=1\nidentifier=a b=c \n").identifier == "a b=c "


def test_absent_flags_are_off() -> None:
    """A flag that is not written is off, and the driver and runtime have their defaults."""
    plan = plans.Plan("ctr-plan=1\nname=web\n")
    assert (plan.terminal, plan.attach, plan.oneshot, plan.fresh) == (False, False, False, False)
    assert (plan.runtime, plan.log, plan.slice, plan.identifier) == ("crun", "journald", "ctr.slice", "web")


def test_another_version_is_refused() -> None:
    """A plan of another format names the remedy instead of being misread."""
    with pytest.raises(InternalError, match="ctrctl apply"):
        plans.Plan("ctr-plan=2\n")


def test_missing_plan_is_not_found() -> None:
    """A container that was never deployed is said to be so."""
    with pytest.raises(NotFoundError, match="no such file; deploy"):
        plans.read("/nonexistent/plan")
