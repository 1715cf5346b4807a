"""The coverage table has an answer for every key that Quadlet and Compose know, and the answer is what happens."""

from __future__ import annotations

import re

import pytest

from supervisor.definitions import coverage, resources, section_keys
from supervisor.definitions.coverage import TABLE, State
from supervisor.definitions.load import load
from supervisor.definitions.quadlet import compile_file
from supervisor.definitions.quadlet_keys import FILE_KINDS
from tests.fuzz import oracle
from tests.unit.definitions.trees import tree

#: Every key of podman-systemd.unit(5) (podman 6; Remap… and VolatileTmp are podman 4's) and of the Compose
#: specification, by section.
NAMES = {
    "*": "ContainersConfModule GlobalArgs PodmanArgs ServiceName",
    "Quadlet": "DefaultDependencies",
    "Install": "Alias Also DefaultInstance WantedBy RequiredBy UpheldBy",
    "Container": """
        AddCapability AddDevice AddHost Annotation AppArmor AutoUpdate CgroupsMode ContainerName DNS DNSOption
        DNSSearch DropCapability Entrypoint Environment EnvironmentFile EnvironmentHost Exec ExposeHostPort
        GIDMap Group GroupAdd HealthCmd HealthInterval HealthLogDestination HealthMaxLogCount HealthMaxLogSize
        HealthOnFailure HealthRetries HealthStartPeriod HealthStartupCmd HealthStartupInterval
        HealthStartupRetries HealthStartupSuccess HealthStartupTimeout HealthTimeout HostName HttpProxy Image IP
        IP6 Label LogDriver LogOpt Mask Memory Mount Network NetworkAlias NoNewPrivileges Notify PidsLimit Pod
        PublishPort Pull ReadOnly ReadOnlyTmpfs ReloadCmd ReloadSignal RemapGid RemapUid RemapUidSize RemapUsers Retry
        RetryDelay Rootfs RunInit
        SeccompProfile Secret SecurityLabelDisable SecurityLabelFileType SecurityLabelLevel SecurityLabelNested
        SecurityLabelType ShmSize StartWithPod StopSignal StopTimeout SubGIDMap SubUIDMap Sysctl Timezone Tmpfs
        UIDMap Ulimit Unmask User UserNS VolatileTmp Volume WorkingDir
    """,
    "Pod": """
        AddHost DNS DNSOption DNSSearch ExitPolicy GIDMap HostName IP IP6 Label Network NetworkAlias PodName
        PublishPort RemapGid RemapUid RemapUidSize RemapUsers ShmSize StopTimeout SubGIDMap SubUIDMap UIDMap UserNS
        Volume
    """,
    "Network": """
        DisableDNS DNS Driver Gateway InterfaceName Internal IPAMDriver IPRange IPv6 Label NetworkDeleteOnStop
        NetworkName Options Subnet
    """,
    "Volume": """
        Copy Device Driver GID Group Image Label Options Type UID User VolumeName
    """,
    "Image": """
        AllTags Arch AuthFile CertDir Creds DecryptionKey Image ImageTag OS Policy Retry RetryDelay TLSVerify
        Variant
    """,
    "Build": """
        Annotation Arch AuthFile BuildArg DNS DNSOption DNSSearch Environment File ForceRM GroupAdd IgnoreFile
        ImageTag Label Network Pull Retry RetryDelay Secret SetWorkingDirectory Target TLSVerify Variant Volume
    """,
    "Kube": """
        AutoUpdate ConfigMap ExitCodePropagation KubeDownForce LogDriver Network PublishPort SetWorkingDirectory
        UserNS Yaml
    """,
    "compose service": """
        annotations attach blkio_config build cap_add cap_drop cgroup cgroup_parent command configs
        container_name cpu_count cpu_percent cpu_period cpu_quota cpu_rt_period cpu_rt_runtime cpu_shares cpus
        cpuset credential_spec depends_on deploy develop device_cgroup_rules devices dns dns_opt dns_search
        domainname entrypoint env_file environment expose extends external_links extra_hosts gpus group_add
        healthcheck hostname image init ipc isolation label_file labels links logging mac_address mem_limit
        mem_reservation mem_swappiness memswap_limit models network_mode networks oom_kill_disable oom_score_adj
        pid pids_limit platform ports post_start pre_start pre_stop privileged profiles provider pull_policy
        pull_refresh_after read_only restart runtime scale secrets security_opt shm_size stdin_open
        stop_grace_period stop_signal storage_opt sysctls tmpfs tty ulimits use_api_socket user userns_mode uts
        volumes volumes_from working_dir
    """,
    "X-Ctr": "StopWhenIdleSec",
    "compose": "version name include services models networks volumes secrets configs x-*",
}

