"""The program ``ctrctl``: finds the verb, imports that one module, maps errors to exit codes.

Owns the list of verbs and every way out: messages, exit codes, Ctrl-C, a reader that went away. Does no verb's work.

A verb module ``supervisor.cli.MODULE`` has::

    EXAMPLES: dict[str, tuple[str, ...]]       # verb -> command lines shown at the end of its --help
    def configure(verb: str, parser: argparse.ArgumentParser) -> None
    def run(verb: str, args: argparse.Namespace, console: Console) -> int

``run`` returns the exit code; it raises a `CtrError` for anything it cannot do.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from io import TextIOWrapper

from supervisor.cli.console import Console, printable
from supervisor.errors import DefinitionError, UserError
from supervisor.paths import Layout

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TextIO

    from supervisor.cli.parser import Parser

#: Of ours, not of the container: as docker-run(1) and podman-run(1) "Exit Status".
FAILED = 125
INVALID_DEFINITION = 1
INTERRUPTED = 130
BROKEN_PIPE = 141

#: verb -> (module below supervisor.cli, one-line help)
VERBS: dict[str, tuple[str, str]] = {
    "run": ("run", "make a container from an image and start it"),
    "create": ("run", "make a container without starting it"),
    "ps": ("ps", "list containers"),
    "start": ("lifecycle", "start containers and wait until they run"),
    "stop": ("lifecycle", "stop containers and wait until they are down"),
    "restart": ("lifecycle", "stop and start containers"),
    "kill": ("lifecycle", "send a signal to a container's main process"),
    "pause": ("lifecycle", "freeze every process of a container"),
    "unpause": ("lifecycle", "let frozen containers go on"),
    "wait": ("wait", "wait until containers end and print their exit codes, or for another state"),
    "update": ("update", "change limits of containers while they run"),
    "rm": ("lifecycle", "remove containers"),
    "stats": ("stats", "show what containers use"),
    "top": ("top", "show the processes of a container"),
    "monitor": ("monitor", "watch containers live, and act on them"),
    "logs": ("logs", "show what a container wrote"),
    "exec": ("exec", "run a command in a running container"),
    "cp": ("cp", "copy files in or out of a container"),
    "inspect": ("inspect", "show everything known about a container"),
    "port": ("ports", "show where a container's ports are published"),
    "events": ("events", "show what happened to containers"),
    "healthcheck": ("healthcheck", "probe a container now"),
    "diagnose": ("diagnose", "say what is wrong with a container, and what to do"),
    "deps": ("deps", "show what a container needs, what needs it, and what it waits for"),
    "graph": ("graph", "draw containers and what they depend on"),
    "plot": ("plot", "draw the last start of containers: what took how long"),
    "apply": ("apply", "deploy the definitions in /etc/ctr"),
    "check": ("check", "check definitions without deploying them, or explain a key"),
    "pull": ("image", "fetch an image"),
    "build": ("build", "build the images of .build files now"),
    "image": ("image", "load, import, list, inspect or remove images"),
    "images": ("image", "list images"),
    "pod": ("pod", "list, inspect, start, stop or remove pods"),
    "network": ("network", "create, list, inspect or remove networks"),
    "volume": ("volume", "create, list, inspect, remove, save or fill volumes"),
    "secret": ("secret", "create, list, inspect or remove secrets"),
    "version": ("version", "show the versions of ctr and what it stands on"),
    "completion": ("completion", "print the completion script for a shell"),
}

GROUPS: tuple[tuple[str, tuple[str, ...]], ...] = (
    (
        "Containers",
        ("run", "create", "ps", "start", "stop", "restart", "kill", "pause", "unpause", "wait", "update", "rm"),
    ),
    ("Pods", ("pod",)),
    ("Look inside", ("stats", "top", "monitor", "logs", "events", "exec", "cp", "inspect", "port", "healthcheck")),
    ("Understand", ("diagnose", "deps", "graph", "plot")),
    ("Definitions", ("apply", "check")),
    ("Images", ("pull", "build", "image", "images")),
    ("Networks, volumes, secrets", ("network", "volume", "secret")),
    ("ctrctl itself", ("version", "completion")),
)

#: What fingers type that learned on another tool.
HINTS = {
    "ls": "ctrctl ps",
    "list": "ctrctl ps",
    "status": "ctrctl ps -a",
    "container": "ctrctl VERB",
    "rmi": "ctrctl image rm",
    "load": "ctrctl image load",
    "import": "ctrctl image import",
    "up": "ctrctl apply",
    "enable": "systemctl enable ctr@NAME.service",
    "disable": "systemctl disable ctr@NAME.service",
}


def main(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    """Run ``ctrctl`` with the words after the program's name; returns the exit code."""
    console = Console(sys.stdin, _stream(sys.stdout), _stream(sys.stderr), environ, Layout())
    return guarded(argv, console)


