"""What is known of the health of one run of a container, and the text it is kept as. Pure.

Plain classes, frozen by custom, for the reason given in `supervisor.health.plan`.
"""

from __future__ import annotations

from supervisor.errors import InternalError

STARTING, HEALTHY, UNHEALTHY = "starting", "healthy", "unhealthy"

#: The code of a probe that was killed because it took too long; docker's.
TIMED_OUT = -1


class Result:
    """One probe. *start* and *end* are seconds since the epoch; *code* is an exit status (0: healthy), 128 + signal, or
    `TIMED_OUT`; *output* is what the command wrote, cut to the definition's size."""

    __slots__ = ("code", "end", "output", "start")

    def __init__(self, start: float, end: float, code: int, output: str) -> None:
        self.start = start
        self.end = end
        self.code = code
        self.output = output

    @property
    def passed(self) -> bool:
        return self.code == 0


class State:
    """The health of one run."""

    __slots__ = ("acted", "began", "counted", "failures", "invocation", "results", "status", "successes")

    def __init__(
        self,
        *,
        invocation: str,
        began: float,
        counted: float,
        status: str = STARTING,
        failures: int = 0,
        successes: int = 0,
        acted: bool = False,
        results: tuple[Result, ...] = (),
    ) -> None:
        self.invocation = invocation  #: of ctr@NAME.service; another one means another run
        self.began = began  #: when the run began, seconds of the monotonic clock
        self.counted = counted  #: when a failure last counted, likewise
        self.status = status
        self.failures = failures  #: consecutive ones that counted
        self.successes = successes  #: consecutive ones of the startup probe
        self.acted = acted  #: whether the definition's action was done since it is unhealthy
        self.results = results  #: oldest first


def begin(invocation: str, now: float) -> State:
    """The health of a run that began at *now* (seconds of the monotonic clock) and was not probed yet."""
    return State(invocation=invocation, began=now, counted=now)


def dumps(state: State) -> str:
    """*state* as text."""
    lines = [
        f"invocation={state.invocation}",
        f"began={state.began!r}",
        f"counted={state.counted!r}",
        f"status={state.status}",
        f"failures={state.failures}",
        f"successes={state.successes}",
        f"acted={int(state.acted)}",
    ]
    for result in state.results:
        output = result.output.encode("unicode_escape").decode("ascii")
        lines.append(f"result={result.start!r} {result.end!r} {result.code} {output}")
    return "\n".join(lines) + "\n"


def loads(text: str) -> State:
    """Inverse of `dumps`. Raises `InternalError` for a text that is none of ours."""
    values: dict[str, str] = {}
    results = []
    try:
        for line in text.splitlines():
            key, _, value = line.partition("=")
            if key == "result":
                start, end, code, output = value.split(" ", 3)
                text_of = output.encode("ascii").decode("unicode_escape")
                results.append(Result(float(start), float(end), int(code), text_of))
            else:
                values[key] = value
        return State(
            invocation=values["invocation"],
            began=float(values["began"]),
            counted=float(values["counted"]),
            status=values["status"],
            failures=int(values["failures"]),
            successes=int(values["successes"]),
            acted=values.get("acted") == "1",
            results=tuple(results),
        )
    except (KeyError, ValueError) as error:
        raise InternalError(f"health record: damaged: {error}") from error
