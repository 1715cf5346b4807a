"""Read what is deployed: the record of one container or pod, all of them, and how a rendered tree differs from it.
Writes nothing.

A container's directory is complete from the moment it has its name (`supervisor.deploy.deploy` renames it into place),
so readers need no lock. Names that start with a dot are deploy's own half-finished or half-removed work.

    NAME/current -> v.DIGEST    switched by one rename(2): spec.json, config.json and plan always belong together
    NAME/spec.json, deployed.json, config.json, plan -> current/…
    NAME/layer, NAME/last-exit  the launcher's and cleanup's; they outlive every version
    NAME/last-action            ctr-probe's: how often it was acted on because it was unhealthy
    NAME/resolving              ctr-netns's: hosts and resolv.conf, made anew with the namespace

A pod has a directory of the same form, with pod.json in the place of spec.json.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace

from supervisor.errors import NotFoundError, UserError
from supervisor.names import check_name, is_name, service_unit
from supervisor.paths import Layout
from supervisor.render.files import File, Link
from supervisor.render.mounts import CURRENT
from supervisor.render.pod import holder
from supervisor.render.tree import EFFECTIVE, NETWORK, Tree
from supervisor.spec import codec
from supervisor.spec.container import Container
from supervisor.spec.pod import Pod
from supervisor.spec.record import Record

VERSION_PREFIX = "v."
#: A pod's record, and the mark of one.
POD_FILE = "pod.json"


@dataclass(frozen=True, slots=True)
class Deployed:
    """One deployed container."""

    container: Container
    record: Record
    kind: str = "container"
    """'pod' for one that stands for it (`DeployedPod.holder`)."""

    @property
    def name(self) -> str:
        return self.container.name

    @property
    def image(self) -> str:
        """Image id; empty with Rootfs=."""
        return self.record.image

    @property
    def mounted(self) -> Container:
        """It with the mounts that its image asks for, too."""
        return replace(self.container, mounts=(*self.container.mounts, *self.record.image_volumes))

    @property
    def links(self) -> tuple[Link, ...]:
        """The links that were made for its [Install]."""
        return _links(self.record)


@dataclass(frozen=True, slots=True)
class DeployedPod:
    """One deployed pod."""

    pod: Pod
    record: Record

    @property
    def name(self) -> str:
        return self.pod.name

    @property
    def links(self) -> tuple[Link, ...]:
        return _links(self.record)

    @property
    def holder(self) -> Deployed:
        """It as the holder of a network."""
        return Deployed(holder(self.pod), self.record, "pod")


@dataclass(frozen=True, slots=True)
class Difference:
    """What deploy has to do to bring one container or pod to its rendered tree."""

    tree: Tree
    is_new: bool
    files: bool
    """The version directory differs."""
    effective: bool
    """Something differs that a running container was started with."""
    network: bool
    """What its network namespace was made from differs."""
    obsolete_units: tuple[str, ...]
    new_units: tuple[File, ...]
    obsolete_links: tuple[Link, ...]
    new_links: tuple[Link, ...]

    @property
    def anything(self) -> bool:
        """Whether there is anything to do."""
        units = self.obsolete_units or self.new_units
        return bool(self.is_new or self.files or units or self.obsolete_links or self.new_links)


def names(layout: Layout) -> tuple[str, ...]:
    """Names of the deployed containers, sorted."""
    return tuple(name for name in _names(layout) if not is_pod(layout, name))


def pod_names(layout: Layout) -> tuple[str, ...]:
    """Names of the deployed pods, sorted."""
    return tuple(name for name in _names(layout) if is_pod(layout, name))


def is_pod(layout: Layout, name: str) -> bool:
    """Whether what is deployed as *name* is a pod."""
    return os.path.lexists(f"{layout.container(name)}/{POD_FILE}")


def _names(layout: Layout) -> tuple[str, ...]:
    try:
        found = os.listdir(layout.containers)
    except FileNotFoundError:
        return ()
    return tuple(sorted(n for n in found if is_name(n) and os.path.lexists(f"{layout.containers}/{n}/{CURRENT}")))


def read(layout: Layout, name: str) -> Deployed:
    """The record of container *name*. Raises `NotFoundError` when there is none, `UserError` when it is damaged."""
    directory = layout.container(check_name(name))
    try:
        container = codec.loads(Container, _text(f"{directory}/spec.json"))
        return Deployed(container, _record(layout, name))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise NotFoundError(f"container {name}: not deployed; 'ctrctl ps -a' lists those that are") from error
    except (ValueError, UserError) as error:
        raise UserError(f"container {name}: its record is damaged: {error}; remove it with 'ctrctl rm'") from error


def read_all(layout: Layout) -> tuple[Deployed, ...]:
    """Every deployed container, sorted by name. Raises `UserError` for a damaged record."""
    return tuple(read(layout, name) for name in names(layout))


def read_pod(layout: Layout, name: str) -> DeployedPod:
    """The record of pod *name*. Raises `NotFoundError` when there is none, `UserError` when it is damaged."""
    directory = layout.container(check_name(name, "pod name"))
    try:
        pod = codec.loads(Pod, _text(f"{directory}/{POD_FILE}"))
        return DeployedPod(pod, _record(layout, name))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise NotFoundError(f"pod {name}: not deployed; 'ctrctl pod ls' lists those that are") from error
    except (ValueError, UserError) as error:
        raise UserError(f"pod {name}: its record is damaged: {error}; remove it with 'ctrctl pod rm'") from error


def read_pods(layout: Layout) -> tuple[DeployedPod, ...]:
    """Every deployed pod, sorted by name. Raises `UserError` for a damaged record."""
    return tuple(read_pod(layout, name) for name in pod_names(layout))


def read_networked(layout: Layout) -> tuple[Deployed, ...]:
    """Every deployed container, and every pod as the holder of its network."""
    return (*read_all(layout), *(pod.holder for pod in read_pods(layout)))


def _record(layout: Layout, name: str) -> Record:
    """Raises OSError, ValueError, `UserError`."""
    return codec.loads(Record, _text(f"{layout.container(name)}/deployed.json"))


def _links(record: Record) -> tuple[Link, ...]:
    return tuple(Link(path, target) for path, target in record.links)


def difference(layout: Layout, tree: Tree) -> Difference:
    """Compare *tree* with the disk. A damaged record counts as one that differs in everything."""
    directory = layout.container(tree.name)
    is_new = not os.path.lexists(f"{directory}/{CURRENT}")
    try:
        before = Record("") if is_new else _record(layout, tree.name)
    except (OSError, ValueError, UserError):
        before = Record("")
    recorded = _links(before)
    files = not is_new and os.readlink(f"{directory}/{CURRENT}") != VERSION_PREFIX + tree.digest
    names = (file.path for file in tree.files)
    changed = {n for n in names if files and text_of(f"{directory}/{CURRENT}/{n}") != tree.text(n)}
    gone = files and not is_new and any(
        tree.text(n) is None and os.path.lexists(f"{directory}/{CURRENT}/{n}") for n in EFFECTIVE
    )
    units = tuple(file for file in tree.units if text_of(file.path) != file.text)
    own = service_unit(tree.name)
    return Difference(
        tree,
        is_new,
        files,
        gone or not changed.isdisjoint(EFFECTIVE) or any(file.unit == own for file in units),
        NETWORK in changed,
        tuple(path for path in before.units if path not in {file.path for file in tree.units}),
        units,
        tuple(link for link in recorded if link.path not in {new.path for new in tree.links}),
        tuple(link for link in tree.links if target_of(link.path) != link.target),
    )


def text_of(path: str) -> str | None:
    """The file's text, None when there is none (or something that is no text)."""
    try:
        return _text(path)
    except (FileNotFoundError, NotADirectoryError, UnicodeDecodeError):
        return None


def target_of(path: str) -> str | None:
    """The symbolic link's target, None when there is no such link."""
    try:
        return os.readlink(path)
    except OSError:
        return None


def _text(path: str) -> str:
    with open(path, encoding="utf-8") as file:
        return file.read()
