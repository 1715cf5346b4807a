"""Options that docker-run(1) or podman-run(1) have and ``ctrctl run`` does not: data only.

Each is known by name so that the answer can say what to do instead; ``ctrctl run --help`` does not list them.
"""

from __future__ import annotations

_PORTS = "published ports are not supported yet; use --network host, and choose the port in the program's settings"
_NETWORK = "networks other than none and host are not supported yet"
_HEALTH = "health checks are not supported yet; let the program exit when it is unwell, and use --restart on-failure"
_HOSTS = "not supported yet; mount a file: -v ./hosts:/etc/hosts:ro"
_DNS = "not supported yet; mount a file: -v ./resolv.conf:/etc/resolv.conf:ro"
_LINK = "links between containers are not supported; use --network host"
_SECRET = "secrets are not supported yet; mount a file read-only"
_NAMESPACE = "sharing or mapping this namespace is not supported yet; the container has one of its own"
_USERNS = "user namespaces are not supported yet; run the program as an unprivileged user with --user"
_CGROUP = "every container has a systemd scope of its own; place and limit it there"
_BLOCK_IO = "not supported yet; use IOWeight= and friends in [Service] of a .container file"
_POD = "pods are not supported yet; give the containers --network host"
_PLATFORM = "not supported yet; pull the image for this machine's architecture"
_ATTACH = "not supported; without -d the container has the caller's streams"
_LATER = "not supported yet"
_FILE = "not supported yet; write the values on the command line"

#: First flag -> (more flags, what to do instead).
REFUSED: dict[str, tuple[tuple[str, ...], str]] = {
    "-p": (("--publish",), _PORTS),
    "-P": (("--publish-all",), _PORTS),
    "--expose": ((), _PORTS),
    "--link": ((), _LINK),
    "--ip": ((), _NETWORK),
    "--ip6": ((), _NETWORK),
    "--mac-address": ((), _NETWORK),
    "--network-alias": (("--net-alias",), _NETWORK),
    "--add-host": ((), _HOSTS),
    "--dns": ((), _DNS),
    "--dns-opt": (("--dns-option",), _DNS),
    "--dns-search": ((), _DNS),
    "--health-cmd": ((), _HEALTH),
    "--health-interval": ((), _HEALTH),
    "--health-retries": ((), _HEALTH),
    "--health-start-period": ((), _HEALTH),
    "--health-timeout": ((), _HEALTH),
    "--no-healthcheck": (
        (),
        "no health check of an image is run yet; leave it out",
    ),
    "--secret": ((), _SECRET),
    "--pid": ((), _NAMESPACE),
    "--ipc": ((), _NAMESPACE),
    "--uts": ((), _NAMESPACE),
    "--cgroupns": ((), _NAMESPACE),
    "--userns": ((), _USERNS),
    "--uidmap": ((), _USERNS),
    "--gidmap": ((), _USERNS),
    "--cgroup-parent": ((), _CGROUP),
    "--cgroups": ((), _CGROUP),
    "--blkio-weight": ((), _BLOCK_IO),
    "--blkio-weight-device": ((), _BLOCK_IO),
    "--device-read-bps": ((), _BLOCK_IO),
    "--device-write-bps": ((), _BLOCK_IO),
    "--device-read-iops": ((), _BLOCK_IO),
    "--device-write-iops": ((), _BLOCK_IO),
    "--cpu-period": ((), "not supported; use --cpus"),
    "--cpu-quota": ((), "not supported; use --cpus"),
    "--cpu-rt-period": ((), _LATER),
    "--cpu-rt-runtime": ((), _LATER),
    "--kernel-memory": ((), "the kernel no longer has this limit; use --memory"),
    "--memory-swappiness": ((), "cgroup v2 has no swappiness; use --memory-swap"),
    "--oom-kill-disable": ((), "cgroup v2 cannot switch it off; raise --memory"),
    "--oom-score-adj": ((), "not supported yet; use OOMScoreAdjust= in [Service] of a .container file"),
    "--pod": ((), _POD),
    "--volumes-from": ((), "not supported yet; name the volumes with -v"),
    "--volume-driver": ((), "not supported; mount it on the host with a systemd mount unit, then -v the directory"),
    "--platform": ((), _PLATFORM),
    "--arch": ((), _PLATFORM),
    "--attach": (("-a",), _ATTACH),
    "--detach-keys": ((), _ATTACH),
    "--sig-proxy": ((), "signals are always passed on"),
    "--cidfile": ((), "containers are known by their names; use --name"),
    "--gpus": ((), "not supported yet; name the device nodes with --device"),
    "--device-cgroup-rule": ((), "not supported yet; name the device nodes with --device"),
    "--label-file": ((), _FILE),
    "--log-opt": ((), "the journal has its own settings, see journald.conf(5)"),
    "--storage-opt": ((), "not supported; all containers share /var/lib/ctr"),
    "--domainname": ((), "not supported; write the whole name with --hostname"),
    "--isolation": ((), "there is one kind of isolation on Linux; leave it out"),
    "--replace": ((), "not supported yet; remove the old container with 'ctrctl rm -f NAME'"),
    "--requires": ((), "not supported yet; use Requires= in [Unit] of a .container file"),
    "--systemd": ((), _LATER),
}
