"""From what is seen of a container to the likely cause and what to do: a table of rules, the first that fits counts.
Pure.

A rule looks at `Symptoms` and answers with a `Verdict` or None. Order matters: what somebody did on purpose comes
before what waits, what waits before what failed, the reason before its consequences.
"""

from __future__ import annotations

from collections.abc import Callable

from supervisor.cli.symptoms import Level, Symptoms, Verdict, counted
from supervisor.graph.waiting import label, why
from supervisor.lifecycle.phase import Phase
from supervisor.names import service_unit

#: A program that ends sooner than this has hardly begun.
_AT_ONCE_SECONDS = 3.0
_LOOP_RESTARTS = 2
#: A share of the periods of the CPU quota in which the container was held back.
_THROTTLED = 0.25
#: systemd.service(5), Restart=: what starts a container again after a failure.
_RESTARTS = frozenset(("always", "on-failure", "on-abnormal", "on-abort", "on-watchdog"))


def verdict(seen: Symptoms) -> Verdict:
    """What the first rule says that fits."""
    return next(found for rule in RULES if (found := rule(seen)) is not None)


def _broken_unit(seen: Symptoms) -> Verdict | None:
    unit = service_unit(seen.name)
    if seen.load == "masked":
        return Verdict(Level.FAILED, "its unit is masked, so nothing can start it", f"systemctl unmask {unit}")
    if seen.load not in ("loaded", "stub", "merged"):
        return Verdict(
            Level.FAILED,
            f"systemd cannot load its unit ({seen.load})",
            f"'systemd-analyze verify {unit}' says why; 'ctrctl apply' writes our part of it anew",
        )
    return None


def _paused(seen: Symptoms) -> Verdict | None:
    if seen.phase is not Phase.PAUSED:
        return None
    return Verdict(Level.WARNING, "it is paused: every process of it is frozen", f"ctrctl unpause {seen.name}")


def _stopping(seen: Symptoms) -> Verdict | None:
    if seen.phase is not Phase.STOPPING or not seen.is_asked_to_stop:
        return None
    return Verdict(
        Level.BUSY,
        "it is being stopped, and its main process has not ended yet",
        f"wait (TimeoutStopSec= of its unit ends it), or 'ctrctl kill {seen.name}'",
    )


def _waiting(seen: Symptoms) -> Verdict | None:
    """Its start is queued behind something else."""
    if not seen.jobs or seen.jobs[0][1].state != "waiting" or seen.jobs[0][1].unit != service_unit(seen.name):
        return None
    running = [job for depth, job in seen.jobs if depth and job.state == "running"]
    if not running:
        return Verdict(Level.BUSY, "its start is queued in systemd", "wait; 'systemctl list-jobs' shows the queue")
    first = running[0]
    return Verdict(
        Level.BUSY,
        f"its start waits for {label(first.unit)}: {why(first)}",
        f"see 'ctrctl deps {seen.name}'; 'systemctl cancel {seen.jobs[0][1].id}' gives up",
    )


def _culprit(seen: Symptoms) -> Verdict | None:
    """Something that it requires failed, so that it could not start: the root of it, not what lies in between."""
    if not seen.culprits or not seen.is_down:
        return None
    first = seen.culprits[0]
    cause, _, advice = first.words.partition("; ")
    if len(first.way) == 2 and first.name == seen.name:
        return Verdict(Level.FAILED, f"its network could not be set up: {cause}", advice)
    through = [step for step in first.way[1:-1] if step]
    way = f", which it requires through {' and '.join(map(label, through))}," if through else ", which it requires,"
    where = f"ctrctl diagnose {first.name}" if first.name != first.unit else f"systemctl status {first.unit}"
    return Verdict(Level.FAILED, f"{first.name}{way} failed: {cause}", advice or where)


def _memory(seen: Symptoms) -> Verdict | None:
    if not seen.oom or not (seen.ended_badly or seen.is_down):
        return None
    return Verdict(
        Level.FAILED,
        "it ran out of memory: the kernel's OOM killer ended a process of it",
        "raise MemoryMax= (or --memory), or have the program use less",
    )


def _image(seen: Symptoms) -> Verdict | None:
    gone = "/images/layers/" in seen.launcher and "No such file" in seen.launcher
    if not (seen.image_missing or gone) or not (seen.is_down or seen.ended_badly):
        return None
    return Verdict(
        Level.FAILED,
        f"its image {seen.image} is not in the store any more",
        f"ctrctl pull {seen.image}, then 'ctrctl apply'",
    )


def _command(seen: Symptoms) -> Verdict | None:
    """The program never ran; docker's and podman's exit codes."""
    if not seen.ended_badly or not seen.launcher or seen.status not in (126, 127):
        return None
    reason = seen.launcher.removeprefix(f"{seen.name}: ")
    if seen.status == 127:
        return Verdict(
            Level.FAILED,
            f"its command was not found in the image ({reason})",
            "correct Exec= or Entrypoint=, or the PATH in the image",
        )
    return Verdict(
        Level.FAILED,
        f"its command cannot be executed ({reason})",
        "it has to be a program for this architecture with the x bit, and its interpreter has to be in the image",
    )


