"""Options for PodmanArgs= of the files that are no container: podman-pod-create(1), podman-network-create(1),
podman-volume-create(1), podman-pull(1) and podman-build(1). Data only.

What a key says is translated into that key; whatever else podman knows is refused by its name. As of podman 5.
"""

from __future__ import annotations

from supervisor.definitions import podman_values as read
from supervisor.definitions.podman_option import Option, Takes, does, key, nothing, refused

_FLAG, _LIST = Takes.FLAG, Takes.LIST
_NO_KEY = "has no counterpart here; remove it"
_SO = "it is so anyway"


def _each(names: str, reason: str = _NO_KEY, takes: Takes = Takes.VALUE) -> tuple[Option, ...]:
    """Options that are refused for one reason."""
    return tuple(refused(name.replace(",", " "), reason, takes) for name in names.split())


_IN_CONTAINERS = "write it in the .container files, each for itself"
_SLICE = "write it in [Slice] of a drop-in for the slice of the pod, see systemd.resource-control(5)"

POD = (
    key("--add-host", "AddHost", _LIST),
    key("--dns", "DNS", _LIST),
    key("--dns-option --dns-opt", "DNSOption", _LIST),
    key("--dns-search", "DNSSearch", _LIST),
    key("--exit-policy", "ExitPolicy"),
    key("--gidmap", "GIDMap", _LIST),
    key("--hostname -h", "HostName"),
    key("--ip", "IP"),
    key("--ip6", "IP6"),
    does("--label -l", "Label=", read.label("Label")),
    key("--network --net", "Network"),
    key("--network-alias", "NetworkAlias", _LIST),
    key("--publish -p", "PublishPort", _LIST),
    key("--shm-size", "ShmSize"),
    key("--subgidname", "SubGIDMap"),
    key("--subuidname", "SubUIDMap"),
    key("--uidmap", "UIDMap", _LIST),
    key("--userns", "UserNS"),
    key("--volume -v", "Volume"),
    nothing("--infra", "there is no pause process; the namespaces are systemd's to keep", _FLAG),
    nothing("--infra-command", "there is no pause process"),
    nothing("--infra-conmon-pidfile", "there is no pause process"),
    nothing("--infra-image", "there is no pause process"),
    nothing("--infra-name", "there is no pause process"),
    nothing("--pod-id-file", "pods are known by their names here"),
    nothing("--replace", _SO, _FLAG),
    nothing("--share-parent", "the containers of a pod are in its slice", _FLAG),
    does("--share", "nothing", read.only("ipc,net,uts net,ipc,uts uts,ipc,net", "cannot be chosen; remove it")),
    does("--restart", "Restart= of [Service], in each container", read.restart),
    refused("--name -n", "write PodName=NAME"),
    *_each("--blkio-weight --cpu-shares,-c --cpus --cpuset-cpus --cpuset-mems --memory,-m --memory-swap", _SLICE),
    *_each("--blkio-weight-device --device-read-bps --device-write-bps", _SLICE),
    *_each("--device --pid --security-opt --uts --volumes-from", _IN_CONTAINERS),
    *_each("--gpus --sysctl", _IN_CONTAINERS, _LIST),
    *_each("--cgroup-parent --hosts-file --label-file --mac-address --shm-size-systemd"),
    *_each("--no-hostname --no-hosts --help", takes=_FLAG),
)

NETWORK = (
    key("--disable-dns", "DisableDNS", _FLAG),
    key("--dns", "DNS", _LIST),
    key("--driver -d", "Driver"),
    key("--gateway", "Gateway", _LIST),
    key("--interface-name", "InterfaceName"),
    key("--internal", "Internal", _FLAG),
    key("--ip-range", "IPRange"),
    key("--ipam-driver", "IPAMDriver"),
    key("--ipv6", "IPv6", _FLAG),
    does("--label", "Label=", read.label("Label")),
    key("--opt -o", "Options"),
    key("--subnet", "Subnet"),
    nothing("--ignore", _SO, _FLAG),
    refused("--route", "static routes cannot be set; add them on the host, with a unit of systemd"),
    *_each("--help", takes=_FLAG),
)

