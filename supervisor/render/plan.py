"""The launcher's plan: every decision of a start, made at deploy time. Pure; `supervisor.launcher.plan` reads it.

One ``key=value`` per line without quoting, because the launcher cannot afford a parser; a control character in a
value is therefore refused here.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from supervisor.errors import UserError
from supervisor.paths import Layout
from supervisor.render import cdi, devices, idle, labels, oci, secrets, sharing, userns, volumes
from supervisor.render.dropins import stop_signal
from supervisor.render.facts import HostFacts
from supervisor.render.lines import one_line
from supervisor.render.users import Accounts
from supervisor.spec.container import Container
from supervisor.spec.health import Notify
from supervisor.spec.image import Image, Layer
from supervisor.spec.project import project_of
from supervisor.spec.userns import IdMaps
from supervisor.spec.volume import Volume

VERSION = 1
_TASKS_MAX = 2048  # containers.conf(5) pids_limit
_INFINITY = 2**64 - 1


#: Keys whose values are texts separated by tabs, the one control character of the format.
_COLUMNS = ("layer", "users", *volumes.COLUMNS)


def text(
    container: Container,
    image: Image | None,
    layers: tuple[Layer, ...],
    facts: HostFacts,
    layout: Layout,
    accounts: Accounts | None = None,
    known: Mapping[str, Volume] | None = None,
    id_maps: IdMaps | None = None,
) -> str:
    """The plan. *layers*: lowest first, empty with Rootfs=. *accounts*: of the container's root. *known*: volumes that
    somebody defined, by name. *id_maps*: of its user namespace. Raises `UserError` naming what cannot be written."""
    user = oci.user(container, image, accounts or Accounts())
    pairs = (
        *_root(container, layers, facts, layout),
        *userns.plan_lines(container, user, id_maps, facts, layout),
        *volumes.plan_lines(container, known or {}, user, facts, layout, id_maps),
        *_files(container, facts),
        *secrets.plan_lines(container, id_maps),
        *_properties(container, image, facts),
        *_network(container),
        *_output(container),
    )
    lines = []
    for key, value in (("ctr-plan", str(VERSION)), ("name", container.name), *pairs):
        for part in value.split("\t") if key in _COLUMNS else (value,):
            one_line(part, key)
        lines.append(f"{key}={value}\n")
    return "".join(lines)


def _root(
    container: Container, layers: tuple[Layer, ...], facts: HostFacts, layout: Layout
) -> Iterator[tuple[str, str]]:
    yield "runtime", oci.runtime(container, facts).value
    yield "rootfs", f"{layout.running(container.name)}/rootfs"
    if label := labels.labels(container, facts.selinux).files:
        yield "label", label
    if container.rootfs is not None and not container.rootfs_overlay:
        yield "directory", container.rootfs
        return
    if container.rootfs is not None:
        layers = (Layer("directory", container.rootfs),)
    if not layers:
        raise UserError(f"image {container.image}: has no layers, so there is nothing to run; use another")
    for layer in layers:
        one_line(layer.path + layer.data, "layer")
        yield "layer", "\t".join((layer.kind, layer.path, *((layer.data,) if layer.data else ())))
    # A read-only root has a writable layer too: the runtime makes mount points in it before it seals the root.
    yield "upper", f"{layout.container(container.name)}/layer"
    if not container.keep_layer:
        yield "fresh", "1"


def _files(container: Container, facts: HostFacts) -> Iterator[tuple[str, str]]:
    for path in container.environment_files:
        yield "env-file", path
    if container.environment_files:
        given = (*container.environment, *cdi.edits(container, facts.cdi_specs).environment)
        for name in sorted(dict(given)):
            yield "env-keep", name
    if "poststop" in cdi.hooks(container, facts):
        yield "poststop", "1"
    if container.environment_host:
        yield "env-host", "1"


def _properties(container: Container, image: Image | None, facts: HostFacts) -> Iterator[tuple[str, str]]:
    yield "slice", one_line(oci.slice_unit(container), "Slice=")
    given = {p.name for p in container.scope_properties}
    # The scope outlives the service only by accident; it should then stop the way the service would.
    timeout = container.stop_timeout
    yield "property", f"i KillSignal {stop_signal(container, image)}"
    yield "property", f"t TimeoutStopUSec {_INFINITY if math.isinf(timeout) else max(1, round(timeout * 1e6))}"
    if given.isdisjoint(("TasksMax", "TasksMaxScale")):
        yield "property", f"t TasksMax {_TASKS_MAX}"
    if not container.privileged:
        if "DevicePolicy" not in given:
            yield "property", "s DevicePolicy strict"
        for node, access in devices.policy(container, facts):
            yield "property", f"a(ss) DeviceAllow {node} {access}"
    devices.check_limited(container, facts)
    for scope_property in container.scope_properties:
        for line in scope_property.lines():
            yield "property", line


def _network(container: Container) -> Iterator[tuple[str, str]]:
    if not sharing.has_namespace_unit(container):
        return
    yield "network", sharing.namespace_owner(container)
    # The runtime sets them before the container's network is looked for: there may be no such interface yet, and what
    # they change (IPv6 is switched off, say) would come in the middle of netavark's work.
    if any(key.startswith("net.") for key, _ in container.sysctls):
        yield "network-first", "1"


def _output(container: Container) -> Iterator[tuple[str, str]]:
    yield "log", container.log_driver.value
    yield "identifier", container.log_tag or container.name
    if project := project_of(container):
        yield "project", project
    yield from idle.plan_lines(container)
    if container.notify is Notify.CONTAINER:
        yield "notify", container.notify.value
    for key, flag in (
        ("terminal", container.terminal),
        # Only `ctrctl run` attaches; a definition's container must not wait for anybody.
        ("attach", not container.source.startswith("/")),
        ("oneshot", container.oneshot),
    ):
        if flag:
            yield key, "1"
