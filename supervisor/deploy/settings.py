"""/etc/ctr/ctr.conf: settings of ctr itself on this host. Optional; every setting has a default.

[ctr]
runtime=runc
"""

from __future__ import annotations

from dataclasses import dataclass

from supervisor.errors import DefinitionError, Problem
from supervisor.paths import Layout
from supervisor.spec.container import Runtime


@dataclass(frozen=True, slots=True)
class Settings:
    """The host's settings."""

    runtime: Runtime = Runtime.CRUN
    """The OCI runtime of containers whose spec names no other."""


def read(layout: Layout) -> Settings:
    """The settings file's, or the defaults when there is none. Raises `DefinitionError` with every mistake in it."""
    try:
        with open(layout.settings, encoding="utf-8") as file:
            return parse(layout.settings, file.read())
    except FileNotFoundError:
        return Settings()
    except UnicodeDecodeError as error:
        raise DefinitionError((Problem(layout.settings, 0, "", "not UTF-8 text"),)) from error
    except OSError as error:
        raise DefinitionError(
            (Problem(layout.settings, 0, "", f"cannot be read: {error.strerror or error}"),)
        ) from error


def parse(path: str, text: str) -> Settings:
    """*text* of the file at *path*: ``key=value`` lines in a section [ctr], comments from '#' or ';'."""
    problems: list[Problem] = []
    runtime = Runtime.CRUN
    section = ""
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        if not line or line[0] in "#;":
            continue
        if line.startswith("[") and line.endswith("]"):
            section = line[1:-1]
            if section != "ctr":
                problems.append(Problem(path, number, "", f"section '{line}' is unknown; use [ctr]"))
            continue
        key, equals, value = (part.strip() for part in line.partition("="))
        if not equals:
            problems.append(Problem(path, number, "", f"'{line}' is not a setting; write key=value"))
        elif section == "ctr" and key == "runtime":
            if value in [r.value for r in Runtime]:
                runtime = Runtime(value)
            else:
                problems.append(Problem(path, number, key, f"'{value}' is not a runtime; use crun or runc"))
        elif section in ("", "ctr"):
            what = "is unknown; use runtime=" if section else "stands before any section; put [ctr] above it"
            problems.append(Problem(path, number, key, what))
    if problems:
        raise DefinitionError(tuple(problems))
    return Settings(runtime)
