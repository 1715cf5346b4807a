"""Docker's profile format to the OCI one."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.errors import UserError
from supervisor.render.seccomp import evaluate

CAPS = ("CAP_A", "CAP_B", "CAP_C")


def profile(*rules: dict[str, Any], **more: Any) -> str:
    return json.dumps({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": list(rules), **more})


def rule(name: str = "x", **more: Any) -> dict[str, Any]:
    return {"names": [name], "action": "SCMP_ACT_ALLOW", "args": [], "comment": "", **more}


def names(text: str, caps: tuple[str, ...] = (), arch: str = "x86_64", kernel: tuple[int, int] = (6, 1)) -> list[str]:
    result = evaluate(text, caps, arch, kernel)
    assert result is not None
    return [name for r in result["syscalls"] for name in r["names"]]


def test_a_rule_is_translated_without_its_conditions() -> None:
    """Only what the OCI runtime knows is left; empty members are dropped, old 'name' becomes 'names'."""
    args = [{"index": 0, "value": 8, "valueTwo": 0, "op": "SCMP_CMP_EQ"}]
    text = profile(
        {"name": "one", "action": "SCMP_ACT_ERRNO", "errnoRet": 1, "errno": "EPERM", "args": args, "includes": {}},
        defaultErrnoRet=38,
        archMap=[
            {"architecture": "SCMP_ARCH_AARCH64", "subArchitectures": ["SCMP_ARCH_ARM"]},
            {"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86", "SCMP_ARCH_X32"]},
        ],
    )
    assert evaluate(text, (), "x86_64", (6, 1)) == {
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": 38,
        "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
        "syscalls": [
            {
                "names": ["one"],
                "action": "SCMP_ACT_ERRNO",
                "errnoRet": 1,
                "args": [{"index": 0, "value": 8, "op": "SCMP_CMP_EQ"}],
            }
        ],
    }
    arm = evaluate(text, (), "aarch64", (6, 1))
    assert arm and arm["architectures"] == ["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"]


@given(st.sets(st.sampled_from(CAPS)), st.sets(st.sampled_from(CAPS)), st.sets(st.sampled_from(CAPS)))
def test_capability_conditions(have: set[str], include: set[str], exclude: set[str]) -> None:
    """A rule counts if the container has all included capabilities and none of the excluded ones."""
    text = profile(rule(includes={"caps": sorted(include)}, excludes={"caps": sorted(exclude)}))
    assert (names(text, tuple(have)) == ["x"]) == (include <= have and not exclude & have)


@given(st.lists(st.sampled_from(["amd64", "arm64", "s390x"])), st.sampled_from(["x86_64", "aarch64"]))
def test_architecture_conditions(arches: list[str], machine: str) -> None:
    """``arches`` are Go's words; an empty list is no condition."""
    ours = {"x86_64": "amd64", "aarch64": "arm64"}[machine]
    assert (names(profile(rule(includes={"arches": arches})), arch=machine) == ["x"]) == (not arches or ours in arches)
    assert (names(profile(rule(excludes={"arches": arches})), arch=machine) == ["x"]) == (ours not in arches)


@given(st.tuples(st.integers(2, 9), st.integers(0, 30)), st.tuples(st.integers(2, 9), st.integers(0, 30)))
def test_kernel_conditions(have: tuple[int, int], minimum: tuple[int, int]) -> None:
    """Versions compare as numbers: 4.10 is newer than 4.8."""
    text = f"{minimum[0]}.{minimum[1]}"
    assert (names(profile(rule(includes={"minKernel": text})), kernel=have) == ["x"]) == (have >= minimum)
    assert (names(profile(rule(excludes={"minKernel": text})), kernel=have) == ["x"]) == (have < minimum)


def test_an_empty_profile_filters_nothing() -> None:
    """Neither a default action nor rules: no filter, as containers/common has it."""
    assert evaluate("{}", (), "x86_64", (6, 1)) is None


@pytest.mark.parametrize(
    "text", ["", "[]", "nonsense", '{"syscalls": [{}]}', '{"defaultAction": "x", "syscalls": [1]}']
)
def test_what_is_no_profile_is_said_to_be_none(text: str) -> None:
    """A damaged file is the user's to repair, not a traceback."""
    with pytest.raises(UserError, match="seccomp profile"):
        evaluate(text, (), "x86_64", (6, 1))


def test_an_unknown_architecture_is_refused() -> None:
    """Without knowing the architecture no rule could be judged."""
    with pytest.raises(UserError, match="mips"):
        evaluate(profile(), (), "mips", (6, 1))
