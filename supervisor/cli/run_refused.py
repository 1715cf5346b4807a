"""Options that docker-run(1) or podman-run(1) have and ``ctrctl run`` does not: data only.

Each is known by name so that the answer can say what to do instead; ``ctrctl run --help`` does not list them.
"""

from __future__ import annotations

_LINK = "not needed: containers in one network find each other by name; use --network NAME for both"
_CGROUP = "every container has a systemd scope of its own; place and limit it there"
_POD = "not supported; a container is in a pod by its definition: write Pod=NAME.pod in /etc/ctr/NAME.container"
_PLATFORM = "not supported yet; pull the image for this machine's architecture"
_ATTACH = "not supported; without -d the container has the caller's streams"
_LATER = "not supported yet"
_FILE = "not supported yet; write the values on the command line"

#: First flag -> (more flags, what to do instead).
REFUSED: dict[str, tuple[tuple[str, ...], str]] = {
    "--link": ((), _LINK),
    "--no-hosts": ((), "not supported yet; mount a file: -v ./hosts:/etc/hosts:ro"),
    "--hosts-file": ((), "not supported yet; use --add-host, or mount a file: -v ./hosts:/etc/hosts:ro"),
    "--health-log-destination": ((), "not supported; results are in the journal"),
    "--cgroup-parent": ((), _CGROUP),
    "--cgroups": ((), _CGROUP),
    "--cpu-rt-period": ((), _LATER),
    "--cpu-rt-runtime": ((), _LATER),
    "--kernel-memory": ((), "the kernel no longer has this limit; use --memory"),
    "--memory-swappiness": ((), "cgroup v2 has no swappiness; use --memory-swap"),
    "--oom-kill-disable": ((), "cgroup v2 cannot switch it off; raise --memory"),
    "--pod": ((), _POD),
    "--volume-driver": ((), "not supported; mount it on the host with a systemd mount unit, then -v the directory"),
    "--platform": ((), _PLATFORM),
    "--arch": ((), _PLATFORM),
    "--attach": (("-a",), _ATTACH),
    "--detach-keys": ((), _ATTACH),
    "--sig-proxy": ((), "signals are always passed on"),
    "--cidfile": ((), "containers are known by their names; use --name"),
    "--device-cgroup-rule": ((), "not supported yet; name the device nodes with --device"),
    "--label-file": ((), _FILE),
    "--log-opt": ((), "the journal has its own settings, see journald.conf(5)"),
    "--storage-opt": ((), "not supported; all containers share /var/lib/ctr"),
    "--domainname": ((), "not supported; write the whole name with --hostname"),
    "--isolation": ((), "there is one kind of isolation on Linux; leave it out"),
    "--systemd": ((), _LATER),
}
