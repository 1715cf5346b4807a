"""A definition compiles into the container its author meant, or into every mistake it has."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.definitions.coverage import State, keys
from supervisor.definitions.quadlet import Context, compile_file
from supervisor.spec.container import Container, LogDriver, PullPolicy

PATH = "/etc/ctr/web.container"
BASE = "[Container]\nImage=localhost/nginx\nNetwork=none\n"


def compiled(lines: str, *, path: str = PATH) -> Container:
    result = compile_file(path, BASE + lines)
    assert result.problems == ()
    assert result.container is not None
    return result.container


def problems(text: str, context: Context | None = None, *, path: str = PATH) -> list[str]:
    result = compile_file(path, text, context)
    assert (result.container is None) == bool(result.problems)
    return [str(problem) for problem in result.problems]


def test_the_smallest_definition_has_podmans_defaults() -> None:
    """Nothing is set that the author did not write."""
    assert compiled("") == Container("web", PATH, image="localhost/nginx")


#: For each key that is done: a line, and the members of the container it changes.
EFFECTS = {
    "AddCapability": ("SYS_TIME CAP_SYS_TIME kill", {"add_capabilities": ("CAP_SYS_TIME", "CAP_KILL")}),
    "AddDevice": ("/dev/fuse", {"devices": ("/dev/fuse:/dev/fuse:rwm",)}),
    "Annotation": ('"a=b c" d=e', {"annotations": (("a", "b c"), ("d", "e"))}),
    "ContainerName": ("shop-%N", {"name": "shop-web"}),
    "DropCapability": ("all", {"drop_capabilities": ("ALL",)}),
    "Entrypoint": ('["/bin/sh", "-c"]', {"entrypoint": ("/bin/sh", "-c")}),
    "Environment": ('A=1 "B=x y" A=2', {"environment": (("A", "2"), ("B", "x y"))}),
    "EnvironmentFile": ("./a /b", {"environment_files": ("/etc/ctr/a", "/b")}),
    "Exec": (r"""sh -c 'a "b"' \x41""", {"command": ("sh", "-c", 'a "b"', "A")}),
    "GroupAdd": ("5", {"supplementary_groups": ("5",)}),
    "HostName": ("a.b", {"hostname": "a.b"}),
    "Image": ('"x:1"', {"image": "x:1"}),
    "Label": ("a b=c", {"labels": (("a", ""), ("b", "c"))}),
    "LogDriver": ("none", {"log_driver": LogDriver.NONE}),
    "Memory": ("1k", {"scope_properties": "MemoryMax=1024 MemorySwapMax=1024"}),
    "Mount": ("type=tmpfs,dst=/a type=tmpfs,dst=/b", {"mounts": "/a /b"}),
    "Network": ("host", {"network": "host"}),
    "NoNewPrivileges": ("true", {"no_new_privileges": True}),
    "PidsLimit": ("5", {"scope_properties": "TasksMax=5"}),
    "Pull": ("newer", {"pull": PullPolicy.NEWER}),
    "ReadOnly": ("yes", {"read_only": True}),
    "ReadOnlyTmpfs": ("no", {"read_only_tmpfs": False}),
    "RunInit": ("on", {"run_init": True}),
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


def summary(value: object) -> object:
    """Mounts by target, limits by name: enough to see that a key arrives."""
    if isinstance(value, tuple) and value and dataclasses.is_dataclass(value[0]):
        return " ".join(
            getattr(v, "target", "") or f"{v.name}={v.value}"
            if hasattr(v, "value")
            else getattr(v, "target", None) or v.name
            for v in value
        )
    return value.value if hasattr(value, "value") and value.value == "host" else value


@pytest.mark.parametrize("key", sorted(EFFECTS))
def test_a_key_changes_what_it_should_and_nothing_else(key: str) -> None:
    """Each key that is done has an effect on the spec, and only its own."""
    line, expected = EFFECTS[key]
    base = BASE.replace("Network=none\n", "") if key == "Network" else BASE
    result = compile_file(PATH, f"{base}{key}={line}\n")
    assert result.problems == () and result.container is not None
    plain = compiled("")
    changed = {
        member.name: summary(getattr(result.container, member.name))
        for member in dataclasses.fields(Container)
        if getattr(result.container, member.name) != getattr(plain, member.name)
    }
    assert changed == expected


def test_every_done_key_is_tested() -> None:
    """The table promises nothing that is not shown to work; Group= and Rootfs= have tests of their own."""
    done = {key.name for key in keys("Container") if key.state is State.DONE}
    assert done - {"Group", "Rootfs"} == set(EFFECTS)


def test_user_and_group_are_one_value() -> None:
    """Group= completes User=, and is nothing alone."""
    assert compiled("User=a\nGroup=b\n").user == "a:b"
    assert problems(BASE + "Group=5\n") == [f"{PATH}:4: Group=: needs User= beside it; write User=0 for root"]
    assert len(problems(BASE + "User=1:2\nGroup=5\n")) == 1


def test_rootfs_instead_of_image() -> None:
    """Exactly one of the two says what to run."""
    result = compile_file(PATH, "[Container]\nRootfs=/srv/root\nNetwork=none\n")
    assert result.container is not None and (result.container.image, result.container.rootfs) == (None, "/srv/root")
    assert problems("[Container]\nNetwork=none\n") == [
        f"{PATH}: says not what to run; write Image= or Rootfs= in [Container]"
    ]
    assert problems(BASE + "Rootfs=/x\n") == [
        f"{PATH}:4: Rootfs=: Image= in line 2 says something else; keep one of the two"
    ]


def test_an_empty_assignment_resets() -> None:
    """systemd.syntax(7): an empty value takes back what was set before."""
    container = compiled("Environment=A=1\nEnvironment=\nEnvironment=B=2\nUser=5\nUser=\nExec=a\nExec=\n")
    assert (container.environment, container.user, container.command) == ((("B", "2"),), None, None)


def test_setting_a_single_value_twice_is_a_warning() -> None:
    """The last line wins, as in Quadlet, but the other one is named."""
    result = compile_file(PATH, BASE + "User=1\nUser=2\n")
    assert result.container is not None and result.container.user == "2"
    assert [str(warning) for warning in result.warnings] == [
        f"{PATH}:4: User=: has no effect: line 5 sets it again; remove one of the two"
    ]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("ContainerName=../x", "ContainerName=: container name '../x' is not valid"),
        ("ContainerName=%H", "ContainerName=: %H is known only on the running host"),
        ("ContainerName=" + "x" * 300, "ContainerName=: container name 'x"),
        ("Image=a b", "Image=: 'a b' is not an image reference"),
        ("Image=web.image", "Image=: 'web.image': .image files are not supported yet"),
        ("Entrypoint=/bin/sh -c", "Entrypoint=: '/bin/sh -c' has several words"),
        ("Entrypoint=[1]", "Entrypoint=: '[1]' is not a list of words"),
        ("Entrypoint=[", "Entrypoint=: '[' is not a JSON list"),
        ("Entrypoint=" + "[" * 100_000, "Entrypoint=: '["),
        ("Exec=echo ${HOME}", "Exec=: ${HOME} would be replaced by systemd"),
        ("Exec=echo 'x", "Exec=: the quote ' is not closed"),
        ("EnvironmentFile=-/x", "EnvironmentFile=: '-/x': a file that may be missing is not supported yet"),
        ("Label=a=b && c", "Label=: '&&' has no '='; quote the whole"),
        ("Memory=-1", "Memory=: '-1' is not a size"),
        ("Network=bridge", "Network=: 'bridge' is not supported yet; write Network=host or Network=none"),
        ("Network=host", "Network=: Network=none in line 3 excludes it"),
        ("Network=db.container", "Network=: 'db.container' is not supported yet"),
        ("LogDriver=k8s-file", "LogDriver=: 'k8s-file' is not a log driver"),
        ("Pull=sometimes", "Pull=: 'sometimes' is not a pull policy"),
        ("Rootfs=x", "Rootfs=: the directory 'x' is not absolute"),
        ("Rootfs=/x:O", "Rootfs=: the option 'O' is not supported yet"),
        ("ReadOnly=true # yes", "ReadOnly=: 'true # yes' is not a boolean"),
        ("ServiceName=x", "ServiceName=: the unit is always ctr@NAME.service"),
        ("Volume=a:/", "Volume=: the target '/' is the container's root"),
    ],
)
def test_a_bad_value_is_named_with_file_line_and_key(line: str, message: str) -> None:
    """Every refusal begins with where it is."""
    found = problems(f"{BASE}{line}\n")
    assert any(problem.startswith(f"{PATH}:4: {message}") for problem in found), found


def test_five_mistakes_are_five_messages() -> None:
    """All mistakes of a file are reported in one go, in file order."""
    found = problems("[Container]\nImage=x\nUser=a b\nMemory=lots\nPublishPort=80:80\nImagee=y\nnonsense\n")
    assert [problem.split(": ")[0] for problem in found] == [f"{PATH}:{line}" for line in (3, 4, 5, 6, 7)]


def test_two_mounts_at_one_place_are_refused() -> None:
    """Whichever keys they come from, and however the path is written."""
    found = problems(BASE + "Volume=a:/data\nTmpfs=/data/\nMount=type=tmpfs,dst=/x/../data\n")
    assert [problem.split(": ")[0] for problem in found] == [f"{PATH}:5", f"{PATH}:6"]
    assert "line 4 mounts something at /data already" in found[0]


def test_host_sysctls_of_the_network_are_refused_with_the_hosts_network() -> None:
    """podman-run(1) --sysctl: net.* needs a network namespace of its own."""
    text = "[Container]\nImage=x\nNetwork=host\nSysctl=net.core.somaxconn=1 kernel.sem=1\n"
    assert [problem.split(";")[0] for problem in problems(text)] == [
        f"{PATH}:4: Sysctl=: net.core.somaxconn would change the host with Network=host"
    ]


def test_without_network_there_is_a_warning() -> None:
    """podman would give the container a bridge; here it gets only loopback, and the author is told."""
    result = compile_file(PATH, "[Container]\nImage=x\n")
    assert [str(warning) for warning in result.warnings] == [
        f"{PATH}: no Network=: the container gets only loopback; write Network=host to share the host's network"
    ]


@pytest.mark.parametrize(
    ("path", "start"),
    [
        ("/etc/ctr/web@.container", "'web@' is a template"),
        ("/etc/ctr/web@1.container", "'web@1' is a template"),
        ("/etc/ctr/-rf.container", "the file's name '-rf' is not valid"),
        (f"/etc/ctr/{'x' * 200}.container", "the file's name 'xxxx"),
    ],
)
def test_a_file_whose_name_is_no_name_is_refused(path: str, start: str) -> None:
    """The name of the container is the file's, unless ContainerName= gives one; templates have none."""
    assert problems(BASE, path=path)[0].startswith(f"{path}: {start}")


def test_sections() -> None:
    """A missing [Container], an unknown section and one of another file kind are named; X- sections are free."""
    assert problems("[Unit]\n")[0] == f"{PATH}: has no [Container] section; add one with Image= or Rootfs="
    found = problems(BASE + "[Pod]\nPodName=x\n[Timer]\nOnBootSec=1\n[X-Mine]\nA=1\n")
    assert [problem.split(": ")[0] for problem in found] == [f"{PATH}:4", f"{PATH}:6"]


@given(st.binary(max_size=120))
def test_any_bytes_compile_without_an_exception(data: bytes) -> None:
    """Whatever a file holds, compiling it ends in a container or in problems."""
    result = compile_file(PATH, data)
    assert (result.container is None) == bool(result.problems)


@given(st.lists(st.tuples(st.sampled_from([*EFFECTS, "Group", "Rootfs"]), st.text(max_size=12)), max_size=6))
def test_any_values_compile_without_an_exception(lines: list[tuple[str, str]]) -> None:
    """The same for known keys with any value."""
    result = compile_file(PATH, BASE + "".join(f"{key}={value}\n" for key, value in lines))
    assert (result.container is None) == bool(result.problems)
