"""The rows of the coverage table for Quadlet files (podman-systemd.unit(5)). Data only; look it up in `coverage`."""

from __future__ import annotations

from supervisor.definitions.key import Key, done, no_effect, refused
from supervisor.definitions.sourcing_keys import SOURCING

#: The section of keys that Quadlet accepts in every section of its own.
ANY = "*"


_CONTAINER = (
    done("Container", "AddCapability", "Capabilities to add to the default set", repeatable=True),
    done(
        "Container",
        "AddDevice",
        "Device nodes of the host or directories of them, [-]HOST[:CONTAINER][:rwm], '-' for one that may be missing; "
        "CDI names, VENDOR/CLASS=DEVICE",
        repeatable=True,
    ),
    done(
        "Container", "AddHost", "Lines for /etc/hosts, NAME:ADDRESS; the address may be host-gateway", repeatable=True
    ),
    done("Container", "Annotation", "OCI annotations, NAME=VALUE", repeatable=True),
    done("Container", "AppArmor", "AppArmor profile that is loaded, or unconfined; else ctr-default, if loaded"),
    done("Container", "AutoUpdate", "registry or local: the label io.containers.autoupdate, and no update by itself"),
    no_effect(
        "Container",
        "CgroupsMode",
        "How podman splits its cgroup",
        "every container has a scope of its own here, and no conmon beside it",
    ),
    done("Container", "ContainerName", "Name of the container; the file's name without suffix otherwise"),
    done(
        "Container",
        "DNS",
        "Name servers instead of the network's, or none for the image's resolv.conf",
        repeatable=True,
    ),
    done("Container", "DNSOption", "Resolver options, as in resolv.conf(5)", repeatable=True),
    done("Container", "DNSSearch", "Search domains, or '.' for none", repeatable=True),
    done("Container", "DropCapability", "Capabilities to remove from the default set, or 'all'", repeatable=True),
    done("Container", "Entrypoint", "Program that replaces the image's entry point; several words as a JSON list"),
    done("Container", "Environment", "Environment variables, NAME=VALUE", repeatable=True),
    done(
        "Container",
        "EnvironmentFile",
        "Files of NAME=VALUE lines, read at every start; '-' in front of one that may be missing",
        repeatable=True,
    ),
    done("Container", "EnvironmentHost", "Whether the environment that systemd gives the unit is passed on"),
    done("Container", "Exec", "Command line that replaces the image's command"),
    no_effect(
        "Container",
        "ExposeHostPort",
        "Ports to expose",
        "exposing only documents a port, it opens none; PublishPort= does, and in one network every port is reachable",
    ),
    done("Container", "GIDMap", "Groups of the host for the container's, CONTAINER:HOST:LENGTH", repeatable=True),
    done("Container", "Group", "Group to run as; needs User="),
    done("Container", "GroupAdd", "Supplementary groups", repeatable=True),
    done("Container", "HealthCmd", "Health check: a shell command line, a JSON list of words, or none"),
    done("Container", "HealthInterval", "Time from one health check to the next, or disable"),
    no_effect(
        "Container",
        "HealthLogDestination",
        "Where the health log is kept",
        "changes of health are in the journal, and 'ctrctl inspect' shows the last results",
    ),
    done("Container", "HealthMaxLogCount", "How many health results are kept, 0 for all"),
    done("Container", "HealthMaxLogSize", "How many characters of a health result are kept, 0 for all"),
    done("Container", "HealthOnFailure", "What to do when unhealthy: none, kill, restart or stop"),
    done("Container", "HealthRetries", "Failures in a row until unhealthy"),
    done("Container", "HealthStartPeriod", "Time after the start in which failures do not count"),
    done("Container", "HealthStartupCmd", "Start-up check, run instead of the health check until it has passed"),
    done("Container", "HealthStartupInterval", "Time from one start-up check to the next"),
    done("Container", "HealthStartupRetries", "Failures in a row until the container is restarted, 0 for never"),
    done("Container", "HealthStartupSuccess", "Successes in a row until started"),
    done("Container", "HealthStartupTimeout", "Time limit of a start-up check"),
    done("Container", "HealthTimeout", "Time limit of a health check, 0 for none"),
    done("Container", "HostName", "Host name inside the container"),
    no_effect(
        "Container",
        "HttpProxy",
        "Pass the host's proxy variables",
        "the host's proxy variables are never passed; write Environment=http_proxy=... to set one",
    ),
    done("Container", "Image", "Image to run"),
    done("Container", "IP", "IPv4 address in the one network"),
    done("Container", "IP6", "IPv6 address in the one network"),
    done("Container", "Label", "Labels, NAME=VALUE", repeatable=True),
    done("Container", "LogDriver", "journald, passthrough or none; podman's file drivers mean journald"),
    done("Container", "LogOpt", "tag=TEXT: SYSLOG_IDENTIFIER of the lines, not the container's name", repeatable=True),
    done("Container", "Mask", "Paths to hide, separated by colons", repeatable=True),
    done("Container", "Memory", "Memory limit in bytes, or with b, k, m, g"),
    done(
        "Container",
        "Mount",
        "Mounts, type=bind|devpts|glob|image|ramfs|tmpfs|volume,source=,destination=,...",
        repeatable=True,
    ),
    done(
        "Container",
        "Network",
        "none, host, container:NAME, NAME.container, NAME.network or a network's name, with :ip=,ip6=,mac=,alias=,"
        "interface_name=; the default network otherwise",
        repeatable=True,
    ),
    done("Container", "NetworkAlias", "Further names in the networks", repeatable=True),
    done("Container", "NoNewPrivileges", "Whether setuid programs and file capabilities gain nothing"),
    done("Container", "Notify", "Who says that the container has started: yes for the container, healthy, or no"),
    done("Container", "PidsLimit", "Highest number of tasks, -1 for no limit"),
    done("Container", "Pod", "Pod that it is in, NAME.pod; network, host name and users are then the pod's"),
    done("Container", "PublishPort", "Ports to publish, [[IP:][HOSTPORT]:]PORT[/tcp|udp|sctp]", repeatable=True),
    done("Container", "Pull", "always, missing, newer or never"),
    done("Container", "ReadOnly", "Whether the root file system is read-only"),
    done("Container", "ReadOnlyTmpfs", "With ReadOnly=: whether /run, /tmp and /var/tmp are writable tmpfs"),
    done("Container", "ReloadCmd", "Command that 'systemctl reload' runs in the container"),
    done("Container", "ReloadSignal", "Signal that 'systemctl reload' sends to the container's program"),
    done("Container", "RemapGid", "With RemapUsers=: as GIDMap=, or the group of keep-id", repeatable=True),
    done("Container", "RemapUid", "With RemapUsers=: as UIDMap=, or the user of keep-id", repeatable=True),
    done("Container", "RemapUidSize", "With RemapUsers=auto: how many users"),
    done("Container", "RemapUsers", "manual, auto or keep-id; podman 4's word for UserNS="),
    done("Container", "Retry", "How often 'ctrctl apply' tries to fetch the image again"),
    done("Container", "RetryDelay", "Time between two tries; longer every time otherwise"),
    done(
        "Container",
        "Rootfs",
        "Host directory to use as root file system instead of an image, DIRECTORY[:O]; with O changes are thrown away",
    ),
    done("Container", "RunInit", "Whether a small init forwards signals and reaps processes"),
    done("Container", "SeccompProfile", "Seccomp profile, read when it is deployed, or unconfined"),
    done(
        "Container",
        "Secret",
        "Credentials of the host, NAME[,type=mount|env][,target=][,uid=][,gid=][,mode=]",
        repeatable=True,
    ),
    done("Container", "SecurityLabelDisable", "Whether to run without SELinux separation"),
    done("Container", "SecurityLabelFileType", "SELinux type of the container's files"),
    done("Container", "SecurityLabelLevel", "SELinux level, like s0:c100,c200; one of its own otherwise"),
    done("Container", "SecurityLabelNested", "Whether the container may set SELinux labels itself"),
    done("Container", "SecurityLabelType", "SELinux type of the processes"),
    done("Container", "ShmSize", "Size of /dev/shm"),
    done("Container", "StartWithPod", "Whether its pod starts it, as it does by default"),
    done("Container", "StopSignal", "Signal that asks the container to stop"),
    done("Container", "StopTimeout", "Time from the stop signal to SIGKILL; seconds, or a span like '1min 30s'"),
    done("Container", "SubGIDMap", "Groups of the host for the container's: the ranges of this name in /etc/subgid"),
    done("Container", "SubUIDMap", "Users of the host for the container's: the ranges of this name in /etc/subuid"),
    done("Container", "Sysctl", "Namespaced kernel parameters, NAME=VALUE", repeatable=True),
    done("Container", "Timezone", "'local' or a name like Europe/Berlin"),
    done("Container", "Tmpfs", "tmpfs mounts, PATH[:OPTIONS]", repeatable=True),
    done("Container", "UIDMap", "Users of the host for the container's, CONTAINER:HOST:LENGTH", repeatable=True),
    done("Container", "Ulimit", "Resource limits, NAME=SOFT[:HARD], -1 for no limit", repeatable=True),
    done(
        "Container",
        "Unmask",
        "Paths hidden or read-only by default that are not to be: paths and patterns separated by colons, or ALL",
        repeatable=True,
    ),
    done("Container", "User", "User to run as, USER[:GROUP]"),
    done("Container", "UserNS", "Users of its own: auto[:size=…], keep-id[:uid=…,gid=…]; or host, the host's users"),
    done("Container", "VolatileTmp", "Whether /tmp is a tmpfs of 512 MB where ReadOnly= is not set; write Tmpfs=/tmp"),
    done("Container", "Volume", "Volumes and bind mounts, [SOURCE:]TARGET[:OPTIONS]", repeatable=True),
    done("Container", "WorkingDir", "Working directory"),
)

