"""A container's OCI runtime configuration (runtime-spec, config.md): what podman would write on this host.

Pure: *facts* bring what is known of the host. Differences from podman are said where they are made.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from supervisor.errors import UserError
from supervisor.paths import Layout
from supervisor.render import accounts as account_files
from supervisor.render import capabilities, cdi, confinement, devices, mounts, readiness, sharing, userns, users
from supervisor.render.facts import HostFacts
from supervisor.spec.container import Container, Runtime
from supervisor.spec.image import Image, ImageConfig
from supervisor.spec.network import NetworkMode
from supervisor.spec.userns import IdMaps
from supervisor.spec.volume import Volume

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_HOSTNAME_MAX = 64  # __NEW_UTS_LEN

#: Read by crun (run.oci.*) and by both runtimes (org.systemd.property.*) as orders to themselves.
_REFUSED_ANNOTATIONS = ("org.systemd.property.", "run.oci.")

#: podman's defaults for root; lowered to what the host allows, since raising a hard limit takes CAP_SYS_RESOURCE.
_DEFAULT_LIMITS = (("nofile", 1048576), ("nproc", 4194304))
_LIMIT_NAMES = frozenset(
    [
        "as",
        "core",
        "cpu",
        "data",
        "fsize",
        "locks",
        "memlock",
        "msgqueue",
        "nice",
        "nofile",
        "nproc",
        "rss",
        "rtprio",
        "rttime",
        "sigpending",
        "stack",
    ]
)
_INFINITY = 2**64 - 1


def text(
    container: Container,
    image: Image | None,
    accounts: users.Accounts,
    facts: HostFacts,
    layout: Layout,
    known: Mapping[str, Volume] | None = None,
    id_maps: IdMaps | None = None,
) -> str:
    """`config` as the text of config.json."""
    document = config(container, image, accounts, facts, layout, known, id_maps)
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def config(
    container: Container,
    image: Image | None,
    accounts: users.Accounts,
    facts: HostFacts,
    layout: Layout,
    known: Mapping[str, Volume] | None = None,
    id_maps: IdMaps | None = None,
) -> dict[str, Any]:
    """The configuration. *accounts*: the root's account files. *known*: volumes that somebody defined. *id_maps*: of
    its user namespace. Raises `UserError` without the container's name in front."""
    image_config = image.config if image else ImageConfig()
    owner = user(container, image, accounts)
    changed = own_accounts(container, image, accounts)
    working_directory = _working_directory(container, image_config)
    home = account_files.home(working_directory) if changed.passwd else owner.home
    bounding = capabilities.bounding_set(
        container.add_capabilities, container.drop_capabilities, container.privileged, facts.capabilities
    )
    process: dict[str, Any] = {
        "user": {
            "uid": owner.uid,
            "gid": owner.gid,
            "umask": container.umask,
            "additionalGids": _groups(container, owner, facts),
        },
        "args": arguments(container, image_config),
        "env": [f"{name}={value}" for name, value in environment(container, image_config, home, facts).items()],
        "cwd": working_directory,
        "capabilities": capabilities.process_sets(
            bounding, container.add_capabilities, owner.uid == 0 or container.privileged
        ),
        "rlimits": _limits(container, facts),
        "noNewPrivileges": container.no_new_privileges,
    }
    if container.terminal:
        process["terminal"] = True
    process |= confinement.process(container, facts)
    hooks = cdi.hooks(container, facts)
    return {
        "ociVersion": "1.0.2",
        "process": process,
        "root": {"path": f"{layout.running(container.name)}/rootfs", "readonly": container.read_only},
        # That of a pod is set where its namespace is made.
        **({} if container.pod or sharing.is_hosts("uts", container) else {"hostname": hostname(container, facts)}),
        "mounts": [
            {"destination": m.destination, "type": m.type, "source": m.source, "options": list(m.options)}
            for m in mounts.mounts(container, facts, layout, known, account_files.names(changed), id_maps)
        ],
        **({"hooks": hooks} if hooks else {}),
        "annotations": _annotations(container) | confinement.orders(container, facts),
        "linux": _linux(container, bounding, facts, layout, owner)
        | userns.mappings(id_maps if runtime(container, facts) is Runtime.RUNC else None),
    }


