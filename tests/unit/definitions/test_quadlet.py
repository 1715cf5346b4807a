"""A definition compiles into the container its author meant, or into every mistake it has."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.definitions.context import Context
from supervisor.definitions.coverage import State, keys
from supervisor.definitions.quadlet import compile_file
from supervisor.spec.container import Container, LogDriver, Mount, PullPolicy, Runtime, ScopeProperty, Ulimit
from supervisor.spec.health import HealthAction, HealthChanges, HealthCheck, Notify, StartupProbe
from supervisor.spec.network import Attachment, NetworkMode, Protocol, PublishedPort
from supervisor.spec.secret import Secret
from supervisor.spec.security import Security
from supervisor.spec.userns import IdRange, UserNamespace, UserNamespaceMode

PATH = "/etc/ctr/web.container"
BASE = "[Container]\nImage=localhost/nginx\n"


def compiled(lines: str, *, path: str = PATH) -> Container:
    result = compile_file(path, BASE + lines)
    assert result.problems == ()
    assert result.defined is not None
    return result.defined


def problems(text: str, context: Context | None = None, *, path: str = PATH) -> list[str]:
    result = compile_file(path, text, context)
    assert (result.defined is None) == bool(result.problems)
    return [str(problem) for problem in result.problems]


def test_the_smallest_definition_has_podmans_defaults() -> None:
    """Nothing is set that the author did not write, and nothing is to be warned of: the network is the default one."""
    result = compile_file(PATH, BASE)
    assert result.defined == Container("web", PATH, image="localhost/nginx", network_online=True)
    assert result.defined.network is NetworkMode.NETWORKS and result.defined.attachments == ()
    assert result.warnings == ()


def userns(**fields: Any) -> UserNamespace:
    return UserNamespace(UserNamespaceMode.MAPPED, **fields)


#: For each key that is done: a line, and the members of the container it changes.
EFFECTS = {
    "AddCapability": ("SYS_TIME CAP_SYS_TIME kill", {"add_capabilities": ("CAP_SYS_TIME", "CAP_KILL")}),
    "AddDevice": ("/dev/fuse", {"devices": ("/dev/fuse:/dev/fuse:rwm",)}),
    "AddHost": ("a;b:[::1]", {"hosts": (("a", "::1"), ("b", "::1"))}),
    "AppArmor": ("strict", {"security": Security(apparmor="strict")}),
    "Mask": ("/proc/a:/proc/b", {"security": Security(mask=("/proc/a", "/proc/b"))}),
    "SeccompProfile": ("tight.json", {"security": Security(seccomp="/etc/ctr/tight.json")}),
    "SecurityLabelDisable": ("true", {"security": Security(label=False)}),
    "SecurityLabelFileType": ("a_t", {"security": Security(label_file_type="a_t")}),
    "SecurityLabelLevel": ("s0:c1,c2", {"security": Security(label_level="s0:c1,c2")}),
    "SecurityLabelNested": ("yes", {"security": Security(label_nested=True)}),
    "SecurityLabelType": ("b_t", {"security": Security(label_type="b_t")}),
    "Unmask": ("/proc/*", {"security": Security(unmask=("/proc/*",))}),
    "GIDMap": ("0:7:9", {"user_namespace": userns(uids=(IdRange(0, 7, 9),), gids=(IdRange(0, 7, 9),))}),
    "RemapUsers": ("auto", {"user_namespace": UserNamespace()}),
    "SubGIDMap": ("me", {"user_namespace": userns(sub_uid="me", sub_gid="me")}),
    "SubUIDMap": ("me", {"user_namespace": userns(sub_uid="me", sub_gid="me")}),
    "UIDMap": ("0:7:9", {"user_namespace": userns(uids=(IdRange(0, 7, 9),), gids=(IdRange(0, 7, 9),))}),
    "UserNS": ("auto:size=9", {"user_namespace": UserNamespace(size=9)}),
    "Annotation": ('"a=b c" d=e', {"annotations": (("a", "b c"), ("d", "e"))}),
    "AutoUpdate": ("registry", {"labels": (("io.containers.autoupdate", "registry"),)}),
    "ServiceName": ("shopd", {"name": "shopd"}),
    "ContainerName": ("shop-%N", {"name": "shop-web"}),
    "DNS": ("[fd00::5]", {"dns": ("fd00::5",)}),
    "DNSOption": ("ndots:1", {"dns_options": ("ndots:1",)}),
    "DNSSearch": ("a.example", {"dns_search": ("a.example",)}),
    "DropCapability": ("all", {"drop_capabilities": ("ALL",)}),
    "Entrypoint": ('["/bin/sh", "-c"]', {"entrypoint": ("/bin/sh", "-c")}),
    "Environment": ('A=1 "B=x y" A=2', {"environment": (("A", "2"), ("B", "x y"))}),
    "EnvironmentFile": ("./a -/b -c", {"environment_files": ("/etc/ctr/a", "-/b", "-/etc/ctr/c")}),
    "EnvironmentHost": ("yes", {"environment_host": True}),
    "Exec": (r"""sh -c 'a "b"' \x41""", {"command": ("sh", "-c", 'a "b"', "A")}),
    "GlobalArgs": ("--runtime=runc", {"runtime": Runtime.RUNC}),
    "GroupAdd": ("5", {"supplementary_groups": ("5",)}),
    "VolatileTmp": ("yes", {"mounts": "/tmp"}),
    "HealthCmd": ("[ -e /x ] && y", {"health": HealthCheck(("/bin/sh", "-c", "[ -e /x ] && y"))}),
    "HostName": ("a.b", {"hostname": "a.b"}),
    "Image": ('"x:1"', {"image": "x:1"}),
    "IP": ("10.0.0.5", {"attachments": (Attachment("ctr", ip="10.0.0.5"),)}),
    "IP6": ("fd00::5", {"attachments": (Attachment("ctr", ip6="fd00::5"),)}),
    "Label": ("a b=c", {"labels": (("a", ""), ("b", "c"))}),
    "LogDriver": ("none", {"log_driver": LogDriver.NONE}),
    "LogOpt": ("max-size=1m tag={{.Name}}/{{.ImageName}}", {"log_tag": "web/localhost/nginx"}),
    "Memory": ("1k", {"scope_properties": "MemoryMax=1024 MemorySwapMax=1024"}),
    "Mount": ("type=tmpfs,dst=/a type=tmpfs,dst=/b", {"mounts": "/a /b"}),
    "Network": ("shop:ip=10.0.0.5", {"attachments": (Attachment("shop", ip="10.0.0.5"),)}),
    "NetworkAlias": ("a", {"attachments": (Attachment("ctr", ("a",)),)}),
    "NoNewPrivileges": ("true", {"no_new_privileges": True}),
    "Notify": ("healthy", {"notify": Notify.HEALTHY}),
    "PidsLimit": ("5", {"scope_properties": "TasksMax=5"}),
    "PodmanArgs": ("--privileged -t", {"privileged": True, "terminal": True}),
    "PublishPort": ("80 [::]:1:2/udp", {"ports": (PublishedPort(80), PublishedPort(2, 1, 1, Protocol.UDP, "::"))}),
    "Pull": ("newer", {"pull": PullPolicy.NEWER}),
    "ReadOnly": ("yes", {"read_only": True}),
    "ReadOnlyTmpfs": ("no", {"read_only_tmpfs": False}),
    "ReloadCmd": ("sh -c 'a b'", {"reload_command": ("sh", "-c", "a b")}),
    "ReloadSignal": ("hup", {"reload_signal": "SIGHUP"}),
    "Retry": ("5", {"pull_retries": 5}),
    "RetryDelay": ("1min", {"pull_retry_delay": 60.0}),
    "RunInit": ("on", {"run_init": True}),
    "Secret": ("a", {"secrets": (Secret("a", "/run/secrets/a"),)}),
    "ShmSize": ("1m", {"shm_size": 1048576}),
    "StopSignal": ("quit", {"stop_signal": "SIGQUIT"}),
    "StopTimeout": ("1min", {"stop_timeout": 60.0}),
    "Sysctl": ("kernel.sem=1 net.a.b=2", {"sysctls": (("kernel.sem", "1"), ("net.a.b", "2"))}),
    "Timezone": ("local", {"timezone": "local"}),
    "Tmpfs": ("/a", {"mounts": "/a"}),
    "Ulimit": ("core=1", {"ulimits": "core"}),
    "User": ("5:6", {"user": "5:6"}),
    "Volume": ("a:/a", {"mounts": "/a"}),
    "WorkingDir": ("/srv/../x", {"working_dir": "/x"}),
}


#: The same for the members of a health check with a start-up probe.
PROBE_EFFECTS = {
    "HealthInterval": ("disable", {"interval": 0.0}),
    "HealthTimeout": ("1m33s", {"timeout": 93.0}),
    "HealthRetries": ("5", {"retries": 5}),
    "HealthStartPeriod": ("1min", {"start_period": 60.0}),
    "HealthOnFailure": ("stop", {"action": HealthAction.STOP}),
    "HealthMaxLogCount": ("0", {"log_count": 0}),
    "HealthMaxLogSize": ("7", {"log_size": 7}),
    "HealthStartupCmd": ('["/x"]', {"startup": StartupProbe(("/x",))}),
    "HealthStartupInterval": ("3", {"startup": StartupProbe(("a",), interval=3.0)}),
    "HealthStartupTimeout": ("4s", {"startup": StartupProbe(("a",), timeout=4.0)}),
    "HealthStartupRetries": ("0", {"startup": StartupProbe(("a",), retries=0)}),
    "HealthStartupSuccess": ("2", {"startup": StartupProbe(("a",), successes=2)}),
}


def summary(value: object) -> object:
    """Mounts by target, limits by name: enough to see that a key arrives."""
    if not isinstance(value, tuple) or not value:
        return value
    if isinstance(value[0], Mount):
        return " ".join(mount.target for mount in value)
    if isinstance(value[0], ScopeProperty):
        return " ".join(f"{limit.name}={limit.value}" for limit in value)
    return " ".join(limit.name for limit in value) if isinstance(value[0], Ulimit) else value


@pytest.mark.parametrize("key", sorted(EFFECTS))
def test_a_key_changes_what_it_should_and_nothing_else(key: str) -> None:
    """Each key that is done has an effect on the spec, and only its own."""
    line, expected = EFFECTS[key]
    result = compile_file(PATH, f"{BASE}{key}={line}\n")
    assert result.problems == () and result.defined is not None
    plain = compiled("")
    changed = {
        member.name: summary(getattr(result.defined, member.name))
        for member in dataclasses.fields(Container)
        if getattr(result.defined, member.name) != getattr(plain, member.name)
    }
    assert changed == expected


def test_every_done_key_is_tested() -> None:
    """The table promises nothing that is not shown to work; Group=, Rootfs= and pods have tests of their own."""
    done = {key.name for key in keys("Container") if key.state is State.DONE}
    done -= {"RemapGid", "RemapUid", "RemapUidSize"}
    assert done - {"Group", "Rootfs", "Pod", "StartWithPod"} == set(EFFECTS) | set(PROBE_EFFECTS)


@pytest.mark.parametrize("key", sorted(PROBE_EFFECTS))
def test_a_key_of_the_health_check(key: str) -> None:
    """Each changes what it should beside HealthCmd=, and contradicts HealthCmd=none."""
    line, expected = PROBE_EFFECTS[key]
    base = "HealthCmd=x\n" + ('HealthStartupCmd=["a"]\n' if key.startswith("HealthStartup") else "")
    check = compiled(f"{base}{key}={line}\n").health
    assert check == dataclasses.replace(HealthCheck(("/bin/sh", "-c", "x")), **expected)
    found = problems(f"{BASE}HealthCmd=none\n{key}={line}\n")
    assert len(found) == 1 and f"{key}=: contradicts HealthCmd=none" in found[0]
    if key.startswith("HealthStartup") and key != "HealthStartupCmd":
        for beside in ("", "HealthCmd=x\n"):
            (found_one,) = problems(f"{BASE}{beside}{key}={line}\n")
            assert "needs a command in HealthStartupCmd= beside it" in found_one


def test_user_and_group_are_one_value() -> None:
    """Group= completes User=, and is nothing alone."""
    assert compiled("User=a\nGroup=b\n").user == "a:b"
    assert problems(BASE + "Group=5\n") == [f"{PATH}:3: Group=: needs User= beside it; write User=0 for root"]
    assert len(problems(BASE + "User=1:2\nGroup=5\n")) == 1


def test_rootfs_instead_of_image() -> None:
    """Exactly one of the two says what to run."""
    result = compile_file(PATH, "[Container]\nRootfs=/srv/root\nNetwork=none\n")
    assert result.defined is not None and (result.defined.image, result.defined.rootfs) == (None, "/srv/root")
    assert problems("[Container]\nNetwork=none\n") == [
        f"{PATH}:1: says not what to run; write Image= or Rootfs= in [Container]"
    ]
    assert problems(BASE + "Rootfs=/x\n") == [
        f"{PATH}:3: Rootfs=: Image= in line 2 says something else; keep one of the two"
    ]


def test_an_empty_assignment_resets() -> None:
    """systemd.syntax(7): an empty value takes back what was set before."""
    container = compiled("Environment=A=1\nEnvironment=\nEnvironment=B=2\nUser=5\nUser=\nExec=a\nExec=\n")
    assert (container.environment, container.user, container.command) == ((("B", "2"),), None, None)


def test_setting_a_single_value_twice_is_a_warning() -> None:
    """The last line wins, as in Quadlet, but the other one is named."""
    result = compile_file(PATH, BASE + "User=1\nUser=2\n")
    assert result.defined is not None and result.defined.user == "2"
    assert [str(warning) for warning in result.warnings] == [
        f"{PATH}:3: User=: has no effect: line 4 sets it again; remove one of the two"
    ]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("ContainerName=../x", "ContainerName=: container name '../x' is not valid"),
        ("ContainerName=%H", "ContainerName=: %H is known only on the running host"),
        ("ContainerName=" + "x" * 300, "ContainerName=: container name 'x"),
        ("Image=a b", "Image=: 'a b' is not an image reference"),
        ("Image=web.image", "Image=: there is no web.image beside this definition"),
        ("Entrypoint=/bin/sh -c", "Entrypoint=: '/bin/sh -c' has several words"),
        ("Entrypoint=[1]", "Entrypoint=: '[1]' is not a list of words"),
        ("Entrypoint=[", "Entrypoint=: '[' is not a JSON list"),
        ("Entrypoint=" + "[" * 100_000, "Entrypoint=: '["),
        ("Exec=echo ${HOME}", "Exec=: ${HOME} would be replaced by systemd"),
        ("Exec=echo 'x", "Exec=: the quote ' is not closed"),
        ("AutoUpdate=yes", "AutoUpdate=: 'yes' is no update policy; write registry or local"),
        ("LogOpt=path=/x", "LogOpt=: path: no log file is written, the lines are in the journal"),
        ("LogOpt=env=A", "LogOpt=: 'env' is not supported; write tag=TEXT"),
        ("LogOpt=tag={{.ID}}", "LogOpt=: tag: '{{.ID}}' is not known before it runs"),
        ("Retry=-1", "Retry=: '-1' is not a number from 0 to 1000"),
        ("ReloadSignal=HUB", "ReloadSignal=: 'HUB' is not a signal"),
        ("Label=a=b && c", "Label=: '&&' has no '='; quote the whole"),
        ("Memory=-1", "Memory=: '-1' is negative"),
        ("Network=pasta", "Network=: pasta is for rootless podman; remove the line for the default network"),
        ("Network=slirp4netns:mtu=1", "Network=: slirp4netns is for rootless podman"),
        ("Network=private", "Network=: private says not which network"),
        ("Network=ns:/run/x", "Network=: ns cannot be joined by path; write container:NAME"),
        ("Network=a,b", "Network=: 'a,b' names several networks; give each a line"),
        ("Network=db.container", "Network=: there is no valid db.container beside this definition"),
        ("Network=db.network", "Network=: there is no valid db.network beside this definition"),
        ("Network=container:web", "Network=: web is this container itself"),
        ("Network=host:ip=1.2.3.4", "Network=: 'host:ip=1.2.3.4': host has no options"),
        ("Network=shop:ip=fd00::1", "Network=: 'fd00::1' is not an IPv4 address"),
        ("Network=shop:driver=x", "Network=: 'driver=x' is no option of a network"),
        ("IP=10.0.0.1/24", "IP=: '10.0.0.1/24' is not an IPv4 address"),
        ("IP6=10.0.0.1", "IP6=: '10.0.0.1' is not an IPv6 address"),
        ("NetworkAlias=a b", "NetworkAlias=: 'a b' is no name for a network"),
        ("AddHost=db", "AddHost=: 'db' is no line for /etc/hosts; write NAME:ADDRESS"),
        ("DNS=dns.example", "DNS=: 'dns.example' is not a name server"),
        ("DNSOption=a b", "DNSOption=: 'a b' is no resolver option"),
        ("DNSSearch=a_b.-c", "DNSSearch=: 'a_b.-c' is not a name of a host"),
        ("PublishPort=80:80:80:80", "PublishPort=: '80:80:80:80' is not a port to publish"),
        ("PublishPort=1-2:3", "PublishPort=: '1-2:3' has 2 ports of the host for 1 of the container"),
        ("PublishPort=80:80 80:81", "PublishPort=: line 3 publishes 80:80/tcp already"),
        ("Secret=a,type=file", "Secret=: 'file' is not a type of secret"),
        ("Secret=a b,target=a", "Secret=: line 3 puts a secret at /run/secrets/a already"),
        ("HealthCmd=[1]", "HealthCmd=: '[1]' is not a list of words"),
        ("Notify=maybe", "Notify=: 'maybe' is neither a boolean nor healthy"),
        ("LogDriver=syslog", "LogDriver=: 'syslog' is not a log driver"),
        ("Pull=sometimes", "Pull=: 'sometimes' is not a pull policy"),
        ("Rootfs=x", "Rootfs=: the directory 'x' is not absolute"),
        ("Rootfs=/x:ro", "Rootfs=: 'ro' is no option of a root file system"),
        ("ReadOnly=true # yes", "ReadOnly=: 'true # yes' is not a boolean"),
        ("ServiceName=a/b", "ServiceName=: the file's name 'a/b' is not valid"),
        ("Volume=a:/", "Volume=: the target '/' is the container's root"),
    ],
)
def test_a_bad_value_is_named_with_file_line_and_key(line: str, message: str) -> None:
    """Every refusal begins with where it is."""
    found = problems(f"{BASE}{line}\n")
    assert any(problem.startswith(f"{PATH}:3: {message}") for problem in found), found


def test_five_mistakes_are_five_messages() -> None:
    """All mistakes of a file are reported in one go, in file order."""
    found = problems("[Container]\nImage=x\nUser=a b\nMemory=lots\nPublishPort=80:x\nImagee=y\nnonsense\n")
    assert [problem.split(": ")[0] for problem in found] == [f"{PATH}:{line}" for line in (3, 4, 5, 6, 7)]


def test_two_mounts_at_one_place_are_refused() -> None:
    """Whichever keys they come from, and however the path is written."""
    found = problems(BASE + "Volume=a:/data\nTmpfs=/data/\nMount=type=tmpfs,dst=/x/../data\n")
    assert [problem.split(": ")[0] for problem in found] == [f"{PATH}:4", f"{PATH}:5"]
    assert "line 3 mounts something at /data already" in found[0]


def test_host_sysctls_of_the_network_are_refused_with_the_hosts_network() -> None:
    """podman-run(1) --sysctl: net.* needs a network namespace of its own."""
    text = "[Container]\nImage=x\nNetwork=host\nSysctl=net.core.somaxconn=1 kernel.sem=1\n"
    assert [problem.split(";")[0] for problem in problems(text)] == [
        f"{PATH}:4: Sysctl=: net.core.somaxconn would change the host with Network=host"
    ]


NAMES = Context(names={"db.container": "database", "shop.network": "storefront", "web.container": "web"})


@pytest.mark.parametrize(
    ("lines", "mode", "attachments", "container"),
    [
        ("Network=host\n", NetworkMode.HOST, (), ""),
        ("Network=none\n", NetworkMode.NONE, (), ""),
        ("Network=container:db\n", NetworkMode.CONTAINER, (), "db"),
        ("Network=db.container\n", NetworkMode.CONTAINER, (), "database"),
        ("Network=shop.network\n", NetworkMode.NETWORKS, (Attachment("storefront"),), ""),
        ("Network=bridge\n", NetworkMode.NETWORKS, (Attachment("ctr"),), ""),
        ("Network=podman:alias=a\n", NetworkMode.NETWORKS, (Attachment("ctr", ("a",)),), ""),
        (
            "Network=shop.network:ip=10.0.0.5,mac=92:D0:C6:0A:29:33,interface_name=in0\nNetwork=b\nNetworkAlias=x\n",
            NetworkMode.NETWORKS,
            (Attachment("storefront", ("x",), "10.0.0.5", "", "92:d0:c6:0a:29:33", "in0"), Attachment("b", ("x",))),
            "",
        ),
        (
            "Network=a:ip6=fd00:0::1\nIP=10.0.0.5\n",
            NetworkMode.NETWORKS,
            (Attachment("a", (), "10.0.0.5", "fd00::1"),),
            "",
        ),
    ],
)
def test_networks(lines: str, mode: NetworkMode, attachments: tuple[Attachment, ...], container: str) -> None:
    """Whose network it is; several lines are several networks, aliases are for all of them."""
    result = compile_file(PATH, BASE + lines, NAMES)
    assert result.problems == () and result.defined is not None
    found = result.defined
    assert (found.network, found.attachments, found.network_container) == (mode, attachments, container)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("Network=none\nNetwork=host\n", ":4: Network=: line 3 contradicts it: host excludes none; keep one"),
        ("Network=a\nNetwork=container:b\n", ":4: Network=: line 3 contradicts it: container:b excludes a; keep"),
        ("Network=a\nNetwork=a:ip=10.0.0.1\n", ":4: Network=: line 3 contradicts it: the network a is there twice"),
        ("Network=bridge\nNetwork=ctr\n", ":4: Network=: line 3 contradicts it: the network ctr is there twice"),
        ("Network=web.container\n", ":3: Network=: web is this container itself; name another one"),
        ("Network=a\nNetwork=b\nIP=10.0.0.1\n", ":5: IP=: says not in which of the 2 networks"),
        ("Network=a:ip=10.0.0.2\nIP=10.0.0.1\n", ":4: IP=: is an option of the network a too"),
        ("Network=none\nIP6=fd00::1\n", ":4: IP6=: has no meaning with the network none"),
        ("Network=host\nNetworkAlias=a\n", ":4: NetworkAlias=: has no meaning with the network host"),
        ("Network=container:b\nDNS=1.1.1.1\n", ":4: DNS=: cannot be set with another container's network"),
        ("Network=none\nDNSSearch=x\n", ":4: DNSSearch=: has no meaning without a network"),
        ("Network=container:b\nAddHost=a:1.1.1.1\n", ":4: AddHost=: cannot be set with another container's network"),
        ("DNS=none\nDNS=1.1.1.1\n", ":4: DNS=: none excludes every other name server"),
        ("Network=container:b\nSysctl=net.a.b=1\n", ":4: Sysctl=: net.a.b belongs to the container whose network"),
    ],
)
def test_what_the_network_excludes(lines: str, message: str) -> None:
    """Lines that contradict each other are named, the later one with its line."""
    (found,) = problems(BASE + lines, NAMES)
    assert found.startswith(f"{PATH}{message}")


@pytest.mark.parametrize("network", ["host", "none", "container:db"])
def test_ports_without_a_network_of_its_own_are_a_warning(network: str) -> None:
    """podman discards them with a warning too; the definition stays usable."""
    result = compile_file(PATH, f"{BASE}Network={network}\nPublishPort=80:80\n")
    assert result.defined is not None and result.defined.ports == ()
    assert [(warning.line, warning.message[:13]) for warning in result.warnings] == [(4, "has no effect")]


def test_no_health_check() -> None:
    """``none`` takes the image's away too; nothing can wait for it then."""
    container = compiled("HealthCmd=none\n")
    assert (container.health, container.no_health) == (None, True)
    assert len(problems(BASE + "HealthCmd=none\nNotify=healthy\n")) == 1
    result = compile_file(PATH, BASE + "Notify=yes\n[Service]\nType=oneshot\n")
    assert result.defined is not None and result.defined.notify is Notify.STARTED
    assert [warning.key for warning in result.warnings] == ["Notify"]