_SHARED = (
    refused(
        ANY,
        "ContainersConfModule",
        "containers.conf module of podman",
        "there is no podman here to configure; write what the module sets as keys of its own",
        repeatable=True,
    ),
    done(ANY, "GlobalArgs", "Options of podman itself, translated where something says the same", repeatable=True),
    done(
        ANY,
        "PodmanArgs",
        "Options of podman run (or what makes this kind of thing), translated where a key says the same",
        repeatable=True,
    ),
    done(
        ANY,
        "ServiceName",
        "What podman calls the unit; here it is ctr@NAME.service, and a container without a name of its own takes this",
    ),
    done(
        "Quadlet",
        "DefaultDependencies",
        "Whether to start when the network is online, with Wants= and After=network-online.target",
    ),
    done("Install", "Alias", "Further names of the unit, PREFIX@NAME.service", repeatable=True),
    no_effect(
        "Install",
        "Also",
        "Units to enable with this one",
        "podman does not act on it either; what WantedBy= of a definition says is done when it is applied",
    ),
    done("Install", "DefaultInstance", "The instance of a template that needs no file of its own"),
    done("Install", "WantedBy", "Units that want this one, started with them", repeatable=True),
    done("Install", "RequiredBy", "Units that require this one", repeatable=True),
    done("Install", "UpheldBy", "Units that uphold this one; needs systemd 254", repeatable=True),
)


