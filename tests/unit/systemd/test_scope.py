"""What a scope is made with."""

from __future__ import annotations

from supervisor.systemd import scope


def test_scope_properties_have_bus_types() -> None:
    """Each signature becomes the Python value that sd-bus marshalling takes; device lines are collected."""
    lines = (
        "t MemoryMax 18446744073709551615",
        "a(ss) DeviceAllow /dev/null rwm",
        "b MemoryZSwapWriteback false",
        "ay AllowedCPUs 0300",
        "a(ss) DeviceAllow char-pts rw",
        "s DevicePolicy strict",
        "a(st) IOReadBandwidthMax /dev/vda 5000000",
        "a(st) IOReadBandwidthMax /dev/vdb 18446744073709551615",
        "u MemoryMaxScale 2147483648",
    )
    assert dict(scope.typed(lines)) == {
        "MemoryMax": ("t", 2**64 - 1),
        "DeviceAllow": ("a(ss)", [("/dev/null", "rwm"), ("char-pts", "rw")]),
        "MemoryZSwapWriteback": ("b", False),
        "AllowedCPUs": ("ay", b"\x03\x00"),
        "DevicePolicy": ("s", "strict"),
        "IOReadBandwidthMax": ("a(st)", [("/dev/vda", 5_000_000), ("/dev/vdb", 2**64 - 1)]),
        "MemoryMaxScale": ("u", 2**31),
    }
