"""Every option of podman-run(1), and of podman(1) itself, with what becomes of it here. Data only.

`podman_args` applies the tables to PodmanArgs= and GlobalArgs=, and explains single options. As of podman 5.
"""

from __future__ import annotations

from supervisor.definitions import podman_limits
from supervisor.definitions import podman_values as read
from supervisor.definitions.podman_option import Member, Option, Setting, Takes, does, key, nothing, refused

_FLAG, _LIST = Takes.FLAG, Takes.LIST

_SO = "it is so anyway"
_BACKGROUND = "a unit runs in the background"
_IMAGE_FILE = "write it in an .image file, and Image=NAME.image here"
_PLATFORM = f"is decided when the image is fetched; {_IMAGE_FILE}"
_MOUNT_FILE = "write a file and mount it with Volume="
_NAMES = "containers are known by their names here; 'systemctl show -P MainPID ctr@NAME' gives the process"
_REAL_TIME = "cgroup v2 has no real-time limits; remove it"
_SOCKETS = "a socket unit of systemd passes its sockets in; write one, ctr@NAME.socket"
_STORE = "images, volumes and containers are in /var/lib/ctr; remove it"
_REMOTE = "ctr works on this host only; remove it"
_HOOKS = "no OCI hooks are run; write ExecStartPre= or ExecStartPost= in [Service]"

_PROCESS = (
    refused("--attach -a", "a unit has no streams to attach; its output is in the journal", _LIST),
    nothing("--detach -d", _BACKGROUND, _FLAG),
    nothing("--detach-keys", "there is nothing to detach from"),
    key("--entrypoint", "Entrypoint"),
    key("--env -e", "Environment"),
    does("--env-file", "EnvironmentFile=", read.file("EnvironmentFile")),
    key("--env-host", "EnvironmentHost", _FLAG),
    refused("--env-merge", "variables of the image are not expanded; write Environment=NAME=VALUE whole"),
    key("--group-add", "GroupAdd", _LIST),
    refused("--group-entry", f"the image's /etc/group is not changed; {_MOUNT_FILE}"),
    refused("--hostuser", f"the image's /etc/passwd is not changed; {_MOUNT_FILE}", _LIST),
    key("--hostname -h", "HostName"),
    does("--http-proxy", "HttpProxy=", lambda text: (Setting("HttpProxy", text),), _FLAG),
    key("--init", "RunInit", _FLAG),
    refused("--init-path", "the host's tini or catatonit is used; remove it"),
    does("--interactive -i", "nothing: stdin is /dev/null", read.flag("stdin"), _FLAG),
    does("--passwd", "nothing", read.only("true false", ""), _FLAG),
    refused("--passwd-entry", f"the image's /etc/passwd is not changed; {_MOUNT_FILE}"),
    refused("--personality", "execution domains cannot be chosen; use an image of that architecture"),
    refused("--preserve-fd", _SOCKETS, _LIST),
    refused("--preserve-fds", _SOCKETS),
    nothing("--sig-proxy", "systemd sends signals to the container itself", _FLAG),
    does("--tty -t", "a terminal whose output is in the journal", read.flag("terminal"), _FLAG),
    key("--tz", "Timezone"),
    does("--umask", "the process's umask", read.umask),
    refused("--unsetenv", "a variable of the image can be emptied, not removed; write Environment=NAME="),
    refused("--unsetenv-all", "write Environment=NAME= for each variable that has to be empty", _FLAG),
    key("--user -u", "User"),
    key("--workdir -w", "WorkingDir"),
)

_FILES = (
    refused("--chrootdirs", "is for images made with its help; remove it"),
    key("--device", "AddDevice", _LIST),
    does("--device-cgroup-rule", "DeviceAllow= of [Service]", read.device_rule, _LIST),
    does("--gpus", "AddDevice=nvidia.com/gpu=…", read.gpus, _LIST),
    does("--image-volume", "what an image calls a volume is one, or a tmpfs, or nothing special", read.image_volumes),
    key("--mount", "Mount"),
    key("--read-only", "ReadOnly", _FLAG),
    key("--read-only-tmpfs", "ReadOnlyTmpfs", _FLAG),
    refused("--rootfs", "write Rootfs=DIRECTORY", _FLAG),
    key("--secret", "Secret"),
    key("--shm-size", "ShmSize"),
    refused("--shm-size-systemd", "write Tmpfs=/run:size=… and Tmpfs=/run/lock:size=…"),
    key("--tmpfs", "Tmpfs"),
    does("--volume -v", "Volume=", read.volume),
    refused("--volumes-from", "write the same Volume= and Mount= lines here too"),
)

