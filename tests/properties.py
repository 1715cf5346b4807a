"""How property tests are made: the same examples in every run, so that a change is to blame when one fails.

To look for more, ``CTR_FUZZ=20000 contrib/test unit`` tries that many of each kind, new ones every time. None has a
time limit of its own: test machines are shared, and slow is not wrong.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

#: Examples wanted of each kind, 0 for the usual ones.
WANTED = int(os.environ.get("CTR_FUZZ", "0"))

settings.register_profile(
    "ctr",
    deadline=None,
    derandomize=not WANTED,
    max_examples=WANTED or 100,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("ctr")
