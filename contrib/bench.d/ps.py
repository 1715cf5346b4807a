"""How long it takes to list a hundred running containers."""

from __future__ import annotations

from contextlib import ExitStack

from measure import Budget, Row, Sampler, timed
from peers import Docker, Workload
from session import Session, say

CONTAINERS = 100


def measure(session: Session) -> list[Row]:
    say(f"ps of {CONTAINERS} containers, {session.count} times")
    columns = session.only("ctr", "podman", "docker")
    commands = {"ctr": ["ctrctl", "ps"], "podman": ["podman", "ps"]}
    docker = session.peers.get("docker")
    if isinstance(docker, Docker):
        commands["docker"] = [*docker.command(), "ps"]
    with ExitStack() as stack:
        for peer in columns.values():
            stack.enter_context(session.running(peer, [f"bench-{number}" for number in range(CONTAINERS)], Workload()))
        takes = {column: (lambda command=commands[column]: timed(command)) for column in columns}
        samples = Sampler().rounds(session.count, takes).samples
    return [Row(f"ps, {CONTAINERS} containers", "s", samples, (Budget("podman", 1.0), Budget("docker", 1.0)))]
