"""Owns a test host in a virtual machine: its disk image, QEMU, and the conversation with the agent inside.

The root is the same as in the container; its kernel is Debian's, and all control group controllers are there.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import furnish
import linux
import needs
import nspawn
import roots
import scratch
from errors import Interrupted, TestbedError
from nspawn import Bind
from wire import PIECE, PORT, Decoder, Kind, encode

HERE = Path(__file__).resolve().parent
BOOT_SECONDS = 600.0  # under emulation, on a busy machine
GRACE_SECONDS = 20.0  # likewise
IMAGE_GIB = 8
MEMORY_MIB = 2048
SENT = b"sent"

SERVICE = """\
# The same unit as in a container, where it only keeps a place; here it is the agent that runs COMMAND.
[Service]
ExecStart=
ExecStart=/usr/lib/testbed/agent.py
StandardError=journal+console
"""


@contextlib.contextmanager
def host(cache: Path, root: roots.Root, room: scratch.Scratch, binds: Sequence[Bind]) -> Iterator[Vm]:
    """A virtual machine over `root`, not booted yet; `binds` become read-only disks, copied now."""
    image = _image(cache, root, room)
    disks = []
    for number, bind in enumerate(binds):
        if not bind.read_only or not bind.source.is_dir():
            raise TestbedError(f"{bind.source}: a virtual machine takes directories only, and only with --bind-ro")
        disk = room.path / f"disk{number}"
        _make_disk(disk, bind.source, IMAGE_GIB)
        disks.append((disk, bind.target))
    machine = Vm(room, root, image, tuple(disks))
    try:
        yield machine
    finally:
        machine.kill()


class Vm:
    """One virtual machine, with the verbs of `nspawn.Host`."""

    def __init__(
        self, room: scratch.Scratch, root: roots.Root, image: Path, disks: tuple[tuple[Path, str], ...]
    ) -> None:
        self._room = room
        self._root = root
        self._image = image
        self._disks = disks
        self._qemu: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._ended = -1
        self._decoder = Decoder()
        self._stopping = False
        self._booted = False

    @property
    def console(self) -> Path:
        """What the machine has written to its serial console."""
        return self._room.path / "console"

    def boot(self) -> None:
        """Start the machine, or wait until it is back from a reboot; done when systemd says the boot is complete."""
        if self._qemu is None:
            self._start()
        self._stopping = False
        while not self._booted:
            self._frames(BOOT_SECONDS, "boot")
        self._booted = False

    def _start(self) -> None:
        address = self._room.path / "agent"
        # Listening before QEMU starts, so that there is no moment to wait for.
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server, self.console.open("ab") as console:
            server.bind(str(address))
            server.listen(1)
            server.settimeout(BOOT_SECONDS)
            self._qemu = subprocess.Popen(
                self._command(address),
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                env=os.environ | {"TMPDIR": str(self._room.path)},  # snapshot=on writes there
                preexec_fn=linux.joining(self._room.cgroups),  # noqa: PLW1509 - there is one thread
                start_new_session=True,
            )
            self._ended = os.pidfd_open(self._qemu.pid)
            with selectors.DefaultSelector() as selector:
                selector.register(server, selectors.EVENT_READ)
                selector.register(self._ended, selectors.EVENT_READ)
                if server not in {key.fileobj for key, _ in selector.select(BOOT_SECONDS)}:
                    raise self._failure("did not start")
            self._socket, _ = server.accept()

    def _command(self, address: Path) -> list[str]:
        boot = self._root.path / "boot"
        kernel, initrd = (max(boot.glob(pattern)) for pattern in ("vmlinuz-*", "initrd.img-*"))
        append = "root=/dev/vda rootfstype=ext4 rw console=ttyS0 quiet loglevel=3 panic=-1 mitigations=off"
        command = [
            *("qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none", "-name", self._room.name),
            *_acceleration(),
            *("-smp", str(min(4, os.cpu_count() or 1)), "-m", str(MEMORY_MIB)),
            *("-kernel", str(kernel), "-initrd", str(initrd), "-append", append),
            *("-serial", f"file:{self.console}.serial", "-device", "virtio-rng-pci", "-device", "virtio-serial-pci"),
            *("-chardev", f"socket,id=agent,path={address}", "-device", f"virtserialport,chardev=agent,name={PORT}"),
            *_drive(self._image, 0, "snapshot=on,cache=unsafe"),
        ]
        for number, (disk, _) in enumerate(self._disks, 1):
            command += _drive(disk, number, "readonly=on")
        return command

    def run(self, argv: Sequence[str], environment: Mapping[str, str], directory: str, *, quiet: bool = False) -> int:
        """As `nspawn.Host.run`; the three standard streams go through the agent."""
        mounts = [(f"/dev/vd{chr(ord('a') + number)}", target) for number, (_, target) in enumerate(self._disks, 1)]
        wanted = {"argv": list(argv), "environment": dict(environment), "directory": directory, "mounts": mounts}
        self._send(Kind.START, json.dumps(wanted).encode())
        if quiet:
            self._send(Kind.INPUT)
        shown = bytearray()
        sink = shown if quiet else None
        try:
            status = self._converse(sink, None if quiet else 0)
        except Interrupted as interrupted:
            self._send(Kind.SIGNAL, str(int(interrupted.signum)).encode())
            with contextlib.suppress(TestbedError):
                self._converse(sink, None, GRACE_SECONDS)
            raise
        if quiet and status != 0:
            os.write(2, shown)
        return status

    def _converse(self, shown: bytearray | None, stdin: int | None, seconds: float | None = None) -> int:
        """Carry the streams until the program has ended; its status."""
        deadline = None if seconds is None else time.monotonic() + seconds
        reading = stdin
        while True:
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            for kind, payload in self._frames(left, "answer", reading):
                if kind in (Kind.OUTPUT, Kind.ERROR):
                    if shown is None:
                        _write(1 if kind is Kind.OUTPUT else 2, payload)
                    else:
                        shown += payload
                elif kind is Kind.INPUT:
                    reading = None if payload == SENT else stdin  # one piece at a time
                elif kind is Kind.EXIT:
                    answer = json.loads(payload)
                    self._stopping = bool(answer["stopping"])
                    return int(answer["status"])
                elif kind is Kind.BOOTED:  # the program was killed in the reboot it asked for, without a word
                    self._booted = self._stopping = True
                    return 128 + signal.SIGKILL

    def _frames(self, seconds: float | None, what: str, stdin: int | None = None) -> list[tuple[Kind, bytes]]:
        """Wait for frames of the agent; pass on one piece of standard input when there is one.

        Raises TestbedError when QEMU ends, or nothing happens for `seconds`.
        """
        assert self._socket is not None
        with selectors.PollSelector() as selector:  # poll(2) takes regular files too, epoll(7) does not
            selector.register(self._socket, selectors.EVENT_READ)
            for fd in (self._ended, *([] if stdin is None else [stdin])):
                selector.register(fd, selectors.EVENT_READ)
            ready = {key.fileobj for key, _ in selector.select(seconds)}
        if not ready:
            raise self._failure(f"no {what} within {seconds:.0f} s")
        if stdin is not None and stdin in ready:
            self._send(Kind.INPUT, os.read(stdin, PIECE))
            return [(Kind.INPUT, SENT)]
        if self._socket in ready:
            data = self._socket.recv(PIECE)
            if data:
                frames = self._decoder.feed(data)
                self._booted = self._booted or any(kind is Kind.BOOTED for kind, _ in frames)
                return frames
        raise self._failure("ended")

    def _send(self, kind: Kind, payload: bytes = b"") -> None:
        assert self._socket is not None
        self._socket.sendall(encode(kind, payload))

    def stopping(self) -> bool:
        """Whether the machine is on its way down, or is down."""
        return self._stopping

    def wait_down(self) -> bool:
        """Wait until the machine is down; returns whether it boots again."""
        deadline = time.monotonic() + BOOT_SECONDS
        while not self._booted:
            try:
                self._frames(deadline - time.monotonic(), "shutdown")
            except TestbedError:
                assert self._qemu is not None
                if self._qemu.poll() is None:
                    raise
                return False
        return True

    def kill(self) -> None:
        """End the machine at once."""
        scratch.end(self._room.cgroups)
        if self._qemu is not None:
            self._qemu.kill()
            self._qemu.wait()
            os.close(self._ended)
        if self._socket is not None:
            self._socket.close()

    def _failure(self, what: str) -> TestbedError:
        logs = [path for path in (self.console, Path(f"{self.console}.serial")) if path.exists()]
        tail = "\n".join("\n".join(path.read_text(errors="replace") for path in logs).splitlines()[-30:])
        return TestbedError(f"virtual machine {self._room.name}: {what}; the end of its console:\n{tail}")


def _image(cache: Path, root: roots.Root, room: scratch.Scratch) -> Path:
    """The disk image of `root`, made when missing; renamed when whole, like the root itself."""
    sources = [HERE / name for name in ("furnish.py", "agent.py", "wire.py")]
    content = SERVICE.encode() + b"".join(path.read_bytes() for path in sources)
    image = cache / "vm" / f"{root.key}-{hashlib.sha256(content).hexdigest()[:12]}.ext4"
    with roots.locked(image.with_name(f"{root.suite}.lock")):
        if not image.exists():
            needs.disk(image.parent, 2.0)
            print(f"testbed: making the disk image of {root.suite}", file=sys.stderr)
            for old in image.parent.glob(f"{root.suite}-*"):  # open ones live on until their machine ends
                old.unlink()
            partial = image.with_suffix(".partial")
            merged = nspawn.overlay(root, room)
            furnish.furnish(merged, f"ctr-{root.suite}", container=False)
            _add_agent(merged)
            _make_disk(partial, merged, IMAGE_GIB)
            subprocess.run(["umount", str(merged)], check=True)
            partial.rename(image)
    return image


def clean(cache: Path) -> None:
    """Remove the cached disk images; a machine that runs keeps the one it has open."""
    for image in (cache / "vm").glob("*.ext4"):
        image.unlink()


def _add_agent(root: Path) -> None:
    library = root / "usr/lib/testbed"
    library.mkdir()
    for name in ("agent.py", "wire.py"):
        (library / name).write_bytes((HERE / name).read_bytes())
    (library / "agent.py").chmod(0o755)
    drop_in = root / "etc/systemd/system/testbed.service.d/agent.conf"
    drop_in.parent.mkdir()
    drop_in.write_text(SERVICE)


def _make_disk(disk: Path, source: Path, gib: int) -> None:
    """An ext4 file system with a copy of the directory `source`; a sparse file."""
    options = ["-q", "-F", "-t", "ext4", "-O", "^has_journal", "-E", "lazy_itable_init=1,root_owner=0:0"]
    disk.touch()  # or mke2fs says that it creates a file
    subprocess.run(["mke2fs", *options, "-d", str(source), str(disk), f"{gib}G"], check=True)


def _drive(disk: Path, number: int, options: str) -> list[str]:
    """QEMU options for one disk; commas in a path are doubled (qemu(1))."""
    path = str(disk).replace(",", ",,")
    return [
        *("-drive", f"file={path},format=raw,if=none,id=disk{number},{options}"),
        *("-device", f"virtio-blk-pci,drive=disk{number}"),
    ]


def _acceleration() -> list[str]:
    """KVM where it works; else emulation of a processor on which systemd does not crash, as it does on `-cpu max`."""
    if _kvm_works():
        return ["-accel", "kvm", "-cpu", "host"]
    return ["-accel", "tcg,thread=single", "-cpu", "Nehalem"]


def _kvm_works() -> bool:
    """Whether an empty virtual machine starts: /dev/kvm may exist and be closed to us, or fail halfway when nested."""
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return False
    empty = ["qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none", "-S", "-monitor", "stdio"]
    with_kvm = [*empty, "-accel", "kvm", "-cpu", "host"]
    try:
        tried = subprocess.run(with_kvm, input=b"quit\n", capture_output=True, timeout=10, check=False)
    except subprocess.TimeoutExpired:
        return False
    return tried.returncode == 0


def _write(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
