"""The text of ``ctr@NAME.service.d/50-ctr.conf``: what is special about one container's unit. Pure.

Our own lines come first, so that a definition's [Unit] and [Service] lines win where a setting takes one value.
"""

from __future__ import annotations

import math

from supervisor.errors import UserError
from supervisor.names import namespace_unit
from supervisor.paths import Layout
from supervisor.render import health, idle, reloading, secrets, signals, userns
from supervisor.render.facts import HostFacts
from supervisor.render.lines import one_line, quoted, specifiers_escaped
from supervisor.render.mounts import bind_sources, volume_directories
from supervisor.render.sharing import has_namespace_unit, namespace_owner
from supervisor.spec.card import SECTION
from supervisor.spec.container import Container, Entry
from supervisor.spec.health import Notify
from supervisor.spec.image import Image
from supervisor.spec.project import project_of

#: systemd.service(5): "always" and "on-success" are not allowed with Type=oneshot.
_DEFAULT_SECONDS = 10.0
_ONESHOT_NEVER = ("always", "on-success")


def text(container: Container, image: Image | None, facts: HostFacts, layout: Layout) -> str:
    """The drop-in. Raises `UserError` for a value that does not fit on a line or contradicts the unit's type."""
    lines = [
        f"# Written by ctrctl from {one_line(container.source, 'source')}; edit that instead,",
        f"# or add a drop-in of your own: systemctl edit ctr@{container.name}",
        "",
        "[Unit]",
        *_unit(container, image, layout),
        *entry_lines(container.unit.unit),
        "",
        "[Service]",
        *_service(container, image),
        *secrets.service_lines(container, facts),
        *entry_lines(container.unit.service),
        "",
        f"[{SECTION}]",
        *_card(container, image),
    ]
    return "\n".join(lines) + "\n"


def stop_signal(container: Container, image: Image | None) -> int:
    """The definition's, else the image's, else SIGTERM."""
    if container.stop_signal:
        return signals.number(container.stop_signal, "the definition")
    if image and image.config.stop_signal:
        return signals.number(image.config.stop_signal, f"image {container.image}")
    return signals.number("SIGTERM", "")


def _unit(container: Container, image: Image | None, layout: Layout) -> list[str]:
    what = container.image or container.rootfs or ""
    lines = [f"Description=Container {container.name} ({specifiers_escaped(one_line(what, 'image'))})"]
    lines += health.service_lines(container)
    if container.source.startswith("/"):
        lines.append(f"SourcePath={path_setting(container.source, 'source')}")
    if container.remove:
        # However it ends; systemd starts these once the unit is inactive, so nothing of it is in the way.
        lines += [f"{key}=ctr-remove@{container.name}.service" for key in ("OnSuccess", "OnFailure")]
    owners = [namespace_owner(container)] if has_namespace_unit(container) else []
    owners += [userns.owner(container)] if container.user_namespace else []
    for owner in dict.fromkeys(owners):
        lines += [f"{key}={namespace_unit(owner)}" for key in ("Requires", "After")]
    if container.network_online:
        lines += [f"{key}=network-online.target" for key in ("Wants", "After")]
    # A volume may be, or become, a mount of its own: then no container starts on the empty directory below it.
    for path in (*bind_sources(container), *volume_directories(container, layout)):
        lines.append(f"RequiresMountsFor={quoted(one_line(path, 'mount source'))}")
    return lines


def _service(container: Container, image: Image | None) -> list[str]:
    # No time to stop in: 0 is "at once" to podman and "never" to systemd, whose timeout is also that of our cleanup.
    signal = "SIGKILL" if container.stop_timeout == 0 else signals.name(stop_signal(container, image))
    lines = [f"KillSignal={signal}"]
    if not any(entry.key == "TimeoutStopSec" for entry in container.unit.service):
        lines.append(f"TimeoutStopSec={_span(container.stop_timeout or _DEFAULT_SECONDS)}")
    if container.oneshot:
        restart = [e.value for e in container.unit.service if e.key == "Restart"][-1:]
        if restart and restart[0] in _ONESHOT_NEVER:
            raise UserError(f"Restart={restart[0]}: a container that runs to completion cannot have it; use on-failure")
        lines += ["Type=oneshot", "RemainAfterExit=yes"]
    lines += health.companions(container, image)
    lines += idle.companions(container)
    lines += reloading.service_lines(container)
    if container.log_tag:
        lines.append(f"SyslogIdentifier={path_setting(container.log_tag, 'log tag')}")
    if container.notify is Notify.HEALTHY:
        # The program runs by then; the unit counts as started when this has ended, and fails with it.
        lines.append(f"ExecStartPost=/usr/lib/ctr/ctr-probe start {container.name}")
    return lines


def _card(container: Container, image: Image | None) -> list[str]:
    """What everybody may know (`supervisor.inventory.cards` reads it); systemd leaves sections in 'X-' alone."""
    facts = (
        ("Image", container.image or container.rootfs or ""),
        ("ImageDigest", image.id if image else ""),
        ("Definition", container.source),
        ("Project", project_of(container)),
        ("Oneshot", "yes" if container.oneshot else ""),
    )
    return [f"{key}={one_line(value, key)}" for key, value in facts if value]


def _span(seconds: float) -> str:
    """systemd.time(7); at least a second, in which cleanup can ask for more."""
    if math.isinf(seconds):
        return "infinity"
    milliseconds = max(1000, round(seconds * 1000))
    return f"{milliseconds}ms" if milliseconds % 1000 else f"{milliseconds // 1000}s"


def path_setting(path: str, what: str) -> str:
    """*path* as a setting that takes the rest of the line: no quotes there, and a final backslash would join the
    next."""
    if path.endswith("\\") or path != path.strip():
        raise UserError(f"{what} '{path}': ends in a backslash or a space; rename it")
    return specifiers_escaped(one_line(path, what))


def entry_lines(entries: tuple[Entry, ...]) -> list[str]:
    """Settings that are passed through. Raises `UserError` for one that would not be a line of its own."""
    return [_entry(entry) for entry in entries]


def _entry(entry: Entry) -> str:
    if not entry.key or any(c in entry.key for c in "=[#; \t"):
        raise UserError(f"setting '{entry.key}': not a setting's name; correct it")
    # Passed through as written: specifiers and quotes in it are the author's own.
    if one_line(entry.value.replace("\t", " "), f"{entry.key}=").endswith("\\"):
        raise UserError(f"{entry.key}='{entry.value}': ends in a backslash, which would join the next line; remove it")
    return f"{one_line(entry.key, 'setting')}={entry.value}"
