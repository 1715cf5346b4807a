"""A start with users of its own pays for what it uses, and no more."""

from __future__ import annotations

import pytest

from supervisor.launcher import plan as plans
from tests.unit.launcher.test_imports import HEAVY, modules_after


@pytest.mark.parametrize("module", ["launcher.users", "launcher.idmap", "network.users"])
def test_nothing_expensive_is_imported(module: str) -> None:
    """Neither by the launcher nor by ctr-netns."""
    assert modules_after(f"import supervisor.{module}") & HEAVY == set()


def test_the_plan_knows_them() -> None:
    """A path with who is root there, and mounts to shift; nothing for the host's users."""
    plan = plans.Plan("ctr-plan=1\nusers=/run/x\t5\t6\nidmap=/a\t/b\nidmap=/c\t/d\n")
    assert (plan.users, plan.idmaps) == (("/run/x", "5", "6"), (("/a", "/b"), ("/c", "/d")))
    assert (plans.Plan("ctr-plan=1\n").users, plans.Plan("ctr-plan=1\n").idmaps) == ((), ())