def test_a_secret_does_not_share_its_place() -> None:
    """Not with a mount, however it is written; a variable of that name is another place."""
    (found,) = problems(BASE + "Tmpfs=/run/secrets/a/\nSecret=a\n")
    assert found.startswith(f"{PATH}:4: Secret=: something is mounted at /run/secrets/a already")
    assert len(compiled("Secret=a a,type=env a,target=b\n").secrets) == 3


@pytest.mark.parametrize(
    ("path", "start"),
    [
        ("/etc/ctr/web@.container", "'web@' is a template"),
        ("/etc/ctr/web@a\\x2d.container", "the file's name 'web_a"),
        ("/etc/ctr/-rf.container", "the file's name '-rf' is not valid"),
        (f"/etc/ctr/{'x' * 200}.container", "the file's name 'xxxx"),
    ],
)
def test_a_file_whose_name_is_no_name_is_refused(path: str, start: str) -> None:
    """The name of the container is the file's, unless ContainerName= gives one; templates have none."""
    assert problems(BASE, path=path)[0].startswith(f"{path}:1: {start}")


def test_sections() -> None:
    """A missing [Container], an unknown section and one of another file kind are named; X- sections are free."""
    assert problems("[Unit]\n")[0] == f"{PATH}:1: has no [Container] section; add one with Image= or Rootfs="
    found = problems(BASE + "[Pod]\nPodName=x\n[Timer]\nOnBootSec=1\n[X-Mine]\nA=1\n")
    assert [problem.split(": ")[0] for problem in found] == [f"{PATH}:3", f"{PATH}:5"]


