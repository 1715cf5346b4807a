"""What the launcher hears of the network that is made for it."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from supervisor.errors import HostError
from supervisor.network.progress import Follower, Progress


@pytest.fixture
def follower() -> Iterator[Callable[[Path], Follower]]:
    """Makes followers, whose descriptors are given back: a launcher ends instead."""
    made: list[Follower] = []

    def follow(directory: Path) -> Follower:
        made.append(Follower(str(directory)))
        return made[-1]

    yield follow
    for one in made:
        os.close(one._fd)


def never() -> None:
    raise AssertionError("nothing to wait for")


def test_a_network_that_is_there_is_not_waited_for(follower: Callable[[Path], Follower], tmp_path: Path) -> None:
    """Nor does who asks first take it from the next, as the containers of a pod ask one after the other."""
    Progress(str(tmp_path)).end()
    for _ in range(2):
        follower(tmp_path).wait(never)


def test_one_that_is_being_made_is_waited_for(follower: Callable[[Path], Follower], tmp_path: Path) -> None:
    """Systemd is asked for patience first; what comes after the end is not heard before it."""
    progress, order, patient = Progress(str(tmp_path)), [], threading.Event()

    def asker() -> None:
        follower(tmp_path).wait(patient.set)
        order.append("heard")

    thread = threading.Thread(target=asker)
    thread.start()
    assert patient.wait(60)
    order.append("ends")
    progress.end()
    thread.join(60)
    assert order == ["ends", "heard"]


def test_why_there_is_none_is_told(follower: Callable[[Path], Follower], tmp_path: Path) -> None:
    """In the words of netavark, say."""
    Progress(str(tmp_path)).end("netavark setup: no such bridge")
    with pytest.raises(HostError, match=r"^netavark setup: no such bridge$"):
        follower(tmp_path).wait(never)


def test_whoever_made_it_was_killed(follower: Callable[[Path], Follower], tmp_path: Path) -> None:
    """The lock goes with the process, and nothing was written."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        Progress(str(tmp_path))
        os.write(writer, b"!")
        os.kill(os.getpid(), 9)
    os.close(writer)
    assert os.read(reader, 1) == b"!"
    os.close(reader)
    os.waitpid(child, 0)
    with pytest.raises(HostError, match=f"was killed; see 'journalctl -u ctr-netns@{tmp_path.name}'"):
        follower(tmp_path).wait(never)


def test_it_was_taken_down_meanwhile(tmp_path: Path) -> None:
    """Its directory is gone, and so are its namespaces: the container may not run in them."""
    with pytest.raises(HostError, match="network: is down again; see 'journalctl -u ctr-netns@gone'"):
        Follower(f"{tmp_path}/gone")


def test_a_look_does_not_wait(follower: Callable[[Path], Follower], tmp_path: Path) -> None:
    """While it is made it is just not there; how it ended is seen by who began to follow before all was removed."""
    progress, found = Progress(str(tmp_path)), follower(tmp_path)
    assert not found.check()
    progress.end("gone")
    (tmp_path / "progress").unlink()
    with pytest.raises(HostError, match="gone"):
        found.check()
