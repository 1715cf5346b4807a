"""``ctrctl completion``: the scripts for bash, zsh and fish, and the answer they ask for at each TAB.

The scripts hold no list of verbs or options: they ask ``ctrctl completion words``, which reads the very parsers the
verbs use, so nothing can go stale. The same scripts lie in contrib/completions for packagers (a test compares them).
"""

from __future__ import annotations

from supervisor.cli.containers import deployed, pods
from supervisor.cli.main import VERBS, verb_parser

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

    from supervisor.cli.console import Console
    from supervisor.paths import Layout

    Candidate = tuple[str, str]
    """A word that fits, and what it means."""

EXAMPLES = {
    "completion": (
        "ctrctl completion bash > /etc/bash_completion.d/ctrctl",
        "ctrctl completion zsh > /usr/local/share/zsh/site-functions/_ctrctl",
        "ctrctl completion fish > ~/.config/fish/completions/ctrctl.fish",
    )
}

SCRIPTS = {
    "bash": """\
# bash completion for ctrctl. File names are completed where ctrctl has nothing to offer.
_ctrctl() {
    local words line="${COMP_LINE:0:COMP_POINT}" IFS=$' \\t'
    read -ra words <<<"$line"
    [[ $line == *[[:blank:]] ]] && words+=("")
    local current="${words[-1]}" IFS=$'\\n'
    COMPREPLY=($(ctrctl completion words -- "${words[@]:1}" 2>/dev/null | cut -f1))
    # readline takes ':' and '=' as the start of a new word; image names have the one, filters the other.
    local kept="${current%"${current##*[:=]}"}"
    COMPREPLY=("${COMPREPLY[@]#"$kept"}")
}
complete -o default -F _ctrctl ctrctl
""",
    "zsh": """\
#compdef ctrctl
# zsh completion for ctrctl. File names are completed where ctrctl has nothing to offer.
local -a found
local word text
while IFS=$'\\t' read -r word text; do
    found+=("${word//:/\\\\:}:${text}")
done < <(ctrctl completion words -- "${(@)words[2,CURRENT]}" 2>/dev/null)
if (( ${#found} )); then
    _describe ctrctl found
else
    _files
fi
""",
    "fish": """\
# fish completion for ctrctl. File names are completed where ctrctl has nothing to offer.
function __ctrctl_words
    set -l words (commandline -opc) (commandline -ct)
    set -l found (ctrctl completion words -- $words[2..] 2>/dev/null)
    if test (count $found) -gt 0
        printf '%s\\n' $found
    else
        __fish_complete_path (commandline -ct)
    end
end
complete -c ctrctl -f -a '(__ctrctl_words)'
""",
}

#: What the words after the options are, by verb; the others take files or nothing we could know.
_CONTAINERS = (
    *("start", "stop", "restart", "kill", "pause", "unpause", "wait", "update", "rm"),
    *("stats", "top", "monitor", "logs", "inspect", "port", "diagnose", "deps", "plot"),
)
_ONE_CONTAINER = ("exec", "top", "monitor", "logs", "port", "healthcheck", "diagnose", "deps")
_ONE_IMAGE = ("run", "create")
_VOLUME_ACTIONS = (" rm", " inspect", " export", " import")


def configure(verb: str, parser: argparse.ArgumentParser) -> None:
    """Options of ``completion``."""
    parser.add_argument("shell", choices=(*SCRIPTS, "words"), help="the shell; 'words' is what its script asks")
    parser.add_argument("words", nargs="*", metavar="WORD", help="for 'words': the command line after ctrctl so far")


def run(verb: str, args: argparse.Namespace, console: Console) -> int:
    """Print the script, or one candidate per line with its meaning after a tab."""
    if args.shell in SCRIPTS:
        console.stdout.write(SCRIPTS[args.shell])
        return 0
    for word, meaning in candidates(args.words, console.layout):
        console.line(f"{word}\t{meaning}")
    return 0


def candidates(words: Sequence[str], layout: Layout) -> tuple[Candidate, ...]:
    """What may stand in place of the last of *words*, which may be incomplete or empty."""
    current = words[-1] if words else ""
    return tuple(found for found in _all(words[:-1], current, layout) if found[0].startswith(current))


