"""Which keys of [Unit] and [Service] go through to systemd, and why others cannot. Data only; `sections` applies it.

Everything a person may write there is named in one of these tables, so that a misspelt key is an error with a line
number instead of a message in the journal that nobody reads. Sources: systemd.unit(5), systemd.service(5),
systemd.exec(5), systemd.kill(5), systemd.resource-control(5) of systemd 257.
"""

from __future__ import annotations

from supervisor.definitions import resources
from supervisor.definitions.values import words

#: [Unit] keys that hold unit names; a name like ``db.container`` in them becomes the unit of that definition.
DEPENDENCIES = words(
    """After Before BindsTo Conflicts OnFailure OnSuccess PartOf PropagatesReloadTo PropagatesStopTo
    ReloadPropagatedFrom Requires Requisite StopPropagatedFrom Upholds Wants"""
)

_CONDITIONS = words(
    """ACPower Architecture CPUFeature CPUPressure CPUs Capability ControlGroupController Credential DirectoryNotEmpty
    Environment FileIsExecutable FileNotEmpty Firmware FirstBoot Group Host IOPressure KernelCommandLine KernelVersion
    Memory MemoryPressure NeedsUpdate OSRelease PathExists PathExistsGlob PathIsDirectory PathIsEncrypted
    PathIsMountPoint PathIsReadWrite PathIsSymbolicLink Security User Version Virtualization"""
)

UNIT = (
    DEPENDENCIES
    | words(
        """AllowIsolate CollectMode DefaultDependencies Description Documentation FailureAction FailureActionExitStatus
        IgnoreOnIsolate JobRunningTimeoutSec JobTimeoutAction JobTimeoutRebootArgument JobTimeoutSec OnFailureJobMode
        OnSuccessJobMode RebootArgument RefuseManualStart RefuseManualStop RequiresMountsFor StartLimitAction
        StartLimitBurst StartLimitInterval StartLimitIntervalSec StopWhenUnneeded SuccessAction SuccessActionExitStatus
        SurviveFinalKillSignal WantsMountsFor"""
    )
    | frozenset(f"{kind}{name}" for kind in ("Condition", "Assert") for name in _CONDITIONS)
) - {"AssertFirmware"}

#: [Service] keys that go through as they are, beside those of `supervisor.definitions.resources`.
SERVICE = words(
    """ExecCondition ExecReload ExecStartPost ExecStartPre ExecStop ExecStopPost NonBlocking Restart
    RestartForceExitStatus RestartMaxDelaySec RestartMode RestartPreventExitStatus RestartSec RestartSteps
    RuntimeMaxSec RuntimeRandomizedExtraSec Slice Sockets SuccessExitStatus SyslogIdentifier TimeoutAbortSec
    TimeoutSec TimeoutStartFailureMode TimeoutStartSec TimeoutStopFailureMode TimeoutStopSec WatchdogSec"""
    # Of [Unit] by now; systemd still reads them here.
    """ FailureAction RebootArgument StartLimitAction StartLimitBurst StartLimitInterval"""
)

#: Keys whose value is a time span, which systemd would ignore when it cannot read it.
SPANS = words(
    """JobRunningTimeoutSec JobTimeoutSec RestartMaxDelaySec RestartSec RuntimeMaxSec RuntimeRandomizedExtraSec
    StartLimitInterval StartLimitIntervalSec TimeoutAbortSec TimeoutSec TimeoutStartSec TimeoutStopSec WatchdogSec"""
)

#: The systemd version that first knew a key.
SINCE = {
    "AssertVersion": 258,
    "ConditionVersion": 258,
    "RestartMaxDelaySec": 254,
    "RestartMode": 254,
    "RestartSteps": 254,
    "SurviveFinalKillSignal": 255,
    "WantsMountsFor": 256,
}

#: Values that say what is so anyway; the line is dropped, so that files written for podman need no change.
ALREADY_SO = {"NotifyAccess": "all", "KillMode": "mixed"}
#: The same for keys that take a boolean.
ALREADY_TRUE = frozenset({"Delegate"})

#: Values that come to the same here as the one that is always set; said aloud, because systemd documents a difference.
NEARLY_SO = {
    ("KillMode", "control-group"): "on stop, the container's first process gets the signal, and SIGKILL ends whatever "
    "of the others it leaves behind",
}

#: [Unit] booleans that change nothing here when they are true.
UNIT_NO_EFFECT = {
    "StopWhenUnneeded": "the container's scope needs the unit as long as there are processes; to stop it with another "
    "unit write BindsTo= or PartOf=, to stop it when its socket is idle StopWhenIdleSec= in [X-Ctr]",
}

