"""[Unit], [Service] and [Install]: what passes, what moves to the scope, what is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest

from supervisor.definitions import section_keys
from supervisor.definitions.compiled import Compiled
from supervisor.definitions.quadlet import Context, compile_file
from supervisor.spec.container import Container, Entry, UnitSections

PATH = "/etc/ctr/web.container"
BASE = "[Container]\nImage=x\nNetwork=none\n"
CONTEXT = Context(
    names={
        "db.container": "database",
        "redis.container": "redis",
        "web.container": "web",
        "shop.network": "shop",
        "data.volume": "data",
        "shop.pod": "shop",
    },
    units={"cache.service": "redis.container"},
)


def compiled(text: str, context: Context = CONTEXT) -> Compiled[Container]:
    return compile_file(PATH, BASE + text, context)


def container(text: str) -> Container:
    result = compiled(text)
    assert result.problems == () and result.defined is not None
    return result.defined


def test_lines_pass_through_as_they_are() -> None:
    """systemd's own specifiers, quotes and repetitions are left to systemd."""
    unit = container(
        '[Unit]\nDescription=a %i "b"\nAfter=a.service\nAfter=b.service\n'
        "[Service]\nExecStartPre=-/bin/a %n\nRestart=always\nSlice=a.slice\n"
        "[Install]\nWantedBy=multi-user.target\n"
    ).unit
    assert unit.unit == (Entry("Description", 'a %i "b"'), Entry("After", "a.service"), Entry("After", "b.service"))
    assert unit.service == (Entry("ExecStartPre", "-/bin/a %n"), Entry("Restart", "always"), Entry("Slice", "a.slice"))
    assert unit.install == (Entry("WantedBy", "multi-user.target"),)


def test_an_empty_assignment_is_resolved_here() -> None:
    """In our drop-in it would reset what ctr@.service sets, so it never gets there."""
    lines = "ExecStartPre=/bin/a\nExecStartPre=\nExecStartPre=/bin/b\nMemoryMax=1G\nMemoryMax=\n"
    result = container(f"[Service]\n{lines}")
    assert result.scope_properties == ()
    assert result.unit.service == (Entry("ExecStartPre", "/bin/b"),)


@pytest.mark.parametrize("key", sorted(section_keys.DEPENDENCIES))
def test_a_definition_named_in_a_dependency_becomes_its_unit(key: str) -> None:
    """``db.container`` is the unit of the container it defines, whatever that is called."""
    unit = container(f"[Unit]\n{key}=a.target db.container\n").unit
    assert unit.unit == (Entry(key, "a.target ctr@database.service"),)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("nope.container", "there is no valid nope.container beside this definition"),
        ("web.container", "web.container is this definition itself"),
        ("a.pod", "there is no valid a.pod beside this definition"),
        ("a.kube", "a.kube: .kube files are not supported yet"),
        ("web@.container", "web@.container is a template; name an instance of it, with a name"),
        ("a.network", "there is no valid a.network beside this definition"),
    ],
)
@pytest.mark.parametrize("section", ["[Unit]\nAfter", "[Install]\nWantedBy"])
def test_a_dependency_on_what_is_not_there_is_refused(section: str, value: str, message: str) -> None:
    """systemd would ignore a unit it does not know; a definition that does not exist is a mistake."""
    problem = compiled(f"{section}=a.target {value}\n").problems[0]
    assert problem.line == 5
    assert problem.message.startswith(message)


@pytest.mark.parametrize(
    ("written", "unit", "file"),
    [
        ("db.service", "ctr@database.service", "db.container"),
        ("shop-pod.service", "ctr@shop.target", "shop.pod"),
        ("cache.service", "ctr@redis.service", "redis.container"),
    ],
)
def test_the_name_podman_would_have_used_is_understood(written: str, unit: str, file: str) -> None:
    """Also one that ServiceName= says; a warning tells what it became."""
    result = compiled(f"[Unit]\nAfter=a.target {written}\n[Install]\nWantedBy={written}\n")
    assert result.defined is not None
    assert result.defined.unit.unit == (Entry("After", f"a.target {unit}"),)
    assert result.defined.unit.install == (Entry("WantedBy", unit),)
    assert [warning.message for warning in result.warnings] == [
        f"{written} is not a unit of ctr; {unit} is meant, the unit of {file}: better write {file}"
    ] * 2


def test_names_that_are_nobodys_stay() -> None:
    """A unit of the host is no definition, however like one it is called; nor is one that ServiceName= has renamed."""
    text = "postgres.service data.service db.timer x-pod.service redis.service"
    result = compiled(f"[Unit]\nAfter={text}\n")
    assert result.defined is not None and result.warnings == ()
    assert result.defined.unit.unit == (Entry("After", text),)