def _mount(seen: Symptoms) -> Verdict | None:
    """A bind mount's source, a volume's directory."""
    if not seen.ended_badly or "mount" not in seen.launcher or "does not exist" not in seen.launcher:
        return None
    cause, _, advice = seen.launcher.removeprefix(f"{seen.name}: ").partition("; ")
    return Verdict(Level.FAILED, f"something it mounts is missing: {cause}", advice or "make it, or drop the Volume=")


def _credentials(seen: Symptoms) -> Verdict | None:
    if not seen.ended_badly or not seen.credentials:
        return None
    cause, _, advice = seen.credentials.partition("; ")
    return Verdict(Level.FAILED, cause, advice)


def _launcher(seen: Symptoms) -> Verdict | None:
    """Anything else that kept it from being started; the launcher's own words say what to do."""
    if not seen.ended_badly or not seen.launcher or seen.status != 125:
        return None
    cause, _, advice = seen.launcher.removeprefix(f"{seen.name}: ").partition("; ")
    return Verdict(Level.FAILED, f"it could not be started: {cause}", advice)


def _condition(seen: Symptoms) -> Verdict | None:
    if seen.condition or not seen.is_down:
        return None
    unit = service_unit(seen.name)
    return Verdict(
        Level.IDLE, "systemd skipped its start: a Condition… line of its unit is not met", f"systemctl status {unit}"
    )


def _timeout(seen: Symptoms) -> Verdict | None:
    if not seen.ended_badly or seen.result != "timeout":
        return None
    return Verdict(
        Level.FAILED,
        "it took too long to start or to stop, and systemd killed it (result 'timeout')",
        "raise TimeoutStartSec= (or StopTimeout=); with Notify=, see that the program says READY=1 or becomes healthy",
    )


def _watchdog(seen: Symptoms) -> Verdict | None:
    if not seen.ended_badly or seen.result != "watchdog":
        return None
    return Verdict(Level.FAILED, "it stopped sending WATCHDOG=1, so systemd ended it", "see its log; or WatchdogSec=")


def _gave_up(seen: Symptoms) -> Verdict | None:
    """Restart= would have started it again, and did not."""
    limit = seen.result == "start-limit-hit" or (
        seen.phase in (Phase.FAILED, Phase.EXITED)
        and seen.result not in ("success", "")
        and seen.policy in _RESTARTS
        and seen.restarts > 0
    )
    if not limit or not seen.is_down:
        return None
    after = f" after {counted(seen.restarts, 'restart')}" if seen.restarts else ""
    return Verdict(
        Level.FAILED,
        f"systemd gave up{after}: the start limit was hit (StartLimitBurst=); every time {_ending(seen)}",
        f"correct that, then 'ctrctl start {seen.name}'",
    )


def _looping(seen: Symptoms) -> Verdict | None:
    if seen.restarts < _LOOP_RESTARTS or not (
        seen.phase in (Phase.RESTARTING, Phase.STARTING)
        or (seen.phase is Phase.STOPPING and not seen.is_asked_to_stop)
        or (seen.phase is Phase.RUNNING and seen.seconds is not None and seen.seconds < _AT_ONCE_SECONDS)
    ):
        return None
    return Verdict(
        Level.FAILED,
        f"it restarts in a loop, {seen.restarts} times so far: {_ending(seen)}",
        f"see what it says before it ends: ctrctl logs --tail 20 {seen.name}",
    )


def _asked(seen: Symptoms) -> Verdict | None:
    """It was stopped, and says so in a way that systemd takes for a failure."""
    if not seen.is_down or (seen.code, seen.status) != ("exited", 143):
        return None
    return Verdict(
        Level.IDLE,
        "it was asked to stop and did, with status 143 (128 + SIGTERM), which systemd takes for a failure",
        "SuccessExitStatus=143 in its [Service] section says that this is fine",
    )


def _ended(seen: Symptoms) -> Verdict | None:
    """Its own program failed."""
    if not seen.ended_badly or not seen.code:
        return None
    again = "; systemd starts it again" if seen.phase is Phase.RESTARTING else ""
    return Verdict(Level.FAILED, f"{_ending(seen)}{again}", f"see its log: ctrctl logs --tail 20 {seen.name}")


def _failed(seen: Symptoms) -> Verdict | None:
    if not seen.ended_badly:
        return None
    unit = service_unit(seen.name)
    words = f"its unit failed with result '{seen.result}'"
    return Verdict(Level.FAILED, words, f"see 'journalctl -u {unit}'")


def _cleaning(seen: Symptoms) -> Verdict | None:
    if seen.phase is not Phase.STOPPING:
        return None
    return Verdict(Level.BUSY, "it has ended, and is being cleaned up after", "wait")


def _starting(seen: Symptoms) -> Verdict | None:
    if seen.phase is not Phase.STARTING:
        return None
    return Verdict(
        Level.BUSY,
        "it is being started, and has not said that it is ready",
        "wait (TimeoutStartSec= limits that); with Notify=healthy its health check has to pass first",
    )


