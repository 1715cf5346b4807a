"""The rows of the coverage table for Quadlet files (podman-systemd.unit(5)). Data only; look it up in `coverage`."""

from __future__ import annotations

from supervisor.definitions.key import Key, done, no_effect, refused

#: The section of keys that Quadlet accepts in every section of its own.
ANY = "*"

_LATER = "is not supported yet"

_USERNS = "user namespaces are not supported yet; run the program as an unprivileged user with User="
_SELINUX = "SELinux labels are not supported yet; label the files on the host with chcon(1)"
_PODS = (
    "pods are not supported yet; give the others Network=NAME.container, the network of the first, "
    "and order them with After= in [Unit]"
)
_PULL = "is not supported yet; fetch the image beforehand with 'ctrctl pull' and write Pull=never"
_SECCOMP = "the default profile always applies for now"
_RELOAD = "reloading is not supported yet; send the signal with 'ctrctl kill --signal'"

_CONTAINER = (
    done("Container", "AddCapability", "Capabilities to add to the default set", repeatable=True),
    done("Container", "AddDevice", "Device nodes of the host, HOST[:CONTAINER][:rwm]", repeatable=True),
    done(
        "Container", "AddHost", "Lines for /etc/hosts, NAME:ADDRESS; the address may be host-gateway", repeatable=True
    ),
    done("Container", "Annotation", "OCI annotations, NAME=VALUE", repeatable=True),
    refused("Container", "AppArmor", "AppArmor profile", "AppArmor profiles are not supported yet; remove the line"),
    refused(
        "Container",
        "AutoUpdate",
        "Update the image by itself",
        f"{_LATER}; run 'ctrctl pull' and 'ctrctl apply' from a timer",
    ),
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
    done("Container", "EnvironmentFile", "Files of NAME=VALUE lines, read at every start", repeatable=True),
    refused(
        "Container",
        "EnvironmentHost",
        "Pass the host's environment",
        f"{_LATER}; name what is needed with Environment= or EnvironmentFile=",
    ),
    done("Container", "Exec", "Command line that replaces the image's command"),
    no_effect(
        "Container",
        "ExposeHostPort",
        "Ports to expose",
        "exposing only documents a port, it opens none; PublishPort= does, and in one network every port is reachable",
    ),
    refused("Container", "GIDMap", "Group mapping of a user namespace", _USERNS, repeatable=True),
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
    done("Container", "LogDriver", "journald, passthrough or none"),
    refused(
        "Container",
        "LogOpt",
        "Log driver options",
        f"{_LATER}; the journal's own limits are set in journald.conf(5)",
        repeatable=True,
    ),
    refused("Container", "Mask", "Paths to hide", f"{_LATER}; cover a directory with Tmpfs=PATH:ro", repeatable=True),
    done("Container", "Memory", "Memory limit in bytes, or with b, k, m, g"),
    done("Container", "Mount", "Mounts, type=bind|volume|tmpfs,source=,destination=,...", repeatable=True),
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
    refused("Container", "Pod", "Pod to join", _PODS),
    done("Container", "PublishPort", "Ports to publish, [[IP:][HOSTPORT]:]PORT[/tcp|udp|sctp]", repeatable=True),
    done("Container", "Pull", "always, missing, newer or never"),
    done("Container", "ReadOnly", "Whether the root file system is read-only"),
    done("Container", "ReadOnlyTmpfs", "With ReadOnly=: whether /run, /tmp and /var/tmp are writable tmpfs"),
    refused("Container", "ReloadCmd", "Command that reloads", _RELOAD),
    refused("Container", "ReloadSignal", "Signal that reloads", _RELOAD),
    refused("Container", "Retry", "How often a pull is retried", _PULL),
    refused("Container", "RetryDelay", "Time between two tries of a pull", _PULL),
    done("Container", "Rootfs", "Host directory to use as root file system instead of an image"),
    done("Container", "RunInit", "Whether a small init forwards signals and reaps processes"),
    refused("Container", "SeccompProfile", "Seccomp profile", f"{_LATER}; {_SECCOMP}, so remove the line"),
    done(
        "Container",
        "Secret",
        "Credentials of the host, NAME[,type=mount|env][,target=][,uid=][,gid=][,mode=]",
        repeatable=True,
    ),
    no_effect(
        "Container", "SecurityLabelDisable", "Run without SELinux separation", "no SELinux label is applied here"
    ),
    refused("Container", "SecurityLabelFileType", "SELinux type of files", _SELINUX),
    refused("Container", "SecurityLabelLevel", "SELinux level", _SELINUX),
    refused("Container", "SecurityLabelNested", "SELinux labels inside the container", _SELINUX),
    refused("Container", "SecurityLabelType", "SELinux type of processes", _SELINUX),
    done("Container", "ShmSize", "Size of /dev/shm"),
    refused("Container", "StartWithPod", "Whether the pod starts this container", _PODS),
    done("Container", "StopSignal", "Signal that asks the container to stop"),
    done("Container", "StopTimeout", "Time from the stop signal to SIGKILL; seconds, or a span like '1min 30s'"),
    refused("Container", "SubGIDMap", "Name in /etc/subgid", _USERNS),
    refused("Container", "SubUIDMap", "Name in /etc/subuid", _USERNS),
    done("Container", "Sysctl", "Namespaced kernel parameters, NAME=VALUE", repeatable=True),
    done("Container", "Timezone", "'local' or a name like Europe/Berlin"),
    done("Container", "Tmpfs", "tmpfs mounts, PATH[:OPTIONS]", repeatable=True),
    refused("Container", "UIDMap", "User mapping of a user namespace", _USERNS, repeatable=True),
    done("Container", "Ulimit", "Resource limits, NAME=SOFT[:HARD], -1 for no limit", repeatable=True),
    refused(
        "Container",
        "Unmask",
        "Hidden paths to show",
        f"{_LATER}; bind-mount what is needed with Volume=",
        repeatable=True,
    ),
    done("Container", "User", "User to run as, USER[:GROUP]"),
    refused("Container", "UserNS", "User namespace mode", _USERNS),
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
    refused(
        ANY,
        "GlobalArgs",
        "Arguments for podman",
        "there is no podman here to pass them to; write keys instead",
        repeatable=True,
    ),
    refused(
        ANY,
        "PodmanArgs",
        "Arguments for podman run",
        "there is no podman here to pass them to; write keys instead, such as Ulimit= for --ulimit",
        repeatable=True,
    ),
    refused(
        ANY,
        "ServiceName",
        "Name of the unit",
        "a container's unit is always ctr@NAME.service; choose NAME with ContainerName=",
    ),
    no_effect(
        "Quadlet",
        "DefaultDependencies",
        "Whether to wait for the network",
        "no container waits for the network by itself; write Wants= and After=network-online.target in [Unit] for it",
    ),
    refused(
        "Install",
        "Alias",
        "Further names of the unit",
        f"an alias {_LATER}; use the unit's name, ctr@NAME.service",
        repeatable=True,
    ),
    done("Install", "WantedBy", "Units that want this one, started with them", repeatable=True),
    done("Install", "RequiredBy", "Units that require this one", repeatable=True),
    refused(
        "Install",
        "UpheldBy",
        "Units that uphold this one",
        "systemd 252 does not read .upholds directories; write Upholds=ctr@NAME.service in the other unit",
        repeatable=True,
    ),
)


