"""Container names and the systemd unit names derived from them. Pure.

A name needs no escaping anywhere: it is a file name, a unit instance, a hostname candidate and a
runtime id at once, which is why its alphabet is small (DESIGN: names are ``[a-zA-Z0-9][a-zA-Z0-9_.-]*``).
"""

from __future__ import annotations

from supervisor.errors import UserError

#: ``ctr-healthy@`` + NAME + ``.service`` has to stay below the 255 characters systemd.unit(5) allows,
#: and NAME with a suffix must be a file name; 128 leaves room for both.
MAX_LENGTH = 128

_FIRST = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")
_REST = _FIRST | frozenset("_.-")
_UNIT_CHARACTERS = _REST | frozenset(":\\@")
_UNIT_TYPES = (".target", ".service", ".socket", ".timer", ".path", ".mount", ".device", ".slice", ".scope", ".swap")


def is_name(text: str) -> bool:
    """Whether *text* can name a container, a volume or a network."""
    return 0 < len(text) <= MAX_LENGTH and text[0] in _FIRST and all(c in _REST for c in text)


def check_name(text: str, what: str = "container name") -> str:
    """Return *text* if it is a valid name, else raise `UserError` that says why."""
    if is_name(text):
        return text
    if len(text) > MAX_LENGTH:
        raise UserError(f"{what} '{text[:40]}…' has {len(text)} characters; use at most {MAX_LENGTH}")
    raise UserError(
        f"{what} {text!r} is not valid; start with a letter or digit, then use letters, digits, '_', '.' and '-'"
    )


def service_unit(name: str) -> str:
    """The unit that owns the container's lifecycle."""
    return f"ctr@{name}.service"


def scope_unit(name: str) -> str:
    """The transient unit that owns the container's processes."""
    return f"ctr-{name}.scope"


def namespace_unit(name: str) -> str:
    """The unit that owns the container's network namespace."""
    return f"ctr-netns@{name}.service"


def healthy_unit(name: str) -> str:
    """The unit that is active exactly while the container is healthy."""
    return f"ctr-healthy@{name}.service"


def health_unit(name: str) -> str:
    """The unit that is one probe of the container."""
    return f"ctr-health@{name}.service"


def health_timer(name: str) -> str:
    """The unit that has the container probed."""
    return f"ctr-health@{name}.timer"


def idle_timer(name: str) -> str:
    """The unit that has the container looked at, whether anybody uses it."""
    return f"ctr-idle@{name}.timer"


def project_target(project: str) -> str:
    """The unit that starts and stops a project's containers together."""
    return f"ctr@{project}.target"


def project_slice(project: str) -> str:
    """The slice of a project's containers, directly below ctr.slice: a '-' would go one level deeper
    (systemd.slice(5))."""
    escaped = project.replace("-", r"\x2d")
    return f"ctr-{escaped}.slice"


def name_of_service(unit: str) -> str | None:
    """The container name in ``ctr@NAME.service``, or None for any other unit."""
    if unit.startswith("ctr@") and unit.endswith(".service"):
        name = unit[len("ctr@") : -len(".service")]
        return name if is_name(name) else None
    return None


def name_of_scope(unit: str) -> str | None:
    """The container name in ``ctr-NAME.scope``, or None for any other unit."""
    if unit.startswith("ctr-") and unit.endswith(".scope"):
        name = unit[len("ctr-") : -len(".scope")]
        return name if is_name(name) else None
    return None


def name_of_probe(unit: str) -> str | None:
    """The container name in ``ctr-health@NAME.service``, or None for any other unit."""
    if unit.startswith("ctr-health@") and unit.endswith(".service"):
        name = unit[len("ctr-health@") : -len(".service")]
        return name if is_name(name) else None
    return None


def check_unit(text: str) -> str:
    """Return *text* if it is a unit's full name (systemd.unit(5)), else raise `UserError`."""
    if (
        set(text) <= _UNIT_CHARACTERS
        and text.endswith(_UNIT_TYPES)
        and not text.startswith((".", "@"))
        and len(text) < 256
    ):
        return text
    raise UserError(f"'{_shown(text)}' is not a unit's name; write multi-user.target, say")


def _shown(text: str) -> str:
    return text if len(text) <= 60 else text[:59] + "…"


def check_alias(text: str, unit: str) -> str:
    """Return *text* if it can be a further name of *unit*, an instance of a template, else raise `UserError`.

    systemd refuses a plain name for an instance of a template (systemd.unit(5), "Description"); the instance must
    agree.
    """
    instance = unit[unit.index("@") :]
    if check_unit(text).endswith(instance) and text != unit:
        return text
    raise UserError(f"systemd takes only PREFIX{instance} as another name of {unit}, not '{_shown(text)}'")
