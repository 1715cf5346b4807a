"""Owns the language between testbed and its agent in a virtual machine: frames on one virtio-serial port.

A frame is one byte that says what it is, four bytes of length (big endian), and that many bytes. Standard input has
credit: the sender waits for an answer to each piece, so what COMMAND does not read piles up nowhere. This module is
used on both sides and imports nothing of testbed.
"""

from __future__ import annotations

import struct
from enum import Enum

PORT = "ctr-testbed"
PIECE = 65536


class Kind(bytes, Enum):
    """What a frame is. The names in brackets say who sends it."""

    BOOTED = b"B"  # (agent) systemd has finished booting
    START = b"S"  # (testbed) JSON: argv, environment, directory, mounts
    INPUT = b"I"  # (testbed) standard input, empty at its end; (agent) empty: it was written, send more
    OUTPUT = b"O"  # (agent) standard output
    ERROR = b"E"  # (agent) standard error
    SIGNAL = b"K"  # (testbed) a signal number for the program, in decimal
    EXIT = b"X"  # (agent) JSON: status, stopping (whether the host is going down)


def encode(kind: Kind, payload: bytes = b"") -> bytes:
    """One frame as bytes."""
    return kind.value + struct.pack(">I", len(payload)) + payload


class Decoder:
    """Turns a stream of bytes back into frames, wherever it was cut."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[tuple[Kind, bytes]]:
        """Add bytes; the frames that are complete now. Raises ValueError for a kind that does not exist."""
        self._buffer += data
        frames = []
        while len(self._buffer) >= 5:
            (length,) = struct.unpack(">I", self._buffer[1:5])
            if len(self._buffer) < 5 + length:
                break
            frames.append((Kind(bytes(self._buffer[:1])), bytes(self._buffer[5 : 5 + length])))
            del self._buffer[: 5 + length]
        return frames