def _file_kind(section: str, reason: str, names: str) -> tuple[Key, ...]:
    """Rows of a section whose whole file kind is refused: one reason serves them all."""
    return tuple(refused(section, name, f"{name}= of a .{section.lower()} file", reason) for name in names.split())


#: Why a file of this section, and every key in it, is refused for now; what to write in a .container file instead.
FILE_KINDS = {
    "Pod": ".pod files are not supported yet; give the others Network=NAME.container, the network of the first",
    "Image": ".image files are not supported yet; write the reference as Image= in the .container file",
    "Build": ".build files are not supported yet; build the image with another tool and 'ctrctl image load' it",
    "Kube": ".kube files are not supported yet; write one .container file for each container",
}

_FILES = (
    _file_kind(
        "Pod",
        FILE_KINDS["Pod"],
        "AddHost DNS DNSOption DNSSearch ExitPolicy GIDMap HostName IP IP6 Label Network NetworkAlias PodName "
        "PublishPort ShmSize StopTimeout SubGIDMap SubUIDMap UIDMap UserNS Volume",
    )
    + _file_kind(
        "Image",
        FILE_KINDS["Image"],
        "AllTags Arch AuthFile CertDir Creds DecryptionKey Image ImageTag OS Policy Retry RetryDelay TLSVerify Variant",
    )
    + _file_kind(
        "Build",
        FILE_KINDS["Build"],
        "Annotation Arch AuthFile BuildArg DNS DNSOption DNSSearch Environment File ForceRM GroupAdd IgnoreFile "
        "ImageTag Label Network Pull Retry RetryDelay Secret SetWorkingDirectory Target TLSVerify Variant Volume",
    )
    + _file_kind(
        "Kube",
        FILE_KINDS["Kube"],
        "AutoUpdate ConfigMap ExitCodePropagation KubeDownForce LogDriver Network PublishPort SetWorkingDirectory "
        "UserNS Yaml",
    )
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
    done("Volume", "Driver", "local"),
    done("Volume", "GID", "Number of the group that a new volume belongs to"),
    done("Volume", "Group", "The same as GID="),
    refused(
        "Volume",
        "Image",
        "Image that is the volume",
        "volumes that are an image are not supported yet; copy what is needed into the volume",
    ),
    done("Volume", "Label", "Labels, NAME=VALUE", repeatable=True),
    done("Volume", "Options", "Mount options, as in mount(8) -o"),
    done("Volume", "Type", "Type of file system, as in mount(8) -t"),
    done("Volume", "UID", "Number of the user that a new volume belongs to"),
    done("Volume", "User", "The same as UID="),
    done("Volume", "VolumeName", "Name of the volume; the file's name without suffix otherwise (podman: systemd-NAME)"),
)

QUADLET: tuple[Key, ...] = _CONTAINER + _NETWORK + _VOLUME + _SHARED + _FILES