_NETWORK = (
    key("--add-host", "AddHost", _LIST),
    key("--dns", "DNS", _LIST),
    key("--dns-option --dns-opt", "DNSOption", _LIST),
    key("--dns-search", "DNSSearch", _LIST),
    key("--expose", "ExposeHostPort", _LIST),
    does(
        "--hosts-file",
        "nothing: /etc/hosts has the container's own lines",
        read.only("none", f"is no base for /etc/hosts here; write AddHost=, or {_MOUNT_FILE}"),
    ),
    key("--ip", "IP"),
    key("--ip6", "IP6"),
    does("--mac-address", "the option mac= of Network=", lambda text: (Member("mac", text),)),
    key("--network --net", "Network"),
    key("--network-alias", "NetworkAlias", _LIST),
    refused("--no-hostname", f"/etc/hostname is always the container's; {_MOUNT_FILE}", _FLAG),
    refused("--no-hosts", f"/etc/hosts is always the container's; {_MOUNT_FILE}", _FLAG),
    key("--publish -p", "PublishPort", _LIST),
    does("--publish-all -P", "every port that the image exposes, on free ports", read.flag("publish_all"), _FLAG),
)

_SECURITY = (
    key("--cap-add", "AddCapability", _LIST),
    key("--cap-drop", "DropCapability", _LIST),
    does("--cgroupns", "the host's control groups, with host", read.namespace("cgroup")),
    key("--gidmap", "GIDMap", _LIST),
    does("--ipc", "the host's System V IPC and /dev/shm, with host", read.namespace("ipc", "shareable")),
    does("--pid", "the host's processes, with host", read.namespace("pid")),
    does("--privileged", "all capabilities and devices, nothing hidden", read.flag("privileged"), _FLAG),
    does(
        "--seccomp-policy",
        "nothing",
        read.only("default", "would let the image choose; write SeccompProfile="),
    ),
    does("--security-opt", "AppArmor=, NoNewPrivileges=, SeccompProfile=, SecurityLabel…=, Mask=", read.security),
    key("--subgidname", "SubGIDMap"),
    key("--subuidname", "SubUIDMap"),
    key("--sysctl", "Sysctl", _LIST),
    key("--uidmap", "UIDMap", _LIST),
    key("--userns", "UserNS"),
    does("--uts", "the host's name, with host", read.namespace("uts")),
)


def _limits() -> tuple[Option, ...]:
    """The options that one property of the scope stands for."""
    short = {"--cpu-shares": "--cpu-shares -c"}
    return tuple(
        does(short.get(name, name), f"{same}= of [Service]", read.limit(reader), takes)
        for table, takes in ((podman_limits.SINGLE, Takes.VALUE), (podman_limits.LISTED, _LIST))
        for name, (same, reader) in table.items()
        if name != "--pids-limit"
    )


_LIMITS = (
    *_limits(),
    refused("--cgroup-conf", "write what systemd calls the same in [Service], see systemd.resource-control(5)", _LIST),
    does("--cgroup-parent", "Slice= of [Service]", read.cgroup_parent),
    does("--cgroups", "nothing: every container has a scope of its own", read.cgroups),
    does("--cpu-period", "CPUQuotaPeriodSec= of [Service]", lambda t: (Member("period", podman_limits.cpu_period(t)),)),
    does("--cpu-quota", "CPUQuota= of [Service]", lambda text: (Member("quota", podman_limits.cpu_quota(text)),)),
    refused("--cpu-rt-period", _REAL_TIME),
    refused("--cpu-rt-runtime", _REAL_TIME),
    does("--cpus", "CPUQuota= of [Service]", read.limit(podman_limits.cpus)),
    key("--memory -m", "Memory"),
    does("--memory-swap", "MemorySwapMax= of [Service]", lambda text: (Member("swap", text),)),
    does(
        "--memory-swappiness",
        "nothing",
        read.only("-1", "cannot be set, cgroup v2 has no swappiness; write MemorySwapMax= in [Service]"),
    ),
    refused("--oom-kill-disable", "cgroup v2 cannot switch it off; raise Memory=", _FLAG),
    does("--oom-score-adj", "OOMScoreAdjust= of the process", read.oom_score),
    key("--pids-limit", "PidsLimit"),
    refused("--rdt-class", "Intel RDT classes are not supported; remove it"),
    key("--ulimit", "Ulimit", _LIST),
)

_HEALTH = (
    key("--health-cmd --healthcheck-command", "HealthCmd"),
    key("--health-interval --healthcheck-interval", "HealthInterval"),
    key("--health-log-destination", "HealthLogDestination"),
    key("--health-max-log-count", "HealthMaxLogCount"),
    key("--health-max-log-size", "HealthMaxLogSize"),
    key("--health-on-failure", "HealthOnFailure"),
    key("--health-retries --healthcheck-retries", "HealthRetries"),
    key("--health-start-period --healthcheck-start-period", "HealthStartPeriod"),
    key("--health-startup-cmd", "HealthStartupCmd"),
    key("--health-startup-interval", "HealthStartupInterval"),
    key("--health-startup-retries", "HealthStartupRetries"),
    key("--health-startup-success", "HealthStartupSuccess"),
    key("--health-startup-timeout", "HealthStartupTimeout"),
    key("--health-timeout --healthcheck-timeout", "HealthTimeout"),
    does("--no-healthcheck", "HealthCmd=none", read.no_healthcheck, _FLAG),
    does("--sdnotify", "Notify=", read.sdnotify),
)