@given(st.binary(max_size=120))
def test_any_bytes_compile_without_an_exception(data: bytes) -> None:
    """Whatever a file holds, compiling it ends in a container or in problems."""
    result = compile_file(PATH, data)
    assert (result.defined is None) == bool(result.problems)


@given(
    st.lists(
        st.tuples(st.sampled_from([*EFFECTS, *PROBE_EFFECTS, "Group", "Rootfs"]), st.text(max_size=12)), max_size=6
    )
)
def test_any_values_compile_without_an_exception(lines: list[tuple[str, str]]) -> None:
    """The same for known keys with any value."""
    result = compile_file(PATH, BASE + "".join(f"{key}={value}\n" for key, value in lines))
    assert (result.defined is None) == bool(result.problems)


def test_a_container_reloads_in_one_way() -> None:
    """As podman has it: a signal, or a command."""
    assert problems(f"{BASE}ReloadSignal=HUP\nReloadCmd=x\n") == [
        f"{PATH}:4: ReloadCmd=: ReloadSignal= in line 3 says how to reload already; keep one of the two"
    ]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("LogDriver=k8s-file", "k8s-file writes no file here: the lines are in the journal"),
        ("LogOpt=max-size=10mb", "max-size has no effect: the journal's own limits"),
        ("AutoUpdate=registry", "only sets the label io.containers.autoupdate"),
    ],
)
def test_what_differs_from_podman_is_a_warning(line: str, message: str) -> None:
    """The container is deployed, and its author knows."""
    result = compile_file(PATH, f"{BASE}{line}\n")
    assert result.defined is not None and result.defined.log_driver is LogDriver.JOURNALD
    (found,) = result.warnings
    assert found.line == 3 and found.message.startswith(message)