def user(container: Container, image: Image | None, accounts: users.Accounts) -> users.User:
    """Who the container runs as. Raises `UserError` when its *accounts* do not know them."""
    origin = f"image {container.image}" if image else container.rootfs or "the root file system"
    return users.resolve(_wanted_user(container, image), container.supplementary_groups, accounts, origin)


def own_accounts(container: Container, image: Image | None, accounts: users.Accounts) -> users.Accounts:
    """Texts of the account files that the container has instead of its root's *accounts*; '' where it has those. Raises
    `UserError` as `user` does."""
    directory = _working_directory(container, image.config if image else ImageConfig())
    owner = user(container, image, accounts)
    return account_files.completed(container, _wanted_user(container, image), owner, accounts, directory)


def _wanted_user(container: Container, image: Image | None) -> str:
    default = image.config.user if image else ""
    if container.user_namespace and container.user_namespace.user:
        default = container.user_namespace.user
    return container.user if container.user is not None else default


def arguments(container: Container, image: ImageConfig) -> list[str]:
    """The command line. An entrypoint of the container's own replaces the image's and drops the image's command; a
    command of its own replaces the image's (podman specgen, makeCommand). Raises `UserError` when nothing is left."""
    entrypoint = container.entrypoint if container.entrypoint is not None else image.entrypoint
    command = container.command or (() if container.entrypoint is not None else image.command)
    args = [*(() if entrypoint == ("",) else entrypoint), *command]
    if not args:
        raise UserError("nothing to run: no Exec=, no Entrypoint=, and the image names neither; set Exec=")
    if any("\0" in arg for arg in args):
        raise UserError(f"command {args!r}: holds a NUL character; remove it")
    return [mounts.INIT_TARGET, "--", *args] if container.run_init else args


def environment(container: Container, image: ImageConfig, home: str, facts: HostFacts) -> dict[str, str]:
    """Names to values: our defaults, then the image's, then the container's own. Environment files come at start."""
    values = {"PATH": _PATH}
    if container.terminal:
        values["TERM"] = "xterm"
    values |= {"container": "oci", "HOSTNAME": hostname(container, facts), "HOME": home}
    values |= dict(image.environment)
    values |= dict(container.environment)
    values |= dict(cdi.edits(container, facts.cdi_specs).environment)
    values |= readiness.environment(container)
    for name, value in values.items():
        if not name or "=" in name or "\0" in name + value:
            raise UserError(f"environment variable {name!r}: not a name with a value without NUL; correct it")
    return values


def hostname(container: Container, facts: HostFacts) -> str:
    """With the host's network the host's own name, as podman has it; else the container's, at most 64 bytes."""
    if container.hostname is not None:
        if sharing.is_hosts("uts", container):
            raise UserError(f"hostname '{container.hostname}': with --uts=host it is the host's; remove one of them")
        if not 0 < len(container.hostname.encode()) <= _HOSTNAME_MAX:
            raise UserError(f"hostname '{container.hostname}': not 1 to {_HOSTNAME_MAX} bytes long; shorten it")
        return container.hostname
    shared = container.network is NetworkMode.HOST or sharing.is_hosts("uts", container)
    return facts.hostname if shared else container.name[:_HOSTNAME_MAX]


def hosts_file(container: Container, facts: HostFacts) -> str:
    """/etc/hosts of a container without a network: itself, and localhost."""
    names = " ".join(dict.fromkeys((hostname(container, facts), container.name)))
    text = f"127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n127.0.0.1\t{names}\n"
    for name, address in container.hosts:
        if address == "host-gateway":
            text = f"host entry '{name}': with Network=none there is no way to the host; write an address"
            raise UserError(text).asked_by("AddHost", name)
        text += f"{address}\t{name}\n"
    return text


def runtime(container: Container, facts: HostFacts) -> Runtime:
    """The spec's runtime when it names one that is not the default, else the host's."""
    return facts.runtime if container.runtime is Runtime.CRUN else container.runtime


def slice_unit(container: Container) -> str:
    """The slice of service and scope alike: ``Slice=`` of the definition, else ctr.slice."""
    unit = next((e.value for e in reversed(container.unit.service) if e.key == "Slice" and e.value), "ctr.slice")
    if not unit.endswith(".slice") or "%" in unit or unit.startswith("-"):
        raise UserError(f"Slice={unit}: not the name of a slice; write NAME.slice, without specifiers")
    return unit