def _all(before: Sequence[str], current: str, layout: Layout) -> Iterator[Candidate]:
    if not before:
        yield from ((verb, summary) for verb, (_, summary) in VERBS.items())
        yield "help", "show how a verb is used"
        return
    verb = before[0]
    if verb == "help" and len(before) == 1:
        yield from ((name, summary) for name, (_, summary) in VERBS.items())
        return
    if verb not in VERBS or "--" in before:
        return
    parser, given = _innermost(verb_parser(verb)[1], before[1:])
    pending = _option(parser, before[-1]) if len(before) > 1 else None
    if pending is not None and pending.dest == "explain":
        from supervisor.definitions.coverage import TABLE

        yield from ((f"{key.section}.{key.name}", key.meaning) for key in TABLE)
    elif pending is not None and pending.dest == "filter" and verb == "ps":
        yield from _filters(layout)
    elif pending is not None and pending.nargs != 0:
        yield from ((str(choice), "") for choice in pending.choices or ())
    elif current.startswith("-"):
        for action in parser._actions:
            yield from ((option, (action.help or "").partition(":")[0]) for option in action.option_strings)
    else:
        yield from _positional(verb, parser, given, layout)


def _filters(layout: Layout) -> Iterator[Candidate]:
    """What ``ps --filter`` takes, but for names and labels, which are anybody's."""
    from supervisor.cli.ps import HEALTHS
    from supervisor.lifecycle.phase import Phase

    yield from ((f"pod={name}", "pod") for name in _pods(layout))
    yield from ((f"status={phase.value}", "status") for phase in Phase)
    yield from ((f"health={health}", "health") for health in HEALTHS)


def _innermost(parser: argparse.ArgumentParser, words: Sequence[str]) -> tuple[argparse.ArgumentParser, int]:
    """The parser in force after *words*, and how many of its positional words were given."""
    given, skip = 0, False
    for word in words:
        if skip:
            skip = False
        elif word.startswith("-"):
            option = _option(parser, word)
            skip = option is not None and option.nargs != 0 and "=" not in word
        elif (below := _subparsers(parser)) and word in below:
            parser, given = below[word], 0
        else:
            given += 1
    return parser, given


def _option(parser: argparse.ArgumentParser, word: str) -> argparse.Action | None:
    # argparse offers no public way to ask for its options; these two names have been the same since 2.7.
    return parser._option_string_actions.get(word)


def _subparsers(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    for action in parser._actions:
        if action.nargs == "A..." and isinstance(action.choices, dict):
            return action.choices
    return {}


def _positional(verb: str, parser: argparse.ArgumentParser, given: int, layout: Layout) -> Iterator[Candidate]:
    if _subparsers(parser):
        for action in parser._actions:
            # Those with a help; other names of one are not offered.
            yield from ((named.dest, named.help or "") for named in getattr(action, "_choices_actions", ()))
    elif (verb in _CONTAINERS and verb not in _ONE_CONTAINER) or (verb in _ONE_CONTAINER and not given):
        yield from ((name, "container") for name in sorted(deployed(layout)))
    elif verb == "graph" and not given:
        yield from ((name, "project") for name in _projects(layout))
    elif verb == "cp":
        yield from ((f"{name}:", "container") for name in sorted(deployed(layout)))
    elif (verb in _ONE_IMAGE and not given) or verb in ("image", "pull"):
        yield from ((name, "image") for name in _images(layout))
    elif verb == "network" and parser.prog.endswith((" rm", " inspect")):
        yield from ((name, "network") for name in _networks(layout))
    elif verb == "pod" and not parser.prog.endswith(" ls") and not (given and parser.prog.endswith(" logs")):
        yield from ((name, "pod") for name in _pods(layout))
    elif verb == "volume" and parser.prog.endswith((" rm", " inspect") if given else _VOLUME_ACTIONS):
        yield from ((name, "volume") for name in _volumes(layout))
    elif verb == "secret" and parser.prog.endswith((" rm", " inspect")):
        yield from ((name, "secret") for name in _secrets(layout))
    else:
        fixed = [action for action in parser._actions if not action.option_strings and action.choices]
        yield from ((str(choice), "") for action in fixed[given : given + 1] for choice in action.choices or ())


def _projects(layout: Layout) -> tuple[str, ...]:
    from supervisor.inventory import cards

    return tuple(sorted({card.project for card in cards.read_all(layout).values() if card.project}))


def _networks(layout: Layout) -> tuple[str, ...]:
    import os

    try:
        entries = os.listdir(layout.networks)
    except OSError:
        return ()  # none, or root's own
    return tuple(sorted(entry.removesuffix(".json") for entry in entries if entry.endswith(".json")))


def _pods(layout: Layout) -> tuple[str, ...]:
    return tuple(sorted(pods(layout)))


def _volumes(layout: Layout) -> tuple[str, ...]:
    from supervisor.cli.volume import every

    try:
        return tuple(every(layout))
    except PermissionError:
        return ()  # root's own


def _secrets(layout: Layout) -> tuple[str, ...]:
    from supervisor.cli.secret import secrets

    try:
        return tuple(secret["name"] for secret in secrets(layout))
    except PermissionError:
        return ()  # root's own


def _images(layout: Layout) -> tuple[str, ...]:
    from supervisor.images.store import Store

    return tuple(name for image in Store(layout).list() for name in image.names)