def test_two_quotes_are_nothing() -> None:
    """podman passes on what is set once only when something is left without the quotes; lists keep it."""
    lines = 'Entrypoint=/a\nEntrypoint=""\nHostName=""\nUser=""\nHealthCmd=""\nMemory=""\nRunInit=""\n'
    assert compiled(lines) == compiled("")
    assert compiled('Exec=""\n').command == ("",)
    assert problems(BASE + 'DNS=""\n')


def test_what_changes_the_images_health_check() -> None:
    """podman-run(1): what is done about it, what is kept, and the start-up check need no HealthCmd=."""
    lines = "HealthOnFailure=kill\nHealthMaxLogCount=3\nHealthMaxLogSize=7\nHealthStartupCmd=[\"/s\"]\n"
    made = compiled(lines + "HealthStartupInterval=2\n")
    assert made.health is None
    startup = StartupProbe(("/s",), interval=2.0)
    assert made.health_changes == HealthChanges(HealthAction.KILL, startup, log_count=3, log_size=7)
    assert compiled("").health_changes is None
    assert compiled("HealthCmd=x\n" + lines).health_changes is None


@pytest.mark.parametrize("line", ["HealthInterval=1s", "HealthTimeout=1s", "HealthRetries=1", "HealthStartPeriod=1s"])
def test_what_does_not_change_it_is_a_warning(line: str) -> None:
    """podman passes over them without HealthCmd=."""
    result = compile_file(PATH, BASE + line + "\n")
    assert result.defined == compiled("")
    assert [f"{warning.line} {warning.message[:43]}" for warning in result.warnings] == [
        "3 has no effect: without HealthCmd= beside it"
    ]


def test_volatile_tmp() -> None:
    """podman's old word for a tmpfs at /tmp; with ReadOnly= there is one anyway."""
    assert compiled("VolatileTmp=yes\n").mounts == compiled("Tmpfs=/tmp:rw,size=512M,mode=1777\n").mounts != ()
    assert compiled("VolatileTmp=no\n").mounts == compiled("VolatileTmp=yes\nReadOnly=yes\n").mounts == ()
    assert "mounts something at /tmp already" in problems(BASE + "VolatileTmp=yes\nTmpfs=/tmp\n")[0]
