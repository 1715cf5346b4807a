"""What one caller may take from the others: credits for reading, places for actions. Pure; the clock is passed in."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable
from enum import Enum

#: Credits a caller may save up, and gets a second. A call costs one, and one more for every 256 bytes of its answer;
#: what ``busctl tree`` does with 1,000 containers costs 17,000, GetManagedObjects 2,600.
BURST, RATE = 20_000.0, 2000.0
#: A caller that goes on after so many refusals is not answered any more until it has been quiet.
PATIENCE = 500.0
#: Actions that may be under way, of one caller and of all.
PLACES, ALL_PLACES = 8, 64
_CALLERS = 4096


class Verdict(Enum):
    """What to do with a call."""

    SERVE = "serve"
    REFUSE = "refuse"
    DROP = "drop"


class Credits:
    """Who may call how often. Remembers the last few thousand callers."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """*clock* gives seconds that only grow."""
        self._clock = clock
        self._accounts: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def judge(self, caller: str) -> Verdict:
        """Charge *caller* for one call."""
        now = self._clock()
        level, at = self._accounts.pop(caller, (BURST, now))
        level = min(BURST, level + (now - at) * RATE)
        verdict = Verdict.SERVE if level >= 1 else Verdict.REFUSE if level > -PATIENCE else Verdict.DROP
        self._accounts[caller] = (level if verdict is Verdict.DROP else level - 1, now)
        if len(self._accounts) > _CALLERS:
            self._accounts.popitem(last=False)
        return verdict

    def charge(self, caller: str, size: int) -> None:
        """Charge *caller* for an answer of *size* bytes. However long it is, the next call is refused, not dropped."""
        if account := self._accounts.get(caller):
            self._accounts[caller] = (max(account[0] - (size >> 8), min(0.0, account[0])), account[1])


class Places:
    """Counts the actions under way."""

    def __init__(self) -> None:
        self._taken: Counter[str] = Counter()
        self._all = 0

    def take(self, caller: str) -> bool:
        """Take a place for *caller*, to be given back with `leave`; False when there is none."""
        if self._all >= ALL_PLACES or self._taken[caller] >= PLACES:
            return False
        self._taken[caller] += 1
        self._all += 1
        return True

    def leave(self, caller: str) -> None:
        """Give a place back."""
        self._all -= 1
        self._taken[caller] -= 1
        if not self._taken[caller]:
            del self._taken[caller]