_IMAGE = (
    refused("--arch --override-arch", _PLATFORM),
    refused("--authfile", _IMAGE_FILE),
    refused("--cert-dir", _IMAGE_FILE),
    refused("--creds", _IMAGE_FILE),
    refused("--decryption-key", _IMAGE_FILE),
    nothing("--disable-content-trust", "it does nothing in podman either", _FLAG),
    refused("--os --override-os", _PLATFORM),
    refused("--platform", _PLATFORM),
    key("--pull", "Pull"),
    nothing("--quiet -q", "images are fetched by 'ctrctl apply', not by the unit", _FLAG),
    key("--retry", "Retry"),
    key("--retry-delay", "RetryDelay"),
    does("--tls-verify", "nothing", read.only("true", f"is decided when the image is fetched; {_IMAGE_FILE}"), _FLAG),
    refused("--variant --override-variant", _PLATFORM),
)

_LIFE = (
    does("--annotation", "Annotation=", read.label("Annotation")),
    nothing("--cidfile", _NAMES),
    nothing("--conmon-pidfile", "there is no conmon here"),
    refused("--help", "is an order to podman, not an option of a container; remove it", _FLAG),
    does("--label -l", "Label=", read.label("Label")),
    refused("--label-file", "write the labels with Label="),
    key("--log-driver", "LogDriver"),
    key("--log-opt", "LogOpt"),
    refused("--name", "write ContainerName=NAME"),
    nothing("--pidfile", _NAMES),
    refused("--pod", "write Pod=NAME.pod, the pod's definition"),
    refused("--pod-id-file", "write Pod=NAME.pod, the pod's definition"),
    nothing("--replace", _SO, _FLAG),
    does("--requires", "Requires= and After= of [Unit]", read.requires, _LIST),
    does("--restart", "Restart= of [Service]", read.restart),
    nothing("--rm", _SO, _FLAG),
    refused("--rmi", "images stay until 'ctrctl image rm' or 'ctrctl image prune'; remove it", _FLAG),
    key("--stop-signal", "StopSignal"),
    key("--stop-timeout", "StopTimeout"),
    does(
        "--systemd",
        "nothing",
        read.only("true false", "is not supported: no mounts are made for a systemd inside; write Tmpfs=/run"),
    ),
    does("--timeout", "RuntimeMaxSec= of [Service]", read.timeout),
)

#: podman-run(1).
RUN = _PROCESS + _FILES + _NETWORK + _SECURITY + _LIMITS + _HEALTH + _IMAGE + _LIFE

#: podman(1), what stands between ``podman`` and ``run``.
GLOBAL = (
    nothing("--cgroup-manager", "systemd manages the control groups"),
    refused("--config", f"is the place of registry credentials; {_IMAGE_FILE}"),
    nothing("--conmon", "there is no conmon here"),
    refused("--connection -c", _REMOTE),
    nothing("--events-backend", "events are in the journal"),
    refused("--help", "is an order to podman; remove it", _FLAG),
    refused("--hooks-dir", _HOOKS),
    refused("--identity", _REMOTE),
    refused("--imagestore", _STORE),
    nothing("--log-level", "there is no podman here that would log; 'journalctl -u ctr@NAME' tells of a start"),
    refused("--module", "there is no podman here to configure; write what the module sets as keys"),
    refused("--network-cmd-path", "netavark makes the networks; remove it"),
    refused("--network-config-dir", "networks are .network files beside this one; remove it"),
    nothing("--out", "nothing is printed when a unit starts"),
    refused("--remote -r", _REMOTE, _FLAG),
    refused("--root", _STORE),
    refused("--runroot", _STORE),
    does("--runtime", "the OCI runtime, crun or runc", read.runtime),
    refused("--runtime-flag", "the runtime's own options cannot be set; remove it"),
    refused("--ssh", _REMOTE),
    refused("--storage-driver", _STORE),
    refused("--storage-opt", _STORE),
    nothing("--syslog", "everything is in the journal", _FLAG),
    refused("--tmpdir", _STORE),
    refused("--transient-store", _STORE, _FLAG),
    refused("--url", _REMOTE),
    refused("--version -v", "is an order to podman; remove it", _FLAG),
    refused("--volumepath", _STORE),
)