def _file_kind(section: str, reason: str, names: str) -> tuple[Key, ...]:
    """Rows of a section whose whole file kind is refused: one reason serves them all."""
    return tuple(refused(section, name, f"{name}= of a .{section.lower()} file", reason) for name in names.split())


#: Why a file of this section, and every key in it, is refused for now; what to write in a .container file instead.
FILE_KINDS = {
    "Kube": ".kube files are not supported yet; write one .container file for each container",
}

_FILES = (
    _file_kind(
        "Kube",
        FILE_KINDS["Kube"],
        "AutoUpdate ConfigMap ExitCodePropagation KubeDownForce LogDriver Network PublishPort SetWorkingDirectory "
        "UserNS Yaml",
    )
)

_POD = (
    done("Pod", "AddHost", "Lines for /etc/hosts, NAME:ADDRESS; the address may be host-gateway", repeatable=True),
    done("Pod", "DNS", "Name servers instead of the network's, or none for the images' resolv.conf", repeatable=True),
    done("Pod", "DNSOption", "Resolver options, as in resolv.conf(5)", repeatable=True),
    done("Pod", "DNSSearch", "Search domains, or '.' for none", repeatable=True),
    done("Pod", "ExitPolicy", "What becomes of the pod when its last container ends: stop (default) or continue"),
    done("Pod", "GIDMap", "Group mapping of the pod's user namespace", repeatable=True),
    done("Pod", "HostName", "Host name in its containers; the pod's name otherwise"),
    done("Pod", "IP", "IPv4 address in the one network"),
    done("Pod", "IP6", "IPv6 address in the one network"),
    done("Pod", "Label", "Labels, NAME=VALUE", repeatable=True),
    done("Pod", "Network", "none, host, NAME.network or a network's name, as in [Container]", repeatable=True),
    done("Pod", "NetworkAlias", "Further names in the networks", repeatable=True),
    done("Pod", "PodName", "Name of the pod; the file's name without suffix otherwise (podman: systemd-NAME)"),
    done("Pod", "PublishPort", "Ports to publish, [[IP:][HOSTPORT]:]PORT[/tcp|udp|sctp]", repeatable=True),
    done("Pod", "RemapGid", "With RemapUsers=: as GIDMap=, or the group of keep-id", repeatable=True),
    done("Pod", "RemapUid", "With RemapUsers=: as UIDMap=, or the user of keep-id", repeatable=True),
    done("Pod", "RemapUidSize", "With RemapUsers=auto: how many users"),
    done("Pod", "RemapUsers", "manual, auto or keep-id; podman 4's word for UserNS="),
    done("Pod", "ShmSize", "Size of the /dev/shm that its containers share"),
    done("Pod", "StopTimeout", "StopTimeout= of its containers that have none themselves"),
    done("Pod", "SubGIDMap", "Name in /etc/subgid"),
    done("Pod", "SubUIDMap", "Name in /etc/subuid"),
    done("Pod", "UIDMap", "User mapping of the pod's user namespace", repeatable=True),
    done("Pod", "UserNS", "User namespace of its containers: auto, keep-id or host"),
    done("Pod", "Volume", "Volumes and bind mounts of each of its containers", repeatable=True),
)