def test_the_unit_itself_under_podmans_name_is_left_out() -> None:
    """systemd would drop it too."""
    result = compiled("[Unit]\nAfter=web.service\n")
    assert result.defined is not None and result.defined.unit.unit == ()
    assert [warning.message for warning in result.warnings] == ["web.service is this definition itself; remove it"]


@pytest.mark.parametrize("name", ["shop.network", "data.volume"])
def test_networks_and_volumes_are_there_anyway(name: str) -> None:
    """They become no unit: the name is left out with a warning, and nothing is left of a line that has no other."""
    result = compiled(f"[Unit]\nAfter={name} db.container\nRequires={name}\nWants=a.service\n")
    assert result.defined is not None
    assert result.defined.unit.unit == (Entry("After", "ctr@database.service"), Entry("Wants", "a.service"))
    assert [warning.line for warning in result.warnings] == [5, 6]


def test_podmans_names_for_the_units_of_networks_are_dropped() -> None:
    """They need no unit here; a name that only looks like one stays."""
    result = compiled("[Unit]\nAfter=shop-network.service data-volume.service other-network.service\n")
    assert result.defined is not None
    assert result.defined.unit.unit == (Entry("After", "other-network.service"),)
    assert [warning.message.split(" has")[0] for warning in result.warnings] == [
        "shop-network.service",
        "data-volume.service",
    ]


def test_units_of_ctr_pass_through() -> None:
    """``ctr-healthy@db.service`` is a unit like any other."""
    unit = container("[Unit]\nAfter=ctr-healthy@db.service\nBindsTo=ctr-healthy@db.service\n").unit.unit
    assert [entry.value for entry in unit] == ["ctr-healthy@db.service"] * 2


def test_a_negative_size_is_a_clear_error() -> None:
    """With file, line and key."""
    assert [str(problem) for problem in compiled("[Service]\nMemoryMax=-1G\n").problems] == [
        f"{PATH}:5: MemoryMax=: '-1G' is negative, and no size is; write bytes or a number with k, m or g, like 512m"
    ]


def test_a_percentage_is_the_same_limit() -> None:
    """The later line counts, whichever of the two it is; podman's key beside it is still a contradiction."""
    one = container("[Service]\nMemoryMax=1G\nMemoryMax=50%\n").scope_properties
    assert [(p.name, p.signature, p.value) for p in one] == [("MemoryMaxScale", "u", str(2**31))]
    other = container("[Service]\nMemoryMax=50%\nMemoryMax=1G\n").scope_properties
    assert [(p.name, p.value) for p in other] == [("MemoryMax", str(1024**3))]
    assert container("[Service]\nMemoryMax=50%\nMemoryMax=\n").scope_properties == ()
    (problem,) = compiled("Memory=1g\n[Service]\nMemoryMax=50%\n").problems
    assert "MemoryMax= in line 6 of [Service] sets the same" in problem.message


def test_a_limit_that_this_hosts_systemd_lacks_is_refused() -> None:
    """It would not ignore the line, as it does one of a unit file: it would refuse to make the scope."""
    text = "[Service]\nMemoryZSwapMax=1G\n"
    assert compiled(text, replace(CONTEXT, systemd=257)).problems == ()
    (problem,) = compiled(text, replace(CONTEXT, systemd=252)).problems
    assert problem.message == "needs systemd 253, and this host has 252; remove the line"


def test_limits_for_devices_add_up() -> None:
    """Several lines for several devices are one property; an empty one takes them back."""
    lines = "IOReadBandwidthMax=/dev/a 1M\nIOReadBandwidthMax=/dev/b 2M\nIOReadBandwidthMax=/dev/a 3M\n"
    (limit,) = container(f"[Service]\n{lines}").scope_properties
    assert (limit.name, limit.signature) == ("IOReadBandwidthMax", "a(st)")
    assert limit.value == "/dev/a 3000000\n/dev/b 2000000"
    assert container(f"[Service]\n{lines}IOReadBandwidthMax=\n").scope_properties == ()


def test_name_specifiers_mean_the_unit_that_podman_would_make() -> None:
    """%N and %p would be parts of ctr@NAME.service; %n is the unit itself, and %i the container's name."""
    unit = container("[Unit]\nDescription=%N %p %j %f %%N %H\n[Service]\nExecStartPre=/bin/a %n %i\n").unit
    assert unit.unit == (Entry("Description", "web web web /web %%N %H"),)
    assert unit.service == (Entry("ExecStartPre", "/bin/a %n %i"),)