def _unhealthy(seen: Symptoms) -> Verdict | None:
    if seen.phase is not Phase.RUNNING or seen.health != "unhealthy":
        return None
    often = f"{seen.streak} times in a row" if seen.streak > 1 else "the last time"
    said = f": {seen.probe}" if seen.probe else ""
    return Verdict(
        Level.FAILED,
        f"it runs, but its health check failed {often}{said}",
        f"ctrctl healthcheck run {seen.name}; ctrctl logs --tail 20 {seen.name}",
    )


def _probing(seen: Symptoms) -> Verdict | None:
    if seen.phase is not Phase.RUNNING or seen.health != "starting":
        return None
    said = f"; the last probe said: {seen.probe}" if seen.probe else ""
    return Verdict(Level.BUSY, f"it runs, and is not healthy yet{said}", f"wait: ctrctl start --wait {seen.name}")


def _limits(seen: Symptoms) -> Verdict | None:
    """It runs, against the walls."""
    if seen.phase is not Phase.RUNNING:
        return None
    if seen.oom:
        return Verdict(
            Level.WARNING,
            f"it runs, but the OOM killer ended {seen.oom} of its processes",
            "raise MemoryMax= (or --memory)",
        )
    if seen.pids:
        return Verdict(
            Level.WARNING,
            f"it runs, but could not start processes {counted(seen.pids)}: its limit of processes was hit",
            "raise TasksMax= (or --pids-limit)",
        )
    if seen.memory_high or seen.memory_max:
        which = "MemoryHigh=, which slows it down" if seen.memory_high else "MemoryMax="
        return Verdict(Level.WARNING, f"it runs, but has hit {which}", "raise that, or have the program use less")
    if seen.throttled > _THROTTLED:
        return Verdict(
            Level.WARNING,
            f"it runs, but its CPU quota holds it back {seen.throttled:.0%} of the time",
            "raise CPUQuota= (or --cpus)",
        )
    return None


def _broken_needs(seen: Symptoms) -> Verdict | None:
    if seen.phase is not Phase.RUNNING or not seen.culprits:
        return None
    first = seen.culprits[0]
    return Verdict(
        Level.WARNING,
        f"it runs, but {first.name}, which it requires, has failed: {first.words.partition('; ')[0]}",
        f"ctrctl diagnose {first.name}" if first.name != first.unit else f"systemctl status {first.unit}",
    )


def _ailing_needs(seen: Symptoms) -> Verdict | None:
    if seen.phase is not Phase.RUNNING or not seen.ailing:
        return None
    are = f"{seen.ailing[0]}, which it requires, is" if len(seen.ailing) == 1 else f"{', '.join(seen.ailing)} are"
    return Verdict(Level.WARNING, f"it runs, but {are} unhealthy", f"ctrctl diagnose {seen.ailing[0]}")


def _running(seen: Symptoms) -> Verdict | None:
    if seen.phase is not Phase.RUNNING:
        return None
    return Verdict(Level.OK, "all is well: it runs" + (" and is healthy" if seen.health == "healthy" else ""))


def _done(seen: Symptoms) -> Verdict | None:
    if seen.phase is not Phase.EXITED:
        return None
    if seen.code == "killed":
        words = f"it was stopped, by {seen.signal or f'signal {seen.status}'}"
    else:
        words = f"it has ended, and well (status {seen.status})"
    return Verdict(Level.IDLE, words, f"to run it again: ctrctl start {seen.name}")


def _stopped(seen: Symptoms) -> Verdict:
    words = "it was stopped" if seen.code else "it is not running, and no failure of it is known"
    return Verdict(Level.IDLE, words, f"ctrctl start {seen.name}")


def _ending(seen: Symptoms) -> str:
    """How the last run ended, in words that follow a comma or a colon."""
    if seen.code == "dumped":
        how = f"it crashed with {seen.signal or f'signal {seen.status}'}"
    elif seen.code == "killed":
        how = f"it was killed by {seen.signal or f'signal {seen.status}'}"
    elif seen.code == "exited":
        soon = seen.seconds is not None and seen.seconds < _AT_ONCE_SECONDS
        how = f"it exited {'at once ' if soon else ''}with status {seen.status}"
    else:
        how = f"its result was '{seen.result}'"
    return f"{how}; it last said: {seen.output}" if seen.output else how


RULES: tuple[Callable[[Symptoms], Verdict | None], ...] = (
    _broken_unit,
    _paused,
    _stopping,
    _waiting,
    _culprit,
    _memory,
    _image,
    _mount,
    _command,
    _credentials,
    _launcher,
    _condition,
    _timeout,
    _watchdog,
    _asked,
    _gave_up,
    _looping,
    _ended,
    _failed,
    _cleaning,
    _starting,
    _unhealthy,
    _probing,
    _limits,
    _broken_needs,
    _ailing_needs,
    _running,
    _done,
    _stopped,
)