_NETWORK = (
    done("Network", "DisableDNS", "Whether containers do not find each other by name"),
    done("Network", "DNS", "Name servers for other names, instead of the host's", repeatable=True),
    done("Network", "Driver", "bridge, macvlan or ipvlan"),
    done("Network", "Gateway", "Router's address in the subnet at the same place", repeatable=True),
    done("Network", "InterfaceName", "Name of the bridge; for macvlan and ipvlan the parent interface"),
    done("Network", "Internal", "Whether there is no way out"),
    done("Network", "IPAMDriver", "host-local, or none for no addresses"),
    done(
        "Network", "IPRange", "Addresses to give, CIDR or FIRST-LAST, in the subnet at the same place", repeatable=True
    ),
    done("Network", "IPv6", "Whether there is an IPv6 subnet too"),
    done("Network", "Label", "Labels, NAME=VALUE", repeatable=True),
    no_effect(
        "Network",
        "NetworkDeleteOnStop",
        "Whether the network goes with its unit",
        "the bridge and its rules go with the last container that runs, in any case; the record of the network, with "
        "its addresses, stays until its definition goes",
    ),
    done(
        "Network", "NetworkName", "Name of the network; the file's name without suffix otherwise (podman: systemd-NAME)"
    ),
    done(
        "Network",
        "Options",
        "Driver options: mtu, isolate, vlan, parent, mode, metric, no_default_route",
        repeatable=True,
    ),
    done("Network", "Subnet", "Subnets in CIDR notation; a free one otherwise", repeatable=True),
)

_VOLUME = (
    done("Volume", "Copy", "Whether a new volume starts with what the image has there"),
    done("Volume", "Device", "What is mounted: a device, SERVER:/PATH, a file or a directory"),
    done("Volume", "Driver", "local, or image for a copy of Image="),
    done("Volume", "GID", "Number of the group that a new volume belongs to"),
    done("Volume", "Group", "The same as GID="),
    done("Volume", "Image", "Image that a new volume starts as a copy of; with Driver=image"),
    done("Volume", "Label", "Labels, NAME=VALUE", repeatable=True),
    done("Volume", "Options", "Mount options, as in mount(8) -o"),
    done("Volume", "Type", "Type of file system, as in mount(8) -t"),
    done("Volume", "UID", "Number of the user that a new volume belongs to"),
    done("Volume", "User", "The same as UID="),
    done("Volume", "VolumeName", "Name of the volume; the file's name without suffix otherwise (podman: systemd-NAME)"),
)

#: What podman does not have, in a section that it leaves alone.
_OWN = (
    done(
        "X-Ctr",
        "StopWhenIdleSec",
        "Stop the container when its socket unit has had no connection for so long; the next one starts it again",
    ),
)

QUADLET: tuple[Key, ...] = _CONTAINER + _POD + _NETWORK + _VOLUME + _SHARED + _FILES + SOURCING + _OWN