def test_commands_go_through() -> None:
    """Around the container's start and stop; one that calls podman is warned of: it would find nothing."""
    keys = ("ExecCondition", "ExecStartPre", "ExecStartPost", "ExecReload", "ExecStop", "ExecStopPost")
    result = compiled("[Service]\n" + "".join(f"{key}=-/usr/bin/podman x\n{key}=/bin/true podman\n" for key in keys))
    assert result.defined is not None
    assert [entry.key for entry in result.defined.unit.service] == [key for key in keys for _ in range(2)]
    assert [warning.line for warning in result.warnings] == [5, 7, 9, 11, 13, 15]


def test_links_of_install() -> None:
    """Each may be said for a definition, too; what systemd cannot link is refused with its line."""
    install = container("[Install]\nWantedBy=db.container a.target\nRequiredBy=shop.pod\nAlias=app@web.service\n")
    assert install.unit.install == (
        Entry("WantedBy", "ctr@database.service a.target"),
        Entry("RequiredBy", "ctr@shop.target"),
        Entry("Alias", "app@web.service"),
    )


def test_upheld_by_needs_systemd_254() -> None:
    """An older one does not read the directory, and the container would stay down without a word."""
    text = "[Install]\nUpheldBy=a.target\n"
    assert container(text).unit.install == (Entry("UpheldBy", "a.target"),)
    (problem,) = compiled(text, replace(CONTEXT, systemd=252)).problems
    assert problem.message == "needs systemd 254, and this host has 252; write Upholds= in the other unit"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[Install]\nAlso=x.service\n", "has no effect: podman does not act on it either; "),
        ("[Install]\nDefaultInstance=1\n", "has no effect: this file is no template; "),
        ("[Service]\nKillMode=control-group\n", "on stop, the container's first process gets the signal, "),
    ],
)
def test_what_changes_nothing_is_said(text: str, message: str) -> None:
    """The line is dropped, and the author knows."""
    result = compiled(text)
    assert result.defined is not None and result.defined.unit == UnitSections()
    assert [warning.message.startswith(message) for warning in result.warnings] == [True]


@pytest.mark.parametrize(("value", "online"), [("", True), ("DefaultDependencies=no\n", False)])
def test_a_container_waits_for_the_network_as_under_podman(value: str, online: bool) -> None:
    """Unless [Quadlet] says otherwise; DefaultDependencies= of [Unit] is systemd's and another matter."""
    assert container(f"[Quadlet]\n{value}[Unit]\nDefaultDependencies=no\n").network_online is online


@pytest.mark.parametrize("key", sorted(section_keys.SERVICE_REFUSED))
def test_a_key_that_would_break_the_hand_over_is_refused(key: str) -> None:
    """Each with a reason and an alternative."""
    problems = compiled(f"[Service]\n{key}=x\n").problems
    assert [(problem.line, problem.key) for problem in problems] == [(5, key)]
    assert "; " in problems[0].message or ": " in problems[0].message


@pytest.mark.parametrize(("key", "value"), [*section_keys.ALREADY_SO.items(), ("Type", "notify")])
def test_what_is_so_anyway_may_be_said(key: str, value: str) -> None:
    """Files written for podman need not lose lines that change nothing."""
    assert container(f"[Service]\n{key}={value}\n").unit.service == ()


def test_limits_move_to_the_scope() -> None:
    """The processes are in the scope, so limits in the service would limit nothing."""
    result = container("[Service]\nMemoryMax=1G\nCPUQuota=50%\nMemoryMax=2G\n")
    assert [(p.name, p.value) for p in result.scope_properties] == [
        ("MemoryMax", str(2 * 1024**3)),
        ("CPUQuotaPerSecUSec", "500000"),
    ]
    assert result.unit.service == ()


def test_two_limits_for_one_thing_are_refused() -> None:
    """Memory= and MemoryMax= are the same property; only podman's implied swap limit gives way."""
    text = "Memory=1g\nPidsLimit=5\n[Service]\nMemoryMax=1G\nTasksMax=6\n"
    assert [problem.line for problem in compiled(text).problems] == [4, 5]
    swap = container("Memory=1g\n[Service]\nMemorySwapMax=0\n").scope_properties
    assert [(p.name, p.value) for p in swap] == [("MemorySwapMax", "0"), ("MemoryMax", str(1024**3))]


