"""``ctrctl check``: what is wrong with definitions, what they use, what a key means, and what an apply would do.

Changes nothing, and but for ``--plan`` needs no rights. Where a key is explained is the coverage table's business
(`supervisor.definitions.coverage`), what an apply would do that of `supervisor.deploy`.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterable

from supervisor.cli.apply import absolute, load_definitions
from supervisor.cli.console import Console
from supervisor.definitions import coverage, podman_args
from supervisor.definitions.coverage import Key, State
from supervisor.definitions.load import Loaded
from supervisor.errors import DefinitionError, UserError

EXAMPLES = {
    "check": (
        "ctrctl check                             everything in /etc/ctr",
        "ctrctl check /etc/containers/systemd     what podman has: would it run here?",
        "ctrctl check --explain Memory            one key",
        "ctrctl check --explain=--cpus            one option in PodmanArgs=",
        "ctrctl check --plan                      what 'ctrctl apply' would do, field by field",
    )
}

_STYLES = {State.DONE: "green", State.REFUSED: "red", State.NO_EFFECT: "yellow"}


def configure(verb: str, parser: argparse.ArgumentParser) -> None:
    """Options of ``check``."""
    parser.add_argument(
        "paths", nargs="*", metavar="FILE", help="definitions, or directories of them (default: /etc/ctr)"
    )
    parser.add_argument("--explain", metavar="KEY", help="say what becomes of a key (or all): Memory, Pod.Volume")
    parser.add_argument("--plan", action="store_true", help="say what would be deployed and changed (needs root)")


def run(verb: str, args: argparse.Namespace, console: Console) -> int:
    """Returns 0. Raises `DefinitionError` with every mistake, after the summary."""
    if args.explain is not None:
        if args.paths or args.plan:
            raise UserError("--explain: explains a key, so neither files nor --plan can be given beside it")
        _explain(args.explain, console)
        return 0
    paths = absolute(args.paths, console)
    if args.plan:
        console.need_root("check --plan")
    loaded, problems = load_definitions(paths, console)
    _summarize(loaded, console)
    if problems:
        raise DefinitionError(problems)
    if args.plan:
        from supervisor.cli.planning import show

        show(loaded, paths, console)
    return 0


def _summarize(loaded: Loaded, console: Console) -> None:
    kinds = {
        "container": loaded.containers,
        "pod": loaded.pods,
        "network": loaded.networks,
        "volume": loaded.volumes,
        "image": loaded.images,
        "build": loaded.builds,
    }
    words = [f"{len(found)} {kind}{'' if len(found) == 1 else 's'}" for kind, found in kinds.items() if found]
    console.line(f"valid: {', '.join(words) or 'nothing'}")
    used = [key for at in loaded.assignments if (key := coverage.find(at.section, at.key))]
    for state in State:
        names = Counter(f"{key.name}=" for key in used if key.state is state)
        if not names:
            continue
        # Of those that do what they say, only the number is of interest.
        which = "" if state is State.DONE else f": {', '.join(_times(names))}"
        console.line(f"keys {state.value}: {console.color(_STYLES[state], str(names.total()))}{which}")


def _times(names: Counter[str]) -> Iterable[str]:
    return (name if count == 1 else f"{name} ({count} times)" for name, count in sorted(names.items()))


def _explain(text: str, console: Console) -> None:
    if text.startswith("-"):
        if podman_args.find(text) is None:
            raise UserError(podman_args.explain(text))
        console.line(podman_args.explain(text))
        return
    found = coverage.TABLE if text == "all" else coverage.lookup(text)
    for number, key in enumerate(found):
        if number:
            console.line()
        _explain_one(key, console)


def _explain_one(key: Key, console: Console) -> None:
    section = "every section of Quadlet's own" if key.section == coverage.ANY else f"[{key.section}]"
    console.line(f"{key.name}= in {section}: {console.color(_STYLES[key.state], key.state.value)}")
    often = "; may be given several times" if key.repeatable and key.state is State.DONE else ""
    for text in filter(None, (key.meaning + often, key.reason)):
        console.line(f"  {text}")
