"""PodmanArgs= and GlobalArgs= mean what podman's command line means, or are refused by the name of the argument."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.definitions import network_file, podman_args, podman_create, podman_run, volume_file
from supervisor.definitions.compiled import Compiled
from supervisor.definitions.key import State
from supervisor.definitions.lines import Lines
from supervisor.definitions.load import load
from supervisor.definitions.podman_option import Option, Takes, named
from supervisor.definitions.quadlet import compile_file
from supervisor.definitions.unitfile import parse
from supervisor.definitions.words import quote, split_words
from supervisor.spec.container import Container, Entry, ImageVolumes, Mount, NamespaceMode, Runtime
from supervisor.spec.health import Notify
from supervisor.spec.network import Network
from supervisor.spec.volume import Volume

PATH = "/etc/ctr/web.container"
BASE = "[Container]\nImage=localhost/nginx\n"

#: ``podman run --help`` of podman 5.4.2.
PODMAN_RUN = """
    --add-host --annotation --arch --attach --authfile --blkio-weight --blkio-weight-device --cap-add --cap-drop
    --cgroup-conf --cgroup-parent --cgroupns --cgroups --chrootdirs --cidfile --conmon-pidfile --cpu-period --cpu-quota
    --cpu-rt-period --cpu-rt-runtime --cpu-shares --cpus --cpuset-cpus --cpuset-mems --decryption-key --detach
    --detach-keys --device --device-cgroup-rule --device-read-bps --device-read-iops --device-write-bps
    --device-write-iops --disable-content-trust --dns --dns-option --dns-search --entrypoint --env --env-file --env-host
    --env-merge --expose --gidmap --gpus --group-add --group-entry --health-cmd --health-interval
    --health-log-destination --health-max-log-count --health-max-log-size --health-on-failure --health-retries
    --health-start-period --health-startup-cmd --health-startup-interval --health-startup-retries
    --health-startup-success --health-startup-timeout --health-timeout --help --hostname --hosts-file --hostuser
    --http-proxy --image-volume --init --init-path --interactive --ip --ip6 --ipc --label --label-file --log-driver
    --log-opt --mac-address --memory --memory-reservation --memory-swap --memory-swappiness --mount --name --network
    --network-alias --no-healthcheck --no-hostname --no-hosts --oom-kill-disable --oom-score-adj --os --passwd
    --passwd-entry --personality --pid --pidfile --pids-limit --platform --pod --pod-id-file --preserve-fd
    --preserve-fds --privileged --publish --publish-all --pull --quiet --rdt-class --read-only --read-only-tmpfs
    --replace --requires --restart --retry --retry-delay --rm --rmi --rootfs --sdnotify --seccomp-policy --secret
    --security-opt --shm-size --shm-size-systemd --sig-proxy --stop-signal --stop-timeout --subgidname --subuidname
    --sysctl --systemd --timeout --tls-verify --tmpfs --tty --tz --uidmap --ulimit --umask --unsetenv --unsetenv-all
    --user --userns --uts --variant --volume --volumes-from --workdir"""


def compiled(*lines: str) -> Compiled[Container]:
    return compile_file(PATH, BASE + "\n".join(lines) + "\n")


def container(*lines: str) -> Container:
    result = compiled(*lines)
    assert result.problems == ()
    assert result.defined is not None
    return result.defined


def problems(*lines: str) -> list[str]:
    return [str(problem).removeprefix(f"{PATH}:") for problem in compiled(*lines).problems]


def test_every_option_of_podman_run_has_an_answer() -> None:
    """None is unknown, so a message never tells a user of podman that what they wrote does not exist."""
    assert set(PODMAN_RUN.split()) <= set(named(podman_run.RUN))
    assert all(option.says for option in podman_run.RUN + podman_run.GLOBAL)


#: Options, and the lines of keys that say the same.
SAME = {
    "--add-host=a:10.0.0.1,b:10.0.0.2": "AddHost=a:10.0.0.1\nAddHost=b:10.0.0.2",
    '--annotation "a=b c"': 'Annotation="a=b c"',
    "--cap-add net_admin,SYS_TIME --cap-drop=all": "AddCapability=net_admin SYS_TIME\nDropCapability=all",
    "--cpus 1.5": "[Service]\nCPUQuota=150%",
    "--cpuset-cpus=0-3 --cpuset-mems 0": "[Service]\nAllowedCPUs=0-3\nAllowedMemoryNodes=0",
    "--cpu-quota=50000 --cpu-period 25000": "[Service]\nCPUQuotaPeriodSec=25ms\nCPUQuota=200%",
    "--device /dev/fuse": "AddDevice=/dev/fuse",
    "--device-read-bps /dev/vda:1024 --device-read-bps /dev/vdb:2048": (
        "[Service]\nIOReadBandwidthMax=/dev/vda 1024\nIOReadBandwidthMax=/dev/vdb 2048"
    ),
    "--device-cgroup-rule 'c 189:* rmw'": "[Service]\nDeviceAllow=char-usb_device rmw",
    "--device-cgroup-rule 'c 10:200 rw'": "[Service]\nDeviceAllow=/dev/char/10:200 rw",
    "--dns 10.0.0.1 --dns-opt=ndots:1 --dns-search a.example": "DNS=10.0.0.1\nDNSOption=ndots:1\nDNSSearch=a.example",
    '--env "A=x y" -e B=1 -eC=2 -e=D=3': 'Environment="A=x y" B=1 C=2 D=3',
    "--env-file /a/b": "EnvironmentFile=/a/b",
    "--gpus all": "AddDevice=nvidia.com/gpu=all",
    "--group-add 5,6": "GroupAdd=5\nGroupAdd=6",
    "--health-cmd 'curl -f \"x y\"' --healthcheck-retries 5": 'HealthCmd=curl -f "x y"\nHealthRetries=5',
    "--no-healthcheck": "HealthCmd=none",
    "-h a.b": "HostName=a.b",
    "--init": "RunInit=yes",
    "--ip=10.0.0.5": "IP=10.0.0.5",
    "--label a --label b=c": "Label=a\nLabel=b=c",
    "--mac-address 92:d0:c6:0a:29:33": "Network=bridge:mac=92:d0:c6:0a:29:33",
    "-m 1g": "Memory=1g",
    "-m1g --memory-swap=-1": "[Service]\nMemoryMax=1G\nMemorySwapMax=infinity",
    "--memory 1g --memory-swap 3g": "[Service]\nMemoryMax=1G\nMemorySwapMax=2G",
    "--memory-reservation 1m": "[Service]\nMemoryLow=1M",
    "--mount type=bind,source=/x,target=/y,ro": "Mount=type=bind,source=/x,target=/y,ro",
    "--net host": "Network=host",
    "--oom-kill-disable=false": "",
    "-p 80 --publish=8080:80,8443:443": "PublishPort=80\nPublishPort=8080:80\nPublishPort=8443:443",
    "--pids-limit=-1": "PidsLimit=-1",
    "--read-only --read-only-tmpfs=false": "ReadOnly=yes\nReadOnlyTmpfs=no",
    "--requires db": "[Unit]\nRequires=ctr@db.service\nAfter=ctr@db.service",
    "--retry 5 --retry-delay=10s": "Retry=5\nRetryDelay=10s",
    "--sdnotify=container": "Notify=yes",
    "--secret token,type=env": "Secret=token,type=env",
    "--security-opt no-new-privileges": "NoNewPrivileges=true",
    "--security-opt=seccomp=unconfined": "SeccompProfile=unconfined",
    "--security-opt label:disable": "SecurityLabelDisable=true",
    "--security-opt=label=type:spc_t --security-opt apparmor=x": "SecurityLabelType=spc_t\nAppArmor=x",
    "--security-opt unmask=ALL --security-opt mask=/proc/x": "Unmask=ALL\nMask=/proc/x",
    "--shm-size 1m --stop-timeout=5 --stop-signal int": "ShmSize=1m\nStopTimeout=5\nStopSignal=int",
    "--sysctl net.a.b=1 --ulimit nofile=1:2": "Sysctl=net.a.b=1\nUlimit=nofile=1:2",
    "--timeout 60": "[Service]\nRuntimeMaxSec=60",
    "--tmpfs /a:size=1m --tz local": "Tmpfs=/a:size=1m\nTimezone=local",
    "-u 5:6 -w /srv": "User=5:6\nWorkingDir=/srv",
    "-v /a:/b:ro --volume c:/d": "Volume=/a:/b:ro\nVolume=c:/d",
    "--cgroup-parent batch.slice": "[Service]\nSlice=batch.slice",
    "--log-driver none --log-opt tag=x": "LogDriver=none\nLogOpt=tag=x",
    "--env-host": "EnvironmentHost=yes",
}


@pytest.mark.parametrize("argument", SAME)
def test_an_option_is_what_its_key_is(argument: str) -> None:
    """The same container, whether written as option or as key."""
    assert container(f"PodmanArgs={argument}") == container(SAME[argument])


#: Options that no key can express, and the members they change.
MEMBERS: dict[str, dict[str, Any]] = {
    "--privileged": {"privileged": True},
    "--privileged=false": {},
    "-it": {"terminal": True, "stdin": True},
    "-P": {"publish_all": True},
    "--pid=host --ipc host --uts=host --cgroupns=host": {
        f"{kind}_namespace": NamespaceMode.HOST for kind in ("pid", "ipc", "uts", "cgroup")
    },
    "--umask 0077": {"umask": 0o077},
    "--image-volume=ignore": {"image_volumes": ImageVolumes.IGNORE},
    "--image-volume TMPFS": {"image_volumes": ImageVolumes.TMPFS},
    "--image-volume bind": {},
    "-itv /a:/b": {"terminal": True, "stdin": True, "mounts": container("Volume=/a:/b").mounts},
}


@pytest.mark.parametrize("argument", MEMBERS)
def test_an_option_without_a_key(argument: str) -> None:
    """It is a member of the container of its own."""
    assert container(f"PodmanArgs={argument}") == dataclasses.replace(container(), **MEMBERS[argument])


def test_the_oom_score_is_the_launchers_and_inherited() -> None:
    """[Service] refuses it, because it is about the launcher; from there every process of the container has it."""
    assert container("PodmanArgs=--oom-score-adj -500").unit.service == (Entry("OOMScoreAdjust", "-500"),)


def test_arguments_stand_behind_the_keys() -> None:
    """As on podman's command line: one value replaces the key's, with a warning; others add up."""
    result = compiled("User=1", "PodmanArgs=--user=2 -e B=3", "Environment=A=1 B=2")
    assert result.defined is not None and result.defined.user == "2"
    assert result.defined.environment == (("A", "1"), ("B", "3"))
    assert [(w.line, w.key) for w in result.warnings] == [(3, "User")]


def test_lines_are_one_command_line() -> None:
    """An option may stand in one line and its value in the next; an empty line resets them."""
    assert container("PodmanArgs=--user", "PodmanArgs=5").user == "5"
    assert container("PodmanArgs=--nosuch", "PodmanArgs=", "PodmanArgs=--user 5").user == "5"


def test_the_hardware_address_is_an_option_of_the_one_network() -> None:
    """Without a network of the default one, with one of that; of two it could be either."""
    mac = "PodmanArgs=--mac-address 92:d0:c6:0a:29:33"
    assert container("Network=lan:ip=10.0.0.5", mac).attachments[0].mac == "92:d0:c6:0a:29:33"
    assert problems("Network=a", "Network=b", mac) == [
        "5: PodmanArgs=: --mac-address: says not in which network; write Network=NETWORK:mac=…"
    ]


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("--memroy 1g", "--memroy: no such option of podman; did you mean --memory?"),
        ("-Z", "-Z: no such option of podman"),
        ("--memory x", "--memory: 'x' is not a size"),
        ("-m", "-m: has no value; write --memory=VALUE"),
        ("--publish 80:x", "--publish: '80:x'"),
        ("nginx", "'nginx' is no option, and podman would take it for the image"),
        ("--", "'--' is no option"),
        ("--name x", "--name: write ContainerName=NAME"),
        ("--rootfs", "--rootfs: write Rootfs=DIRECTORY"),
        ("--privileged=maybe", "--privileged: 'maybe' is not a boolean"),
        ("--pid container:x", "--pid: 'container:x': the namespace is the container's own, or the host's"),
        ("--cpus 1 --cpu-quota 50000", "--cpu-quota: contradicts --cpus"),
        ("--cpu-period 5000", "--cpu-period: needs the time it is about; add --cpu-quota"),
        ("--memory-swap 1g", "--memory-swap: a limit for swap needs one for memory"),
        ("--memory 1g --memory-swap 1m", "--memory-swap: '1m' is less than the limit for memory in line 3"),
        ("--restart always", "--restart: 'always': systemd restarts containers; write Restart=always in [Service]"),
        ("--env-file x", "--env-file: 'x' is not absolute"),
        ("-v ./x:/y", "-v: './x:/y' is relative to podman's working directory"),
        ("--security-opt nosuch=1", "--security-opt: 'nosuch=1' is unknown"),
        ("--device-cgroup-rule 'a *:* rwm'", "--device-cgroup-rule: 'a *:* rwm' is about every device"),
        ("--image-volume none", "--image-volume: 'none' is unknown to podman; write anonymous, tmpfs or ignore"),
        ("--sysctl kernel.msgmax=1 --ipc=host", "--sysctl: kernel.msgmax would change the host with --ipc=host"),
        ("--uts=host --hostname x", "--hostname: with --uts=host the name is the host's"),
        ('--label "x', "the quote"),
    ],
)
def test_a_mistake_names_the_argument(argument: str, message: str) -> None:
    """Line and argument first, then what to write instead."""
    (found,) = problems(f"PodmanArgs={argument}")
    assert found.startswith(f"3: PodmanArgs=: {message}")


def test_a_limit_is_said_once() -> None:
    """Where [Service] says it too, the argument is refused."""
    assert problems("PodmanArgs=--cpus=2", "[Service]", "CPUQuota=100%") == [
        "3: PodmanArgs=: --cpus: CPUQuota= in line 5 of [Service] sets the same; keep one of the two"
    ]


@pytest.mark.parametrize("argument", ["--rm", "--replace", "-d", "--cidfile=/run/x", "--conmon-pidfile x", "--pid="])
def test_what_is_so_anyway_is_a_warning(argument: str) -> None:
    """Files written for podman need not change for it."""
    result = compiled(f"PodmanArgs={argument}")
    assert result.defined == container()
    assert [w.line for w in result.warnings] == [3]
    assert "has no effect: " in result.warnings[0].message


def test_stdin_is_empty() -> None:
    """-i alone does nothing that a service could use, and a warning says so; with a terminal it is the terminal."""
    assert [w.message for w in compiled("PodmanArgs=-i").warnings] == [
        "-i: has no effect: nobody types into a unit, and its stdin is /dev/null"
    ]
    assert compiled("PodmanArgs=-ti").warnings == ()


def test_global_arguments() -> None:
    """The runtime can be chosen, logging is a warning, and another store is refused."""
    assert container("GlobalArgs=--runtime /usr/bin/runc").runtime is Runtime.RUNC
    result = compiled("GlobalArgs=--log-level=debug --syslog")
    assert [w.message.partition(":")[0] for w in result.warnings] == ["--log-level", "--syslog"]
    assert problems("GlobalArgs=--root /srv/x") == [
        "3: GlobalArgs=: --root: images, volumes and containers are in /var/lib/ctr; remove it"
    ]


def network(lines: str) -> Compiled[Network]:
    return network_file.compile_unit(parse("/etc/ctr/a.network", f"[Network]\n{lines}"))


def volume(lines: str) -> Compiled[Volume]:
    return volume_file.compile_unit(parse("/etc/ctr/a.volume", f"[Volume]\n{lines}"))


def test_other_files_translate_what_has_a_key_and_refuse_the_rest_by_name() -> None:
    """PodmanArgs= of networks and volumes; so it is with images, builds and pods."""
    one = network("PodmanArgs=--subnet 10.0.0.0/24 --internal -o mtu=1400\n")
    assert one.problems == ()
    assert one.defined == network("Subnet=10.0.0.0/24\nInternal=yes\nOptions=mtu=1400\n").defined
    (found,) = network("PodmanArgs=--route=10.0.0.0/8,10.0.0.1\n").problems
    assert str(found).startswith("/etc/ctr/a.network:2: PodmanArgs=: --route: static routes cannot be set")
    other = volume("PodmanArgs=--opt type=nfs --opt device=h:/x --opt=o=rw,soft\n")
    assert other.problems == ()
    assert other.defined == volume("Type=nfs\nDevice=h:/x\nOptions=rw,soft\n").defined


KINDS = {
    "build": "[Build]\nImageTag=localhost/x\nSetWorkingDirectory=unit\n",
    "container": BASE,
    "image": "[Image]\nImage=localhost/x\n",
    "network": "[Network]\n",
    "pod": "[Pod]\n",
    "volume": "[Volume]\n",
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("key", ["GlobalArgs", "PodmanArgs"])
def test_no_kind_of_file_passes_arguments_over(kind: str, key: str) -> None:
    """What nobody understands is refused in each."""
    path = f"/etc/ctr/a.{kind}"
    text = f"{KINDS[kind]}{key}=--nosuch\n"
    found = load(path, lambda _: text.encode()).problems
    assert [str(one) for one in found] == [
        f"{path}:{text.count(chr(10))}: {key}=: --nosuch: no such option of podman; correct it or remove the line"
    ]


def test_explanations() -> None:
    """One line each, for ``ctrctl check --explain``."""
    assert podman_args.explain("--cpus") == "PodmanArgs=--cpus: done: CPUQuota= of [Service]"
    assert podman_args.explain("-v") == "PodmanArgs=--volume: done: Volume="
    assert podman_args.explain("--rm") == "PodmanArgs=--rm: accepted, no effect here: it is so anyway"
    assert podman_args.explain("--name") == "PodmanArgs=--name: refused: write ContainerName=NAME"
    assert podman_args.explain("--log-level").startswith("GlobalArgs=--log-level: accepted")
    assert podman_args.explain("--nmae") == "--nmae: no such option of podman run; did you mean --name?"


TABLES = {"Container": podman_run.RUN, **podman_create.SECTIONS}


@pytest.mark.parametrize("section", TABLES)
def test_the_keys_in_the_tables_exist(section: str) -> None:
    """Every translation leads to a key of the section; refused ones have no translation."""
    from supervisor.definitions import coverage

    for option in TABLES[section]:
        assert (option.meaning is None) == (option.state is State.REFUSED)
        if option.says.endswith("=") and " " not in option.says and "…" not in option.says:
            assert coverage.find(section, option.says[:-1]) is not None, option.names


VALUES = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)


@given(VALUES.filter(bool), st.sampled_from(["Environment", "PublishPort", "User"]))
def test_a_value_arrives_as_it_was(value: str, key: str) -> None:
    """However strange, what becomes a line of a key is read as this one value."""
    from supervisor.definitions.findings import Findings

    line = podman_args.written(key, value)
    file = parse(PATH, "[Container]\nUser=x\n")
    at = dataclasses.replace(file.assignments[0], key=key, value=line)
    lines = Lines(dataclasses.replace(file, assignments=(at,)), "Container", Findings(PATH), stem="web", unit="u")
    found = lines.each(key, str) if key == "User" else lines.words(key, str, unescape=key == "Environment")
    if not {"%", "$"}.intersection(value):
        assert [text for _, text in found] == [value]


OPTIONS = sorted(named(podman_run.RUN))


NAMES = st.sampled_from([*OPTIONS, "--x", "x", "-", "--=", "-="])
WORDS = st.tuples(NAMES, VALUES, st.sampled_from(["=", " ", ""]))


@given(st.lists(WORDS))
def test_any_command_line_is_understood_or_refused_by_name(words: list[tuple[str, str, str]]) -> None:
    """Never a crash; every problem has the line, and names the argument it is about."""
    pieces = (quote(f"{name}={value}") if sep == "=" else f"{name}{sep}{quote(value)}" for name, value, sep in words)
    text = " ".join(pieces)
    result = compile_file(PATH, f"{BASE}PodmanArgs={text}\n".encode("utf-8", "surrogatepass"))
    assert (result.defined is None) == bool(result.problems)
    for problem in result.problems:
        assert problem.line == 3 or "\n" in text or "\r" in text


@given(st.text(max_size=60))
def test_any_text_is_understood_or_refused(text: str) -> None:
    """Never a crash."""
    compile_file(PATH, f"{BASE}PodmanArgs={text}\n".encode("utf-8", "replace"))
    compile_file(PATH, f"{BASE}GlobalArgs={text}\n".encode("utf-8", "replace"))


@pytest.mark.parametrize("option", podman_run.RUN, ids=lambda option: str(option.name))
def test_every_option_reads_any_value(option: Option) -> None:
    """Nonsense is refused by line and argument, whatever the option."""
    word = option.name if option.takes is Takes.FLAG else f"{option.name} 'a b:\"c=,%'"
    result = compiled(f"PodmanArgs={word}")
    for problem in result.problems:
        assert (problem.line, problem.key) == (3, "PodmanArgs")
        assert problem.message.startswith(f"{option.name}: ")


def test_words_stay_whole() -> None:
    """What systemd's quoting keeps together stays together."""
    assert split_words("--a 'b c'") == ("--a", "b c")
    assert container("PodmanArgs=--volume='/a b:/c d'").mounts == (container("Volume=/a b:/c d").mounts)
    assert isinstance(container("PodmanArgs=-v /a:/b").mounts[0], Mount)
    assert container("PodmanArgs=--sdnotify conmon").notify is Notify.STARTED


