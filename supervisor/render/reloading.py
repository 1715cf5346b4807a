"""What ``systemctl reload`` does to a container: the unit's ExecReload=, and the command's process. Pure."""

from __future__ import annotations

import json

from supervisor.render import signals
from supervisor.render.files import File
from supervisor.spec.container import Container

_PROGRAM = "/usr/lib/ctr/ctr-reload"
#: Read by `supervisor.launcher.reload`.
PROCESS = "reload.json"


def service_lines(container: Container) -> list[str]:
    """[Service] lines of ctr@NAME.service. Raises `UserError` for a signal that there is not."""
    if container.reload_signal:
        return [f"ExecReload={_PROGRAM} {container.name} {signals.number(container.reload_signal, 'the definition')}"]
    return [f"ExecReload={_PROGRAM} {container.name}"] if container.reload_command else []


def files(container: Container, configuration: str) -> tuple[File, ...]:
    """Files of the version directory. *configuration*: the text of config.json, whose process the command's differs
    from by its words only."""
    if not container.reload_command:
        return ()
    process = json.loads(configuration)["process"] | {"terminal": False, "args": list(container.reload_command)}
    return (File(PROCESS, json.dumps(process, indent=1, ensure_ascii=False) + "\n", 0o600),)