def _groups(container: Container, owner: users.User, facts: HostFacts) -> list[int]:
    return list(dict.fromkeys((*owner.groups, *cdi.edits(container, facts.cdi_specs).groups)))


def _working_directory(container: Container, image: ImageConfig) -> str:
    path = container.working_dir or image.working_dir or "/"
    if not path.startswith("/"):
        raise UserError(f"working directory '{path}' is not absolute; write one that starts with /")
    return path


def _limits(container: Container, facts: HostFacts) -> list[dict[str, Any]]:
    limits = {}
    hard_limits = dict(facts.hard_limits)
    for name, value in _DEFAULT_LIMITS:
        ceiling = hard_limits.get(name, -1)
        limits[name] = (value, value) if ceiling < 0 else (min(value, ceiling), min(value, ceiling))
    for ulimit in container.ulimits:
        if ulimit.name not in _LIMIT_NAMES:
            raise UserError(f"ulimit '{ulimit.name}': unknown; use one of {', '.join(sorted(_LIMIT_NAMES))}")
        limits[ulimit.name] = (ulimit.soft, ulimit.hard)
    return [
        {"type": f"RLIMIT_{name.upper()}", "soft": _unlimited(soft), "hard": _unlimited(hard)}
        for name, (soft, hard) in sorted(limits.items())
    ]


def _unlimited(value: int) -> int:
    return _INFINITY if value < 0 else value


def _annotations(container: Container) -> dict[str, str]:
    """The container's own annotations. Labels, the image's among them, never become annotations: whoever made the
    image would otherwise give orders to the runtime, as root."""
    for key, _ in container.annotations:
        if key.startswith(_REFUSED_ANNOTATIONS):
            raise UserError(
                f"annotation '{key}': would be an order to the OCI runtime; use [Unit] and [Service] instead"
            )
    return dict(container.annotations)


def _network_namespace(container: Container, layout: Layout) -> list[dict[str, str]]:
    if container.network is NetworkMode.HOST:
        return []
    if container.network is NetworkMode.NONE:
        return [{"type": "network"}]
    return [{"type": "network", "path": layout.namespace(sharing.namespace_owner(container))}]


def _own(container: Container) -> list[str]:
    """The kinds of namespaces beside pid and network that are not the host's."""
    return [kind for kind in ("ipc", "uts", "mount", "cgroup") if not sharing.is_hosts(kind, container)]


def _linux(
    container: Container, bounding: tuple[str, ...], facts: HostFacts, layout: Layout, owner: users.User
) -> dict[str, Any]:
    # Neither cgroupsPath nor resources: limits and device policy are systemd's, on the scope (see runtime.argv).
    linux: dict[str, Any] = {
        "namespaces": [
            *userns.namespaces(container, layout),
            *([] if sharing.is_hosts("pid", container) else [{"type": "pid"}]),
            *_network_namespace(container, layout),
            *(sharing.namespace(kind, container, layout) for kind in _own(container)),
        ],
        "sysctl": _sysctls(container),
        "devices": [d.oci() for d in devices.granted(container, facts, owner.uid, owner.gid)],
    }
    if any({"slave", "rslave"} & set(mount.options) for mount in container.mounts):
        # The default, private, would cut such a mount off from the host before it is made (podman does the same).
        linux["rootfsPropagation"] = "rslave"
    return linux | confinement.linux(container, bounding, facts)


def _sysctls(container: Container) -> dict[str, str]:
    """podman's default (ping without a capability) and the container's own. Raises `UserError` for one that would be
    the host's: the runtime would refuse it too, but at start."""
    shared = container.network is NetworkMode.HOST
    # A pod's namespace has it from the beginning, unless it is the host's; another container's has it, too, and root in
    # a user namespace of its own has no power over that.
    foreign = container.pod or (container.user_namespace and container.network is NetworkMode.CONTAINER)
    values = {} if shared or foreign else {"net.ipv4.ping_group_range": "0 0"}
    for key, value in container.sysctls:
        if shared and key.startswith("net."):
            raise UserError(
                f"sysctl '{key}': belongs to the host's network, which Network=host shares; set it on the host"
            )
        if sharing.is_hosts("ipc", container) and not key.startswith("net."):
            raise UserError(f"sysctl '{key}': belongs to the host's IPC, which --ipc=host shares; set it on the host")
        values[key] = value
    return values