def test_options_that_podman_splits_at_commas() -> None:
    """Devices and block I/O limits are lists to podman; subnets and ranges of a network are not, gateways are."""
    line = "PodmanArgs=--device=/dev/fuse,/dev/tun --device-read-bps=/dev/vda:1m,/dev/vdb:2m"
    found = container(line)
    assert found.devices == ("/dev/fuse:/dev/fuse:rwm", "/dev/tun:/dev/tun:rwm")
    assert [limit.value for limit in found.scope_properties] == ["/dev/vda 1048576\n/dev/vdb 2097152"]
    known = named(podman_create.NETWORK)
    assert [known[name].takes is Takes.LIST for name in ("--gateway", "--subnet", "--ip-range")] == [True, False, False]


@pytest.mark.parametrize("device", ["/dev/vda,/dev/vdb", "/dev/vda:/dev/vdb"])
def test_a_disk_is_one_path(device: str) -> None:
    """A separator that was meant for podman is no part of it."""
    (problem,) = compile_file(PATH, f"{BASE}[Service]\nIOReadBandwidthMax={device} 1M\n").problems
    assert "is not a disk" in problem.message


def test_a_variable_is_a_whole_word() -> None:
    """systemd replaces $NAME only where it is a word of its own, ${NAME} anywhere; $$ is a dollar sign."""
    assert container("PodmanArgs=--entrypoint=$X").entrypoint == ("$X",)
    assert container("PodmanArgs=-l=$X=1 -l$Y=1").labels == (("$X", "1"), ("$Y", "1"))
    assert container("PodmanArgs=--entrypoint=$$X").entrypoint == ("$X",)
    for words in ("--entrypoint $X", "--entrypoint=${X}", "--entrypoint=a${X}", "-l $X=1"):
        assert "would be replaced by systemd" in problems(f"PodmanArgs={words}")[0], words


def test_an_option_can_be_empty() -> None:
    """--entrypoint= takes the image's away; the same line as a key is nothing to podman."""
    assert container("PodmanArgs=--entrypoint=").entrypoint == ("",)
    assert container('PodmanArgs=--entrypoint ""').entrypoint == ("",)
