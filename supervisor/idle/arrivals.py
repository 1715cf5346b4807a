"""Count what arrives at listening sockets, also what comes and goes between two looks.

The kernel keeps no such count, so the launcher attaches a socket filter (eBPF, eleven instructions) that adds one to a
map for each packet and lets it pass. Connections inherit it from their listener (socket(7), SO_ATTACH_BPF), so it sees
every packet of TCP and UDP, whatever network namespace the sockets are in. Nothing is pinned: the filter keeps the map,
the socket keeps the filter, systemd keeps the socket; the next start puts a new filter in the place of the old one.

A stream of the unix family has no packets. Connecting to one by its path marks the path as accessed, which is seen
(`touched`) as long as its file system is not mounted noatime.
"""

from __future__ import annotations

import _socket
import ctypes
import os
from struct import pack, unpack_from

from supervisor.errors import HostError
from supervisor.idle.record import Listener

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

#: bpf(2) has a number of its own on these; the others share one.
_BPF = {"x86_64": 321, "i686": 357, "armv7l": 386, "ppc64le": 361, "s390x": 351}
_BPF_ELSEWHERE = 280
_MAP_CREATE, _LOOKUP, _LOAD, _MAP_BY_ID, _INFO = 0, 1, 5, 14, 15
_ARRAY, _SOCKET_FILTER = 2, 1
_SO_ATTACH_BPF = 50
_KEY, _VALUE = 4, 8
_ATTRIBUTES = 128
_LICENSE = b"Apache-2.0"


def count(fds: Iterable[int]) -> int:
    """Attach one counter to all the sockets *fds*; its number. Raises `HostError` where the kernel does not let us."""
    counter, _ = _bpf("map", _MAP_CREATE, pack("IIIII", _ARRAY, _KEY, _VALUE, 1, 0))
    try:
        code, license_ = ctypes.create_string_buffer(program(counter)), ctypes.create_string_buffer(_LICENSE)
        load = pack("IIQQ", _SOCKET_FILTER, (len(code) - 1) // 8, ctypes.addressof(code), ctypes.addressof(license_))
        loaded, _ = _bpf("program", _LOAD, load)
        try:
            for fd in fds:
                sock = _socket.socket(fileno=fd)
                try:
                    sock.setsockopt(_socket.SOL_SOCKET, _SO_ATTACH_BPF, pack("i", loaded))
                finally:
                    sock.detach()
        except OSError as error:
            raise HostError(f"bpf: attach: {error.strerror}") from error
        finally:
            os.close(loaded)
        return _number(counter)
    finally:
        os.close(counter)


def counted(number: int) -> int:
    """What counter *number* says; 0 when there is none (any more)."""
    if not number:
        return 0
    try:
        counter, _ = _bpf("map", _MAP_BY_ID, pack("III", number, 0, 0))
    except HostError:
        return 0
    try:
        key, value = ctypes.create_string_buffer(_KEY), ctypes.create_string_buffer(_VALUE)
        _bpf("map", _LOOKUP, pack("I4xQQ", counter, ctypes.addressof(key), ctypes.addressof(value)))
        return int(unpack_from("Q", value.raw)[0])
    finally:
        os.close(counter)


def touched(listeners: Iterable[Listener]) -> bool:
    """Whether one of the unix sockets was connected to since the last call.

    Sets the time of access back each time: with relatime (mount(8)) only one that is older than the last change moves.
    """
    found = False
    for listener in listeners:
        if listener.family != _socket.AF_UNIX or not listener.address.startswith("/"):
            continue
        try:
            status = os.stat(listener.address)
            if status.st_atime_ns:
                os.utime(listener.address, ns=(0, status.st_mtime_ns))
                found = True
        except OSError:
            continue  # removed by somebody; nobody connects to it by this path
    return found


def program(counter: int) -> bytes:
    """The filter, bpf-instruction-set: add 1 to element 0 of the map with descriptor *counter*, keep the packet."""
    return b"".join(
        pack("BBhi", operation, registers, offset, immediate)
        for operation, registers, offset, immediate in (
            (0x62, 0x0A, -4, 0),  # *(u32 *)(r10 - 4) = 0
            (0xBF, 0xA2, 0, 0),  # r2 = r10
            (0x07, 0x02, 0, -4),  # r2 += -4
            (0x18, 0x11, 0, counter),  # r1 = map
            (0x00, 0x00, 0, 0),
            (0x85, 0x00, 0, 1),  # r0 = bpf_map_lookup_elem(r1, r2)
            (0x15, 0x00, 2, 0),  # if r0 == 0 goto +2
            (0xB7, 0x01, 0, 1),  # r1 = 1
            (0xDB, 0x10, 0, 0),  # lock *(u64 *)r0 += r1
            (0xB7, 0x00, 0, -1),  # r0 = all of the packet
            (0x95, 0x00, 0, 0),  # return r0
        )
    )


def _number(counter: int) -> int:
    """The map's number, by which it is found again (bpf(2), BPF_OBJ_GET_INFO_BY_FD: type, id, …)."""
    info = ctypes.create_string_buffer(_ATTRIBUTES)
    _bpf("map", _INFO, pack("IIQ", counter, _ATTRIBUTES, ctypes.addressof(info)))
    return int(unpack_from("I", info.raw, 4)[0])


def _bpf(what: str, command: int, attributes: bytes) -> tuple[int, ctypes.Array[ctypes.c_char]]:
    """bpf(2). Raises `HostError`."""
    number = _BPF.get(os.uname().machine, _BPF_ELSEWHERE)
    buffer = ctypes.create_string_buffer(attributes, _ATTRIBUTES)
    size = ctypes.c_uint(_ATTRIBUTES)
    result = ctypes.CDLL(None, use_errno=True).syscall(ctypes.c_long(number), command, ctypes.byref(buffer), size)
    if result < 0:
        raise HostError(f"bpf: {what}: {os.strerror(ctypes.get_errno())}")
    return int(result), buffer