_HAND_OVER = "would break the way ctr hands the container over to systemd"
_LAUNCHER = "would apply to the program that starts the container, not to the container"


def _each(names: str, reason: str) -> dict[str, str]:
    return dict.fromkeys(words(names), reason)


#: [Service] keys that are refused, and why; `sections` puts the key's name before it.
SERVICE_REFUSED = {
    **_each("ExecStart", f"{_HAND_OVER}; write the command as Exec= in [Container]"),
    **_each("Type", f"{_HAND_OVER}; write Type=oneshot for a job that ends, else remove the line"),
    **_each(
        "NotifyAccess KillMode PIDFile GuessMainPID BusName ExitType Delegate DelegateSubgroup",
        f"{_HAND_OVER}; remove the line",
    ),
    **_each("ReloadSignal", "counts only with Type=notify-reload; write ReloadSignal= in [Container]"),
    **_each("KillSignal RestartKillSignal", f"{_HAND_OVER}; write StopSignal= in [Container]"),
    **_each(
        "FinalKillSignal SendSIGHUP SendSIGKILL WatchdogSignal",
        f"{_HAND_OVER}; what has not stopped after StopTimeout= gets SIGKILL",
    ),
    **_each(
        "FileDescriptorStoreMax FileDescriptorStorePreserve OpenFile USBFunctionDescriptors USBFunctionStrings",
        "is not supported yet: only sockets of a socket unit are passed into the container; remove the line",
    ),
    **_each("User", f"{_LAUNCHER}, and that has to be root; write User= in [Container]"),
    **_each("Group", f"{_LAUNCHER}, and that has to be root; write User= and Group= in [Container]"),
    **_each("SupplementaryGroups", f"{_LAUNCHER}; write GroupAdd= in [Container]"),
    **_each("DynamicUser PAMName SetLoginEnvironment", f"{_LAUNCHER}; write User= in [Container]"),
    **_each("WorkingDirectory", f"{_LAUNCHER}; write WorkingDir= in [Container]"),
    **_each("Environment PassEnvironment UnsetEnvironment", f"{_LAUNCHER}; write Environment= in [Container]"),
    **_each("EnvironmentFile", f"{_LAUNCHER}; write EnvironmentFile= in [Container]"),
    **_each(
        "LoadCredential LoadCredentialEncrypted SetCredential SetCredentialEncrypted ImportCredential",
        f"{_LAUNCHER}; write Secret=NAME in [Container]",
    ),
    **_each(
        """RootDirectory RootImage RootImageOptions RootEphemeral RootHash RootHashSignature RootVerity RootImagePolicy
        MountImagePolicy ExtensionImagePolicy MountImages ExtensionImages ExtensionDirectories
        RootDirectoryStartOnly""",
        f"{_LAUNCHER}; write Rootfs= in [Container]",
    ),
    **_each(
        """StandardInput StandardOutput StandardError StandardInputText StandardInputData TTYPath TTYReset TTYVHangup
        TTYVTDisallocate TTYRows TTYColumns""",
        f"{_LAUNCHER}; write LogDriver= in [Container]",
    ),
    **_each(
        """LogExtraFields LogFilterPatterns LogLevelMax LogNamespace LogRateLimitBurst LogRateLimitIntervalSec
        SyslogFacility SyslogLevel SyslogLevelPrefix""",
        f"{_LAUNCHER}, whose output is not the container's; remove the line",
    ),
    **_each(
        """LimitAS LimitCORE LimitCPU LimitDATA LimitFSIZE LimitLOCKS LimitMEMLOCK LimitMSGQUEUE LimitNICE LimitNOFILE
        LimitNPROC LimitRSS LimitRTPRIO LimitRTTIME LimitSIGPENDING LimitSTACK""",
        f"{_LAUNCHER}; write Ulimit= in [Container]",
    ),
    **_each("CapabilityBoundingSet AmbientCapabilities", f"{_LAUNCHER}; write DropCapability= in [Container]"),
    **_each("NoNewPrivileges SecureBits RestrictSUIDSGID", f"{_LAUNCHER}; write NoNewPrivileges= in [Container]"),
    **_each(
        "BindPaths BindReadOnlyPaths ReadOnlyPaths ReadWritePaths InaccessiblePaths ExecPaths NoExecPaths",
        f"{_LAUNCHER}; write Volume= in [Container]",
    ),
    **_each("TemporaryFileSystem PrivateTmp", f"{_LAUNCHER}; write Tmpfs= in [Container]"),
    **_each("ProtectSystem ProtectHome", f"{_LAUNCHER}; write ReadOnly=yes in [Container]"),
    **_each(
        "PrivateNetwork NetworkNamespacePath RestrictAddressFamilies",
        f"{_LAUNCHER}; write Network=none in [Container]",
    ),
    **_each("PrivateDevices", f"{_LAUNCHER}; write AddDevice= in [Container]"),
    **_each(
        """AppArmorProfile BindLogSockets IPCNamespacePath KeyringMode LockPersonality MemoryDenyWriteExecute
        MountAPIVFS MountFlags PrivateIPC PrivateMounts PrivatePIDs PrivateUsers ProcSubset ProtectClock
        ProtectControlGroups ProtectHostname ProtectKernelLogs ProtectKernelModules ProtectKernelTunables ProtectProc
        RemoveIPC RestrictFileSystems RestrictNamespaces RestrictRealtime SELinuxContext SmackProcessLabel
        SystemCallArchitectures SystemCallErrorNumber SystemCallFilter SystemCallLog""",
        "would sandbox the program that starts the container, and break it or leak into the container; "
        "harden with DropCapability=, ReadOnly= and NoNewPrivileges= in [Container]",
    ),
    **_each(
        """CacheDirectory CacheDirectoryMode ConfigurationDirectory ConfigurationDirectoryMode LogsDirectory
        LogsDirectoryMode RuntimeDirectory RuntimeDirectoryMode RuntimeDirectoryPreserve StateDirectory
        StateDirectoryMode TimeoutCleanSec""",
        f"{_LAUNCHER}; write Volume=NAME:/path in [Container], and the volume is made when missing",
    ),
    **_each(
        """CPUAffinity CPUSchedulingPolicy CPUSchedulingPriority CPUSchedulingResetOnFork CoredumpFilter
        ExecSearchPath IOSchedulingClass IOSchedulingPriority IgnoreSIGPIPE MemoryKSM NUMAMask NUMAPolicy Nice
        OOMScoreAdjust Personality TimerSlackNSec UMask UtmpIdentifier UtmpMode""",
        f"{_LAUNCHER}; for CPU and I/O shares write CPUWeight=, AllowedCPUs= or IOWeight=, else remove the line",
    ),
    **_each(
        """BPFProgram CoredumpReceive DefaultMemoryLow DefaultMemoryMin DefaultStartupMemoryLow DisableControllers
        IPAccounting IPAddressAllow IPAddressDeny IPEgressFilterPath IPIngressFilterPath MemoryPressureThresholdSec
        MemoryPressureWatch NFTSet RestrictNetworkInterfaces SocketBindAllow SocketBindDeny""",
        "is not supported yet for the processes of a container; remove the line",
    ),
    **_each(
        "InaccessibleDirectories ReadOnlyDirectories ReadWriteDirectories",
        f"{_LAUNCHER}; write Volume= in [Container]",
    ),
    **_each("PermissionsStartOnly", "is obsolete: ExecStartPre= runs as root anyway; remove the line"),
    **_each("MemoryLimit", "is cgroup v1's; write MemoryMax="),
    **_each("CPUShares StartupCPUShares", "is cgroup v1's; write CPUWeight="),
    **_each("BlockIOAccounting", "is cgroup v1's; write IOAccounting="),
    **_each("BlockIOWeight StartupBlockIOWeight", "is cgroup v1's; write IOWeight="),
    **_each("BlockIODeviceWeight", "is cgroup v1's; write IODeviceWeight="),
    **_each("BlockIOReadBandwidth", "is cgroup v1's; write IOReadBandwidthMax="),
    **_each("BlockIOWriteBandwidth", "is cgroup v1's; write IOWriteBandwidthMax="),
}

UNIT_REFUSED = {
    **_each("JoinsNamespaceOf", f"{_LAUNCHER}; share a directory with Volume= in [Container]"),
    **_each("SourcePath", "is set by ctr itself; remove the line"),
    **_each("BindTo", "is the old name of BindsTo=; write that"),
    **_each("OnFailureIsolate", "is the old form of OnFailureJobMode=; write OnFailureJobMode=isolate"),
    **_each("PropagateReloadFrom", "is the old name of ReloadPropagatedFrom=; write that"),
    **_each("PropagateReloadTo", "is the old name of PropagatesReloadTo=; write that"),
    **_each("RequiresOverridable RequisiteOverridable", "is obsolete; write Requires= or Requisite="),
}

#: Every key of systemd that has an answer here, for whoever looks for a misspelt one.
KNOWN = {
    "Unit": (*UNIT, *UNIT_REFUSED),
    "Service": (*SERVICE, *SERVICE_REFUSED, *resources.KEYS, "Type", "RemainAfterExit"),
}
