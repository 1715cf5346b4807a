"""What the words of ``ctrctl run`` and ``exec`` mean, without a container."""

from __future__ import annotations

import argparse
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.cli import exec as exec_verb
from supervisor.cli import run_options
from supervisor.cli.parser import parser
from supervisor.cli.run_refused import REFUSED
from supervisor.errors import UserError
from supervisor.names import is_name
from supervisor.render.users import Accounts
from supervisor.spec import codec
from supervisor.spec.container import (
    Container,
    Entry,
    LogDriver,
    Mount,
    MountType,
    NamespaceMode,
    PullPolicy,
    Runtime,
    ScopeProperty,
    Ulimit,
    UnitSections,
)
from supervisor.spec.network import NetworkMode
from supervisor.spec.secret import Secret

CALLER = run_options.Caller("/home/me", {"HOME": "/home/me", "LANG": "C"})


def words(*argv: str, verb: str = "run") -> argparse.Namespace:
    options = parser(verb, "summary", ())
    run_options.configure(verb, options)
    return options.parse_args(argv)


def container(*argv: str, verb: str = "run") -> Container:
    return run_options.request(words(*argv, verb=verb), "web", CALLER).container


def test_without_options_everything_is_the_images_own() -> None:
    """A bare command line sets a name and an image, and that stopped containers keep their files."""
    assert container("nginx") == Container("web", "ctrctl run", image="nginx", keep_layer=True)


def test_every_option_reaches_the_spec() -> None:
    """Each option of docker and podman that we have ends in the field that means it."""
    line = """
        -it -e A=b -e HOME -e UNSET --env-file vars -w /w -u 1:2 --group-add audio --entrypoint /e --init --tz UTC
        -h host --network host -v ./src:/src:ro -v data:/data --tmpfs /t:size=1m --mount type=bind,src=/a,dst=/b
        --device /dev/fuse --read-only --read-only-tmpfs no --shm-size 1m -m 64m --cpus 1.5 --cpu-shares 1024
        --pids-limit 50 --ulimit nofile=10:20 --cap-add net_admin --cap-drop ALL --privileged
        --security-opt no-new-privileges --sysctl kernel.shmmax=9 --stop-signal INT --stop-timeout 3
        -l a=b --annotation c=d --log-driver none --runtime runc --pull never -d --rm image sh -c x
    """.split()  # noqa: SIM905
    assert container(*line) == Container(
        name="web",
        source="ctrctl run",
        image="image",
        pull=PullPolicy.NEVER,
        entrypoint=("/e",),
        command=("sh", "-c", "x"),
        environment=(("A", "b"), ("HOME", "/home/me")),
        environment_files=("/home/me/vars",),
        working_dir="/w",
        user="1:2",
        supplementary_groups=("audio",),
        hostname="host",
        timezone="UTC",
        labels=(("a", "b"),),
        annotations=(("c", "d"),),
        mounts=(
            Mount(MountType.BIND, "/src", "/home/me/src", ("ro",)),
            Mount(MountType.VOLUME, "/data", "data"),
            Mount(MountType.BIND, "/b", "/a"),
            Mount(MountType.TMPFS, "/t", "", ("size=1048576",)),
        ),
        read_only=True,
        read_only_tmpfs=False,
        shm_size=1 << 20,
        add_capabilities=("CAP_NET_ADMIN",),
        drop_capabilities=("ALL",),
        no_new_privileges=True,
        privileged=True,
        ulimits=(Ulimit("nofile", 10, 20),),
        sysctls=(("kernel.shmmax", "9"),),
        devices=("/dev/fuse:/dev/fuse:rwm",),
        scope_properties=(
            ScopeProperty("MemoryMax", "t", str(64 << 20)),
            ScopeProperty("MemorySwapMax", "t", str(64 << 20)),
            ScopeProperty("CPUQuotaPerSecUSec", "t", "1500000"),
            ScopeProperty("CPUWeight", "t", "39"),
            ScopeProperty("TasksMax", "t", "50"),
        ),
        network=NetworkMode.HOST,
        run_init=True,
        terminal=True,
        stdin=True,
        stop_signal="SIGINT",
        stop_timeout=3.0,
        log_driver=LogDriver.NONE,
        runtime=Runtime.RUNC,
        keep_layer=True,
        remove=True,
    )


def test_units_of_other_containers_and_the_oom_score() -> None:
    """--requires is systemd's Requires= and After=; the score is the service's, which the container inherits."""
    made = container("--requires", "db,cache", "--requires", "db", "--oom-score-adj", "-500", "i").unit
    needs = [(e.key, e.value) for e in made.unit]
    assert needs == [(k, f"ctr@{n}.service") for n in ("db", "cache") for k in ("Requires", "After")]
    assert made.service == (Entry("OOMScoreAdjust", "-500"),)
    assert made.install == ()