def test_oneshot() -> None:
    """Type=oneshot runs to completion; RemainAfterExit= is systemd's default unless it is written."""
    plain = container("[Service]\nType=oneshot\n")
    assert plain.oneshot and plain.unit.service == (Entry("RemainAfterExit", "no"),)
    kept = container("[Service]\nRemainAfterExit=no\nRemainAfterExit=true\nType=oneshot\nRestart=on-failure\n")
    assert kept.unit.service == (Entry("RemainAfterExit", "yes"), Entry("Restart", "on-failure"))
    assert not container("[Service]\nType=oneshot\nType=notify\n").oneshot


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "[Service]\nType=oneshot\nRestart=always\n",
            "always is not allowed with Type=oneshot; write Restart=on-failure",
        ),
        ("[Service]\nRemainAfterExit=yes\n", "works only with Type=oneshot here; add that, or remove the line"),
        ("[Service]\nRestart=unless-stopped\n", "'unless-stopped' is not a restart policy; write always, with"),
        ("[Service]\nRestart=on-failure:3\n", "'on-failure:3' is not a restart policy; write on-failure, with Start"),
        ("[Service]\nRestartSec=soon\n", "'soon' is not a time span"),
        ("[Service]\nRestrat=always\n", "no such key in [Service]; did you mean Restart?"),
        ("[Unit]\nAfer=a\n", "no such key in [Unit]; did you mean After?"),
        ("[Unit]\nBindTo=a.service\n", "is the old name of BindsTo=; write that"),
        ("[Service]\nStartLimitIntervalSec=1\n", "belongs into [Unit], and systemd would ignore it here; move"),
        ("[Unit]\nRestart=no\n", "belongs into [Service], and systemd would ignore it here; move the line there"),
        ("[Install]\nWantedby=x.target\n", "no such key in [Install]; did you mean WantedBy?"),
        ("[Install]\nWantedBy=multi-user\n", "'multi-user' is not a unit's name; write multi-user.target, say"),
        ("[Install]\nAlias=x.service\n", "systemd takes only PREFIX@web.service as another name of ctr@web.service"),
    ],
)
def test_mistakes_that_systemd_would_only_log(text: str, message: str) -> None:
    """A line that systemd would ignore is an error here."""
    found = [problem.message for problem in compiled(text).problems]
    assert len(found) == 1 and found[0].startswith(message)


def test_keys_newer_than_the_host_are_a_warning() -> None:
    """They pass, for the day the host is upgraded, and the author knows."""
    text = "[Service]\nRestartSteps=5\n"
    assert [w.line for w in compiled(text, Context(systemd=252)).warnings] == [5]
    assert [w.line for w in compiled(text, Context()).warnings] == [5]
    assert compiled(text, Context(systemd=257)).warnings == ()


def test_application_keys_are_free() -> None:
    """systemd.unit(5): keys and sections that begin with X- belong to applications."""
    assert container("[Unit]\nX-A=1\n[Service]\nX-B=1\n[Install]\nX-C=1\n").unit == container("").unit


@pytest.mark.parametrize("value", ["yes", "true", "1", "on"])
def test_delegate_is_so_anyway(value: str) -> None:
    """However a boolean is spelt."""
    assert container(f"[Service]\nDelegate={value}\n").unit.service == ()
    assert compiled("[Service]\nDelegate=no\n").problems and compiled("[Service]\nDelegate=cpu\n").problems


def test_an_instance_where_there_is_none() -> None:
    """%i in a file that is no template is the container's name here and nothing under podman: its author knows."""
    result = compiled("[Unit]\nDescription=%i %%i\n[Service]\nExecStartPre=/bin/a %I\nExecStartPre=/bin/b %%i\n")
    assert result.problems == ()
    assert [f"{one.line} {one.message}" for one in result.warnings] == [
        "5 %i is 'web' here, after ctr@web.service, and nothing under podman; write %N, the name in both",
        "7 %I is 'web' here, after ctr@web.service, and nothing under podman; write %N, the name in both",
    ]


def test_stop_when_unneeded_stops_nothing() -> None:
    """The scope needs the unit for as long as there are processes."""
    result = compiled("[Unit]\nStopWhenUnneeded=yes\n")
    assert result.defined is not None and result.defined.unit == UnitSections()
    assert "has no effect: the container's scope needs the unit" in result.warnings[0].message
    assert compiled("[Unit]\nStopWhenUnneeded=no\n").warnings == ()


def test_also_is_a_warning() -> None:
    """podman does not act on it either."""
    result = compiled("[Install]\nAlso=other.service\n")
    assert result.defined is not None
    assert [warning.key for warning in result.warnings] == ["Also"]
