"""Limits of ``ctrctl run`` that systemd spells differently."""

from __future__ import annotations

import pytest

from supervisor.cli import run_options
from supervisor.cli.parser import parser
from supervisor.errors import UserError


def limits(*argv: str) -> dict[str, str]:
    options = parser("run", "summary", ())
    run_options.configure("run", options)
    args = options.parse_args((*argv, "image"))
    made = run_options.request(args, "web", run_options.Caller("/")).container
    return {p.name: p.value for p in made.scope_properties}


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("--cpu-quota 50000", {"CPUQuotaPerSecUSec": "500000"}),
        ("--cpu-quota 50000 --cpu-period 25000", {"CPUQuotaPerSecUSec": "2000000", "CPUQuotaPeriodUSec": "25000"}),
        ("--cpu-quota -1", {"CPUQuotaPerSecUSec": str(2**64 - 1)}),
        ("--blkio-weight 10", {"IOWeight": "1"}),
        ("--blkio-weight 1000", {"IOWeight": "10000"}),
    ],
)
def test_quotas_and_weights(words: str, found: dict[str, str]) -> None:
    """A quota for a period is one for a second; cgroup v1 weights become v2's."""
    assert limits(*words.split()) == found


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--cpus 1 --cpu-quota 50000", "--cpus: contradicts --cpu-quota"),
        ("--cpus 1 --cpu-period 50000", "--cpus: contradicts --cpu-quota and --cpu-period"),
        ("--cpu-period 999", "--cpu-period: '999' is not a number from 1000 to 1000000"),
        ("--cpu-quota half", "--cpu-quota: 'half'"),
        ("--blkio-weight 5", "--blkio-weight: '5'"),
        ("-m -1G", "--memory: '-1G' is negative"),
    ],
)
def test_mistakes_name_the_option(words: str, message: str) -> None:
    """Every message begins with what to correct."""
    with pytest.raises(UserError, match=f"^{message}"):
        limits(*words.split())
