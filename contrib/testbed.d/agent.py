#!/usr/bin/python3 -IB
"""The agent in the virtual machine: ExecStart= of testbed.service there. Runs one program at a time, as told by `wire`.

It ignores SIGTERM: at shutdown the program gets it too, and its exit status is still to be told.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import IO

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from wire import PIECE, PORT, Decoder, Kind, encode

DRAIN_SECONDS = 2.0
POLL_SECONDS = 0.2


def main() -> None:
    """Tell that the host is up, then do what comes in."""
    signal.signal(signal.SIGTERM, lambda *_: None)  # a handler, as an ignored signal stays ignored in the program
    while _state() in ("initializing", "starting", ""):
        subprocess.run(["systemctl", "is-system-running", "--wait"], check=False, stdout=subprocess.DEVNULL)
        time.sleep(POLL_SECONDS)
    Agent(_open_port()).serve()


def _state() -> str:
    """What systemd says of itself: `running`, `stopping` and so on (systemctl(1), is-system-running)."""
    ask = ["systemctl", "is-system-running"]
    return subprocess.run(ask, check=False, stdout=subprocess.PIPE, text=True).stdout.strip()


def _open_port() -> int:
    """Our port, found by its name in sysfs; the driver may be a module, and take its time."""
    subprocess.run(["modprobe", "--quiet", "virtio_console"], check=False)
    while True:
        for name in Path("/sys/class/virtio-ports").glob("*/name"):
            if name.read_text().strip() == PORT:
                return os.open(Path("/dev") / name.parent.name, os.O_RDWR)
        time.sleep(POLL_SECONDS)


class Agent:
    """One open port; threads carry the streams of the program that runs."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._sending = threading.Lock()
        self._program: subprocess.Popen[bytes] | None = None
        self._input: queue.SimpleQueue[bytes] = queue.SimpleQueue()

    def serve(self) -> None:
        """Answer frames for as long as the machine lives."""
        self._send(Kind.BOOTED)
        decoder = Decoder()
        while data := os.read(self._port, PIECE):
            for kind, payload in decoder.feed(data):
                if kind is Kind.START:
                    self._start(json.loads(payload))
                elif kind is Kind.INPUT:
                    self._input.put(payload)
                elif kind is Kind.SIGNAL and self._program is not None:
                    self._program.send_signal(int(payload))

    def _send(self, kind: Kind, payload: bytes = b"") -> None:
        frame = memoryview(encode(kind, payload))
        with self._sending:
            while frame:
                frame = frame[os.write(self._port, frame) :]

    def _start(self, wanted: dict[str, object]) -> None:
        for device, target in wanted["mounts"]:  # type: ignore[attr-defined]
            os.makedirs(target, exist_ok=True)
            if not os.path.ismount(target):
                subprocess.run(["mount", "--read-only", device, target], check=True)
        shell = ["/bin/sh", "-c", 'cd "$0" && exec "$@"', wanted["directory"], *wanted["argv"]]  # type: ignore[misc]
        self._input = queue.SimpleQueue()
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        program = subprocess.Popen(shell, env=wanted["environment"], **pipes)  # type: ignore
        self._program = program
        carriers = [
            threading.Thread(target=self._carry, args=(stream, kind), daemon=True)
            for stream, kind in ((program.stdout, Kind.OUTPUT), (program.stderr, Kind.ERROR))
        ]
        for thread in (*carriers, threading.Thread(target=self._feed, args=(program.stdin, self._input), daemon=True)):
            thread.start()
        threading.Thread(target=self._finish, args=(program, carriers), daemon=True).start()

    def _carry(self, stream: IO[bytes], kind: Kind) -> None:
        while data := os.read(stream.fileno(), PIECE):
            self._send(kind, data)

    def _feed(self, stdin: IO[bytes], pieces: queue.SimpleQueue[bytes]) -> None:
        with stdin:
            while piece := pieces.get():
                try:
                    stdin.write(piece)
                    stdin.flush()
                except BrokenPipeError:  # the program reads no more; nor do we ask for more
                    return
                self._send(Kind.INPUT)

    def _finish(self, program: subprocess.Popen[bytes], carriers: list[threading.Thread]) -> None:
        status = program.wait()
        for thread in carriers:
            thread.join(DRAIN_SECONDS)  # something it has left running may keep its output open
        answer = {"status": status if status >= 0 else 128 - status, "stopping": _state() in ("stopping", "offline")}
        self._send(Kind.EXIT, json.dumps(answer).encode())


if __name__ == "__main__":
    main()