VOLUME = (
    key("--driver -d", "Driver"),
    does("--label -l", "Label=", read.label("Label")),
    does("--opt -o", "Device=, Type=, Options=, Copy=, UID= and GID=", read.volume_option),
    key("--uid", "UID"),
    key("--gid", "GID"),
    nothing("--ignore", _SO, _FLAG),
    *_each("--help", takes=_FLAG),
)

IMAGE = (
    key("--all-tags -a", "AllTags", _FLAG),
    key("--arch --override-arch", "Arch"),
    key("--authfile", "AuthFile"),
    key("--cert-dir", "CertDir"),
    key("--creds", "Creds"),
    key("--decryption-key", "DecryptionKey"),
    key("--os --override-os", "OS"),
    key("--policy", "Policy"),
    key("--retry", "Retry"),
    key("--retry-delay", "RetryDelay"),
    key("--tls-verify", "TLSVerify", _FLAG),
    key("--variant --override-variant", "Variant"),
    nothing("--disable-content-trust", "it does nothing in podman either", _FLAG),
    nothing("--quiet -q", "'ctrctl apply' shows progress to people only", _FLAG),
    refused("--platform", "write OS=, Arch= and Variant="),
    *_each("--help", takes=_FLAG),
)

BUILD = (
    key("--annotation", "Annotation"),
    key("--arch", "Arch"),
    key("--authfile", "AuthFile"),
    key("--build-arg", "BuildArg"),
    key("--dns", "DNS", _LIST),
    key("--dns-option", "DNSOption", _LIST),
    key("--dns-search", "DNSSearch", _LIST),
    key("--env", "Environment"),
    key("--file -f", "File"),
    key("--force-rm", "ForceRM", _FLAG),
    key("--group-add", "GroupAdd", _LIST),
    key("--ignorefile", "IgnoreFile"),
    key("--label", "Label"),
    key("--network", "Network"),
    Option(("--pull",), _FLAG, key("--pull", "Pull").state, "Pull=", key("--pull", "Pull").meaning, default="missing"),
    key("--retry", "Retry"),
    key("--retry-delay", "RetryDelay"),
    key("--secret", "Secret"),
    key("--tag -t", "ImageTag"),
    key("--target", "Target"),
    key("--tls-verify", "TLSVerify", _FLAG),
    key("--variant", "Variant"),
    key("--volume -v", "Volume"),
    nothing("--disable-content-trust", "it does nothing in podman either", _FLAG),
    nothing("--quiet -q", "what is built is shown to people only", _FLAG),
    nothing("--rm", _SO, _FLAG),
    *_each(
        """--add-host --build-arg-file --build-context --cache-from --cache-to --cache-ttl --cap-add --cap-drop
        --cert-dir --cgroup-parent --cgroupns --cpp-flag --cpu-period --cpu-quota --cpu-shares,-c --cpuset-cpus
        --cpuset-mems --creds --cw --decryption-key --device --format --from --hooks-dir --iidfile --ipc --isolation
        --jobs --layer-label --logfile --manifest --memory,-m --memory-swap --os --os-feature --os-version --output,-o
        --pid --platform --runtime-flag --sbom --sbom-image-output --sbom-image-purl-output --sbom-merge-strategy
        --sbom-output --sbom-purl-output --sbom-scanner-command --sbom-scanner-image --security-opt --shm-size
        --sign-by --ssh --timestamp --ulimit --unsetenv --unsetlabel --userns --userns-gid-map
        --userns-gid-map-group --userns-uid-map --userns-uid-map-user --uts""",
        "has no counterpart here; write it into the Containerfile, or remove it",
    ),
    *_each(
        """--all-platforms --compat-volumes --compress --disable-compression,-D --help --http-proxy --identity-label
        --layers --logsplit --no-cache --no-hostname --no-hosts --omit-history --skip-unused-stages --squash
        --squash-all --stdin""",
        takes=_FLAG,
    ),
)

#: By the section whose PodmanArgs= they are.
SECTIONS = {"Pod": POD, "Network": NETWORK, "Volume": VOLUME, "Image": IMAGE, "Build": BUILD}