#: Keys that a definition must be able to use from the start.
FOUNDATION = """
    Image Rootfs ContainerName Exec Entrypoint Environment EnvironmentFile Volume Tmpfs Mount WorkingDir User Group
    HostName StopSignal StopTimeout ReadOnly ReadOnlyTmpfs RunInit Label Annotation AddCapability DropCapability
    NoNewPrivileges Ulimit Sysctl ShmSize Memory PidsLimit LogDriver Timezone
"""

def test_the_table_holds_exactly_the_known_keys() -> None:
    """No key is forgotten, none is invented, none has two answers."""
    expected = sorted((section, name) for section, names in NAMES.items() for name in names.split())
    assert sorted((key.section, key.name) for key in TABLE) == expected


def test_what_a_definition_needs_is_done() -> None:
    """The keys that real definitions are made of are not refused."""
    for name in FOUNDATION.split():
        key = coverage.find("Container", name)
        assert key is not None and key.state is State.DONE


@pytest.mark.parametrize("key", TABLE, ids=lambda key: f"{key.section}-{key.name}")
def test_a_row_explains_itself(key: coverage.Key) -> None:
    """Every row says what the key is; a key that does not work says why and what to write instead."""
    assert key.meaning and "\n" not in key.meaning
    assert bool(key.reason) == (key.state is not State.DONE)
    if key.state is State.REFUSED:
        assert "; " in key.reason


#: Kind of file, section and row, for each place where such a key can stand.
NOT_DONE = [
    (suffix, section, key)
    for suffix, (own, _) in oracle.KINDS.items()
    for section in (own, "Install")
    for key in coverage.keys(section)
    if key.state is not State.DONE
]


@pytest.mark.parametrize(("suffix", "section", "key"), NOT_DONE, ids=lambda one: getattr(one, "name", one))
def test_what_the_table_says_happens(suffix: str, section: str, key: coverage.Key) -> None:
    """A refused key is an error with file, line and reason; one without effect is a warning and no error."""
    text = oracle.definition(suffix, [(section, key.name, "yes")])
    path = f"/etc/ctr/a{suffix}"
    loaded = load(path, tree({path: text.encode()}))
    found = loaded.problems if key.state is State.REFUSED else loaded.warnings
    assert [(problem.line, problem.key) for problem in found] == [(text.count("\n"), key.name)]
    # Where nothing is a unit, why [Install] means nothing is another matter.
    no_unit = section == "Install" and re.search("before (any|the first) container", found[0].message)
    assert key.reason in found[0].message or no_unit
    assert bool(loaded.problems) == (key.state is State.REFUSED)


@pytest.mark.parametrize("key", [key for key in TABLE if key.section in FILE_KINDS], ids=lambda key: key.name)
def test_a_kind_of_file_that_is_not_read_is_refused_at_its_first_key(key: coverage.Key) -> None:
    """Whichever that is, and the reason is the row's."""
    path = f"/etc/ctr/a.{key.section.lower()}"
    (problem,) = load(path, tree({path: f"[{key.section}]\n\n{key.name}=yes\n".encode()})).problems
    assert str(problem) == f"{path}:3: {key.name}=: {key.reason}"


def test_an_unknown_key_is_an_error_that_names_the_nearest() -> None:
    """A misspelt key is never ignored."""
    compiled = compile_file("/etc/ctr/a.container", "[Container]\nimage=x\nFrobnicate=1\nPublishPorts=1\n")
    assert [str(problem) for problem in compiled.problems if problem.key] == [
        "/etc/ctr/a.container:2: image=: no such key in [Container]; did you mean Image?",
        "/etc/ctr/a.container:3: Frobnicate=: no such key in [Container]; correct it or remove the line",
        "/etc/ctr/a.container:4: PublishPorts=: no such key in [Container]; did you mean PublishPort?",
    ]


def test_no_service_key_has_two_answers() -> None:
    """The tables for [Unit] and [Service] do not overlap."""
    tables = [section_keys.SERVICE, set(section_keys.SERVICE_REFUSED), set(resources.KEYS)]
    assert sum(map(len, tables)) == len(set().union(*tables))
    assert not section_keys.UNIT & set(section_keys.UNIT_REFUSED)
    assert section_keys.SPANS <= section_keys.SERVICE | section_keys.UNIT