def test_secrets_by_name() -> None:
    """A file below /run/secrets, or a variable where that is said."""
    made = container("--secret", "db", "--secret", "token,type=env,target=TOKEN", "--secret=x,uid=5,mode=0400", "i")
    assert made.secrets == (
        Secret("db", "/run/secrets/db"),
        Secret("token", "TOKEN", as_environment=True),
        Secret("x", "/run/secrets/x", uid=5, mode=0o400),
    )


def test_volumes_of_another_container() -> None:
    """What it mounts, but for memory and for what is mounted already; :ro and :rw replace its own choice."""
    other = container("-v", "data:/data:ro,U", "-v", "/srv:/srv", "-v", "/a:/a", "--tmpfs", "/tmp", "i")
    mine = container("-v", "/b:/a", "i")
    more = {"": ("ro", "U"), ":ro": ("U", "ro"), ":rw": ("U", "rw")}
    for word, options in more.items():
        name, access = run_options.volumes_from(f"db{word}")
        mounts = run_options.with_volumes_of(mine, other, access).mounts
        assert name == "db"
        assert [(m.source, m.target) for m in mounts] == [("/b", "/a"), ("data", "/data"), ("/srv", "/srv")]
        assert mounts[1].options == options
    with pytest.raises(UserError, match=r"'z' is unknown; write NAME, NAME:ro or NAME:rw"):
        run_options.volumes_from("db:z")


def test_what_follows_the_image_is_the_commands() -> None:
    """Options after IMAGE are not ours, whatever they look like."""
    assert container("image", "-d", "--rm", "--", "-p").command == ("-d", "--rm", "--", "-p")
    assert container("-e", "A=-d", "image").environment == (("A", "-d"),)


@pytest.mark.parametrize(
    ("policy", "unit"),
    [
        ("no", UnitSections()),
        (
            "on-failure",
            UnitSections(
                (Entry("StartLimitIntervalSec", "0"),),
                (Entry("Restart", "on-failure"), Entry("RestartSec", "1")),
            ),
        ),
        (
            "on-failure:3",
            UnitSections(
                (Entry("StartLimitIntervalSec", "infinity"), Entry("StartLimitBurst", "4")),
                (Entry("Restart", "on-failure"), Entry("RestartSec", "1")),
            ),
        ),
        (
            "unless-stopped",
            UnitSections(
                (Entry("StartLimitIntervalSec", "0"),),
                (Entry("Restart", "always"), Entry("RestartSec", "1")),
                (Entry("WantedBy", "multi-user.target"),),
            ),
        ),
    ],
)  # fmt: skip
def test_restart_policies_are_systemds(policy: str, unit: UnitSections) -> None:
    """Docker's words become Restart=, a start limit, and a link at boot."""
    assert container("--restart", policy, "image").unit == unit


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (("--restart", "sometimes", "i"), "--restart: 'sometimes' is unknown"),
        (("--restart", "always:3", "i"), "--restart:"),
        (("--rm", "--restart", "always", "i"), "--rm: contradicts --restart"),
        (("-m", "lots", "i"), "--memory: 'lots'"),
        (("--memory-swap", "1g", "i"), "--memory-swap: a limit for swap needs one for memory"),
        (("-m", "1g", "--memory-swap", "1m", "i"), "--memory-swap: '1m' is less than --memory 1g"),
        (("--cpus", "many", "i"), "--cpus: 'many'"),
        (("--cpus", "0", "i"), "--cpus: '0'"),
        (("--requires", "a b", "i"), "--requires: container name 'a b'"),
        (("--replace", "i"), "--replace: says not which container; add --name"),
        (("--secret", "a", "--secret", "b,target=a", "i"), "--secret: /run/secrets/a is there twice"),
        (("--oom-score-adj", "1001", "i"), "--oom-score-adj: '1001' is not a number from -1000 to 1000"),
        (("--security-opt", "proc-opts=a", "i"), "--security-opt: 'proc-opts=a' is not known; use apparmor="),
        (("--security-opt", "label=user:u", "i"), "--security-opt: label='user': the user of a label follows"),
        (("--device", "vendor.com/gpu=", "i"), "--device: 'vendor.com/gpu=' is not the name of a device"),
        (("-v", "/a:/x", "--tmpfs", "/x", "i"), "/x: two mounts"),
        (("--entrypoint", "[1]", "i"), "--entrypoint: a JSON list of strings"),
        (("--log-driver", "json-file", "i"), "--log-driver: 'json-file' is unknown; use journald"),
        (("--runtime", "runsc", "i"), "--runtime: 'runsc' is unknown; use crun, runc"),
        (("i i",), "IMAGE: 'i i' is not an image reference"),
        (("--nosuch", "i"), "unrecognized arguments|required"),
        ((), "required: IMAGE"),
    ],
)
def test_mistakes_name_the_option(argv: tuple[str, ...], message: str) -> None:
    """Every message begins with what to correct."""
    with pytest.raises(UserError, match=message):
        container(*argv)


@pytest.mark.parametrize("option", sorted({o for first, (more, _) in REFUSED.items() for o in (first, *more)}))
def test_options_we_do_not_have_are_known_by_name(option: str) -> None:
    """With a value, with '=', or as a flag: the message is about the option."""
    for argv in ((option, "value", "image"), (f"{option}=value", "image"), (option,)):
        with pytest.raises(UserError, match=option):
            words(*argv)


