"""What ``systemctl reload`` does to a container: the unit's ExecReload=, and the command's process. Pure."""

from __future__ import annotations

import json

from supervisor.definitions import values
from supervisor.errors import UserError
from supervisor.render import signals
from supervisor.render.files import File
from supervisor.spec.container import Container

_PROGRAM = "/usr/lib/ctr/ctr-reload"
#: Read by `supervisor.launcher.reload`.
PROCESS = "reload.json"

#: systemd-system.conf(5), DefaultTimeoutStartSec=.
_DEFAULT_SECONDS = 90.0
_EARLIER = 5.0


def service_lines(container: Container) -> list[str]:
    """[Service] lines of ctr@NAME.service. Raises `UserError` for a signal that there is not."""
    if container.reload_signal:
        return [f"ExecReload={_PROGRAM} {container.name} {signals.number(container.reload_signal, 'the definition')}"]
    if not container.reload_command:
        return []
    limit = _limit(container)
    return [f"ExecReload={_PROGRAM} {container.name}{f' --within {limit:g}' if limit else ''}"]


def _limit(container: Container) -> float:
    """Seconds that the command may take, 0 for any time: less than systemd gives a reload (TimeoutStartSec=), because
    systemd would kill our program, and leave the command in the container."""
    written = [e.value for e in container.unit.service if e.key in ("TimeoutStartSec", "TimeoutSec")]
    if written and written[-1] == "infinity":
        return 0.0
    try:
        seconds = values.microseconds(written[-1]) / 1e6 if written else _DEFAULT_SECONDS
    except UserError:
        seconds = _DEFAULT_SECONDS  # a specifier of systemd, say
    return seconds - min(_EARLIER, seconds / 4)


def files(container: Container, configuration: str) -> tuple[File, ...]:
    """Files of the version directory. *configuration*: the text of config.json, whose process the command's differs
    from by its words only."""
    if not container.reload_command:
        return ()
    process = json.loads(configuration)["process"] | {"terminal": False, "args": list(container.reload_command)}
    return (File(PROCESS, json.dumps(process, indent=1, ensure_ascii=False) + "\n", 0o600),)