def console_script() -> int:
    """Entry point of the installed distribution (pyproject.toml)."""
    return main(sys.argv[1:], os.environ)


def guarded(argv: Sequence[str], console: Console) -> int:
    """`dispatch`, with every exception turned into a message and an exit code."""
    try:
        code = dispatch(argv, console)
        console.stdout.flush()
        return code
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        _discard_output()
        return BROKEN_PIPE
    except Exception as error:
        try:
            return _report(_lost_output(console.stdout) or error, console)
        except BrokenPipeError:
            _discard_output()
            return BROKEN_PIPE
        except OSError:  # stderr takes nothing either
            _discard_output()
            return FAILED


def dispatch(argv: Sequence[str], console: Console) -> int:
    """Find and run the verb. Raises whatever it raises, `UserError` for words that make no sense."""
    if not argv or argv[0] in ("-h", "--help"):
        console.line(overview(console))
        return 0
    verb, words = argv[0], argv[1:]
    if verb == "help":
        return dispatch([*words[:1], "--help"], console)
    if verb in ("--version", "-v"):
        verb = "version"
    if verb not in VERBS:
        raise UserError(_unknown(verb))
    module, args = parse(verb, words)
    if args is None:
        return 0
    code: int = module.run(verb, args, console)
    return code


def parse(verb: str, words: Sequence[str]) -> tuple[Any, Any]:
    """The verb's module and its parsed *words*, None in their place when it was help that was asked for and printed."""
    module, parser = verb_parser(verb)
    try:
        return module, parser.parse_args(words)
    except SystemExit:  # argparse has printed the help
        return module, None


def verb_parser(verb: str) -> tuple[Any, Parser]:
    """The verb's module and its configured parser."""
    from importlib import import_module

    from supervisor.cli.parser import parser

    name, summary = VERBS[verb]
    module = import_module(f"supervisor.cli.{name}")
    made = parser(verb, summary, module.EXAMPLES[verb])
    module.configure(verb, made)
    return module, made


def overview(console: Console) -> str:
    """What ``ctrctl`` alone prints: every verb in its group, one line each."""
    lines = ["usage: ctrctl VERB [options]", "", "Containers supervised by systemd: NAME runs as ctr@NAME.service."]
    for title, verbs in GROUPS:
        lines += ["", console.color("bold", f"{title}:")]
        lines += [f"  {verb:<12}{VERBS[verb][1]}" for verb in verbs]
    lines += ["", "'ctrctl VERB --help' shows a verb's options and examples."]
    return "\n".join(lines)


def _unknown(verb: str) -> str:
    from difflib import get_close_matches

    if verb in HINTS:
        return f"no verb '{verb}'; use '{HINTS[verb]}'"
    if verb.startswith("-"):
        return f"no option '{printable(verb)}' before the verb; see 'ctrctl --help'"
    near = get_close_matches(verb, VERBS, n=2)
    advice = f"did you mean {' or '.join(repr(n) for n in near)}?" if near else "'ctrctl --help' lists them"
    return f"no verb '{printable(verb)}'; {advice}"


def _report(error: Exception, console: Console) -> int:
    """Say what *error* means on stderr; the exit code."""
    if console.environ.get("CTR_DEBUG") == "1":
        import traceback

        console.note("".join(traceback.format_exception(error)).rstrip())
    if isinstance(error, DefinitionError):
        console.note(str(error))
        return INVALID_DEFINITION
    from supervisor.cli.failure import sentence

    console.error(sentence(error))
    return FAILED


def _stream(stream: TextIO | None) -> TextIO:
    """*stream*, able to take any text (file names come in as surrogates), also when the caller had closed it."""
    if stream is None:
        return open(os.devnull, "w", encoding="utf-8")
    if isinstance(stream, TextIOWrapper):
        stream.reconfigure(encoding="utf-8", errors="surrogateescape")
    return stream


def _lost_output(stdout: TextIO) -> OSError | None:
    """Why what was printed cannot be written (``ctrctl ps > /dev/full``); None: it can. Raises `BrokenPipeError`."""
    try:
        stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        _discard_output(1)
        return OSError(error.errno, error.strerror, "standard output")
    return None


def _discard_output(*numbers: int) -> None:
    """Nobody takes our output (``ctrctl ps | head -1``): leave nothing in the descriptors *numbers*, or both, that the
    interpreter would flush and fail on."""
    null = os.open(os.devnull, os.O_WRONLY)
    for number in numbers or (1, 2):
        os.dup2(null, number)
    os.close(null)