def test_the_foreground_removes_by_itself() -> None:
    """With --rm only a container nobody waits for removes itself."""
    assert not container("--rm", "image").remove
    assert container("--rm", "-d", "image").remove
    assert container("--rm", "image", verb="create").remove


def test_swap_counts_memory_too() -> None:
    """docker's --memory-swap is the sum; systemd's MemorySwapMax= is swap alone."""
    swap = {p.name: p.value for p in container("-m", "64m", "--memory-swap", "96m", "i").scope_properties}
    assert swap["MemorySwapMax"] == str(32 << 20)
    unlimited = {p.name: p.value for p in container("-m", "64m", "--memory-swap", "-1", "i").scope_properties}
    assert unlimited["MemorySwapMax"] == str(2**64 - 1)


def test_a_root_directory_is_relative_to_the_caller() -> None:
    """--rootfs makes IMAGE a path."""
    made = container("--rootfs", "root", "sh")
    assert (made.image, made.rootfs, made.command) == (None, "/home/me/root", ("sh",))


@given(st.text(min_size=1, max_size=300))
def test_default_names_are_names(image: str) -> None:
    """Whatever an image is called."""
    assert is_name(run_options.default_name(image, (), lambda: "beef"))


def test_default_names_are_free() -> None:
    """A name in use is passed over."""
    tokens = iter(("aaaa", "bbbb"))
    assert (
        run_options.default_name("docker.io/library/nginx:1.27", {"nginx-aaaa"}, lambda: next(tokens)) == "nginx-bbbb"
    )


def test_what_a_command_line_makes_can_be_stored() -> None:
    """spec -> JSON -> spec."""
    made = container("-e", "A=b", "-m", "1g", "--restart", "always", "image", "x")
    assert codec.loads(Container, codec.dumps(made)) == made


# exec

DEPLOYED: dict[str, Any] = {
    "args": ["nginx"],
    "cwd": "/srv",
    "env": ["PATH=/bin", "A=a"],
    "user": {"uid": 101, "gid": 101},
    "capabilities": {kind: ["CAP_CHOWN"] for kind in ("bounding", "effective", "permitted")},
    "noNewPrivileges": True,
    "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 1, "hard": 2}],
}
ACCOUNTS = Accounts("root:x:0:0:root:/root:/bin/sh\nwww:x:33:34::/:/bin/sh\n", "audio:x:29:www\n")


def process(*argv: str) -> dict[str, Any]:
    options = parser("exec", "summary", ())
    exec_verb.configure("exec", options)
    args = options.parse_args(argv)
    return exec_verb.process(DEPLOYED, args, {"LANG": "C"}, ACCOUNTS, ("CAP_CHOWN", "CAP_SYS_ADMIN"))


def test_exec_inherits_what_the_container_has() -> None:
    """Only the command differs; limits and privileges are the container's."""
    assert process("web", "ls", "-l") == DEPLOYED | {"args": ["ls", "-l"], "terminal": False}


def test_exec_changes_what_it_is_told() -> None:
    """-e wins over the container's, -w and -u replace, -t brings a TERM."""
    made = process("-t", "-e", "A=b", "-e", "LANG", "-e", "UNSET", "-w", "/tmp/../x", "-u", "www", "web", "sh")
    assert made["env"] == ["PATH=/bin", "A=b", "TERM=xterm", "LANG=C"]
    assert made["cwd"] == "/x"
    assert made["user"] == {"uid": 33, "gid": 34, "additionalGids": [29, 34]}
    assert made["capabilities"]["effective"] == []
    assert made["terminal"]


def test_exec_as_root_has_the_containers_bounding_set() -> None:
    """Not the host's."""
    assert process("-u", "root", "web", "id")["capabilities"]["effective"] == ["CAP_CHOWN"]


def test_exec_privileged_has_what_the_host_has() -> None:
    """All capabilities, and nothing in the way of using them."""
    made = process("--privileged", "web", "id")
    assert made["capabilities"]["effective"] == ["CAP_CHOWN", "CAP_SYS_ADMIN"]
    assert not made["noNewPrivileges"]


def test_a_detached_exec_has_no_terminal() -> None:
    """There is nobody at it."""
    assert not process("-d", "-t", "web", "id")["terminal"]


def test_namespaces_of_the_host() -> None:
    """--pid=host and its like; another container's cannot be had."""
    made = container("--pid=host", "--ipc", "host", "--uts", "private", "i")
    assert (made.pid_namespace, made.ipc_namespace) == (NamespaceMode.HOST, NamespaceMode.HOST)
    assert (made.uts_namespace, made.cgroup_namespace) == (NamespaceMode.OWN, NamespaceMode.OWN)
    with pytest.raises(UserError, match=r"--pid: 'container:x': it is the container's own, or the host's"):
        container("--pid", "container:x", "i")
