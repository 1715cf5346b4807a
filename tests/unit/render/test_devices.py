"""Which of the host's nodes a privileged container gets."""

from __future__ import annotations

import dataclasses

from supervisor.render.devices import granted
from supervisor.render.facts import DeviceNode
from tests.unit.render.sample import FACTS, container


def test_privileged_gets_every_device_but_those_that_are_made_for_it() -> None:
    """Serial lines and virtual consoles among them, though their names begin like /dev/tty."""
    given = ("ttyUSB0", "ttyACM0", "ttyS0", "tty1", "consoles", "ptmx1")
    made = ("tty", "console", "ptmx", "pts/0", "pts/ptmx", "shm/x", "mqueue/y", "null")
    nodes = tuple(DeviceNode(f"/dev/{name}", "c", 4, number, 0o600) for number, name in enumerate((*given, *made)))
    found = granted(container(privileged=True), dataclasses.replace(FACTS, devices=nodes))
    assert [device.target for device in found] == [f"/dev/{name}" for name in given]
