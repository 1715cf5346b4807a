"""A host, an image and a container that the rendering tests share."""

from __future__ import annotations

import dataclasses
from typing import Any

from supervisor.render.capabilities import NAMES
from supervisor.render.facts import DeviceNode, HostFacts
from supervisor.spec.container import Container
from supervisor.spec.image import Image, ImageConfig

PROFILE = '{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{"names": ["read"], "action": "SCMP_ACT_ALLOW"}]}'

FACTS = HostFacts(
    hostname="host.example",
    architecture="x86_64",
    kernel=(6, 12),
    seccomp_profile=PROFILE,
    capabilities=frozenset(NAMES) - {"CAP_SYS_RESOURCE"},
    hard_limits=(("nofile", 20000), ("nproc", -1)),
    init_path="/usr/bin/tini-static",
    devices=(DeviceNode("/dev/fuse", "c", 10, 229, 0o666), DeviceNode("/dev/null", "c", 1, 3, 0o666)),
    existing=frozenset(("/etc/hosts", "/etc/resolv.conf", "/usr/share/zoneinfo/Europe/Berlin", "/etc/localtime")),
)

IMAGE = Image(
    id="sha256:" + "1" * 64,
    digest="sha256:" + "2" * 64,
    names=("docker.io/library/nginx:latest",),
    architecture="amd64",
    os="linux",
    created="",
    size=1,
    layers=("sha256:" + "3" * 64,),
    config=ImageConfig(
        environment=(("PATH", "/img/bin"), ("NGINX", "1")),
        entrypoint=("/entry", "-e"),
        command=("nginx", "-g"),
        working_dir="/srv",
        labels=(("org.systemd.property.ExecStart", "evil"), ("run.oci.hooks.stdout", "evil")),
        stop_signal="SIGQUIT",
    ),
    passwd="root:x:0:0:root:/root:/bin/sh\nweb:x:33:33:web:/var/www:/bin/sh\n",
    group="root:x:0:\nweb:x:33:\nextra:x:50:web,other\n",
)


def container(**changes: Any) -> Container:
    """A container from IMAGE, with *changes*."""
    base = Container(name="web", source="/etc/ctr/web.container", image="nginx")
    return dataclasses.replace(base, **changes)
