"""Run netavark(1) on one namespace. It makes bridges, interfaces, addresses, routes and firewall rules; we make none.

Callers hold the network lock (`supervisor.network.runtime`): whether a bridge is the last container's is decided by
looking at it.
"""

from __future__ import annotations

import os

from supervisor.errors import HostError

#: podman's helper_binaries_dir (containers.conf(5)), then where programs are.
_DIRECTORIES = ("/usr/lib/podman", "/usr/libexec/podman", "/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin")
#: podman's own, so that netavark-firewalld-reload.service restores our rules as well; files there are named by ids.
_STATE = "/run/containers/networks"
_ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}


def setup(request: str, namespace: str) -> None:
    """Connect the namespace at *namespace* as the JSON at *request* says. Raises `HostError` in netavark's words."""
    _run(request, "setup", namespace)


def teardown(request: str, namespace: str) -> None:
    """Undo `setup`. Raises `HostError` also when something of it was missing already."""
    _run(request, "teardown", namespace)


def delete_bridge(interface: str) -> None:
    """No bridge *interface*, unless something is connected to it."""
    try:
        if os.listdir(f"/sys/class/net/{interface}/brif"):
            return
    except FileNotFoundError:
        return
    ip("link", "delete", interface)


def ip(*words: str) -> None:
    """ip(8); what it finds done already is no error."""
    _spawn(_find("ip", _DIRECTORIES), ("ip", *words), "/dev/null")


def _run(request: str, verb: str, namespace: str) -> None:
    answer = f"{request}.answer"
    command = ("netavark", "--config", _STATE, "--file", request, verb, namespace)
    code = _spawn(_find("netavark", _DIRECTORIES), command, answer)
    if code:
        with open(answer, encoding="utf-8", errors="replace") as file:
            raise HostError(f"netavark {verb}: {_message(file.read()) or f'exit status {code}'}")


def _message(output: str) -> str:
    """What netavark says of an error: the last line that is a JSON object with a member 'error', else all of it."""
    for line in reversed(output.splitlines()):
        if line.startswith('{"error"'):
            import json

            return str(json.loads(line)["error"])
    return " ".join(output.split())


def _spawn(program: str, command: tuple[str, ...], output: str) -> int:
    """Run *command* with what it prints in the file *output*; its exit status, negative for a signal."""
    actions = (
        (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    )
    pid = os.posix_spawn(program, command, _ENVIRONMENT, file_actions=actions)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _find(program: str, directories: tuple[str, ...]) -> str:
    for directory in directories:
        path = f"{directory}/{program}"
        if os.access(path, os.X_OK):
            return path
    raise HostError(f"{program}: not installed; install it with 'apt-get install {program}'")
