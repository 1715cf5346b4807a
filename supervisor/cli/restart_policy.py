"""``--restart`` of ``ctrctl run``, ``create`` and ``update`` in systemd's words. Pure."""

from __future__ import annotations

from supervisor.cli import option
from supervisor.definitions import values
from supervisor.errors import UserError
from supervisor.spec.container import Entry, UnitSections


def sections(policy: str | None) -> UnitSections:
    """``--restart`` in systemd's words (systemd.service(5) Restart=, systemd.unit(5) StartLimitBurst=). Raises
    `UserError`."""
    word, _, count = (policy or "no").partition(":")
    if word == "no" and not count:
        return UnitSections()
    pause = Entry("RestartSec", "1")
    if word == "on-failure":
        # The first start counts as well.
        burst = option.read("--restart", lambda text: values.integer(text, 0, 10_000) + 1, count) if count else 0
        limit = Entry("StartLimitIntervalSec", "infinity" if burst else "0")
        unit = (limit, Entry("StartLimitBurst", str(burst))) if burst else (limit,)
        return UnitSections(unit, (Entry("Restart", "on-failure"), pause))
    if word in ("always", "unless-stopped") and not count:
        return UnitSections(
            (Entry("StartLimitIntervalSec", "0"),),
            (Entry("Restart", "always"), pause),
            (Entry("WantedBy", "multi-user.target"),),
        )
    raise UserError(
        f"--restart: {values.short(policy or '')} is unknown; use no, on-failure[:N], always or unless-stopped"
    )
