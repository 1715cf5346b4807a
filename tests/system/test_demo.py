"""The demo images and definitions, on a booted host: what a person sees who follows the README.

The definitions are those of contrib/demo, unchanged; each test makes the claims that their comments make.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest
from hostkit import (
    DEFINITIONS,
    STATE,
    command_of,
    ctrctl,
    is_active,
    main_pid,
    messages,
    parent_of,
    run,
    scope,
    service,
    show,
    systemctl,
    wait_until,
)

DEMO = Path(__file__).resolve().parents[2] / "contrib" / "demo"
PAGE = "http://127.0.0.1:8080/"

Define = Callable[..., str]
Image = Callable[[str], str]


@pytest.fixture
def volume() -> Iterator[Callable[[str], None]]:
    """Have a volume removed after the test: its content is one test's affair."""
    used: list[str] = []
    yield used.append
    for name in used:
        run("rm", "-rf", STATE / "volumes" / name)


def start(name: str, define: Define) -> str:
    """Deploy the demo definition *name* and start it as a person would."""
    unit = define(name, (DEMO / f"{name}.container").read_text())
    systemctl("start", unit)
    return unit


def get(path: str = "") -> str:
    """The page, as soon as nginx listens."""

    def ask() -> str:
        try:
            with urlopen(PAGE + path, timeout=5) as answer:
                return str(answer.read().decode())
        except (URLError, OSError):
            return ""

    return wait_until(ask, what=f"{PAGE} answers")


def redis(*words: str) -> str:
    """One command over TCP (RESP protocol): its answer's first line, empty while nobody listens."""
    command = f"*{len(words)}\r\n" + "".join(f"${len(word)}\r\n{word}\r\n" for word in words)
    try:
        with socket.create_connection(("127.0.0.1", 6379), timeout=10) as connection:
            connection.sendall(command.encode())
            return next(iter(connection.recv(4096).decode().splitlines()), "")
    except OSError:
        return ""


def psql(statement: str) -> str:
    """The answer of PostgreSQL to *statement*; empty while it does not accept connections."""
    done = ctrctl("exec", "db", "psql", "-U", "postgres", "-tAc", statement, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""


def test_nginx_is_active_and_its_access_line_is_in_status_and_journal(define: Define, image: Image) -> None:
    """`systemctl start ctr@web` for nginx with `access_log /dev/stdout`: active; `systemctl status ctr@web` and
    `journalctl -u ctr@web` show the line of a request."""
    image("nginx")
    unit = start("web", define)
    assert is_active(unit)
    assert "It works." in get("?visit=4711")
    wait_until(lambda: any("GET /?visit=4711" in line for line in messages(unit=unit)), what="the access line")
    status = systemctl("status", "--no-pager", "--full", unit).stdout
    assert "Active: active (running)" in status
    assert "GET /?visit=4711" in status


def test_nginx_is_a_child_of_pid_1_in_its_own_scope(define: Define, image: Image) -> None:
    """The container's init has parent PID 1, lies in ctr-web.scope and is MainPID of ctr@web.service."""
    image("nginx")
    start("web", define)
    pid = main_pid("web")
    assert "nginx" in command_of(pid)
    assert parent_of(pid) == 1
    assert Path(f"/proc/{pid}/cgroup").read_text().rstrip().endswith(scope("web"))


def test_nginx_comes_back_after_sigkill(define: Define, image: Image) -> None:
    """Restart=always: another process, the same page; systemd counted the restart."""
    image("nginx")
    unit = start("web", define)
    get()
    old = main_pid("web")
    os.kill(old, 9)
    wait_until(lambda: main_pid("web") != old and is_active(unit), what="ctr@web runs again")
    assert "It works." in get()
    assert show(unit, "NRestarts")["NRestarts"] == "1"


def test_nginx_ends_by_its_own_stop_signal(define: Define, image: Image) -> None:
    """The image says STOPSIGNAL SIGQUIT: nginx finishes its requests and exits 0, well before the timeout."""
    image("nginx")
    unit = start("web", define)
    get()
    systemctl("stop", unit)
    answer = show(unit, "Result", "ExecMainStatus", "ActiveState")
    assert answer == {"Result": "success", "ExecMainStatus": "0", "ActiveState": "inactive"}


def test_redis_answers_and_keeps_its_data(define: Define, image: Image, volume: Callable[[str], None]) -> None:
    """What was written before a restart is there after it: the volume stays, the container is new."""
    image("redis")
    volume("cache-data")
    unit = start("cache", define)
    wait_until(lambda: redis("PING") == "+PONG", what="redis answers")
    wait_until(lambda: redis("SET", "colour", "blue") == "+OK", what="it is written")
    systemctl("restart", unit)
    wait_until(lambda: redis("PING") == "+PONG", what="redis answers again")
    assert wait_until(lambda: redis("STRLEN", "colour"), what="it is read") == ":4"


def test_redis_runs_as_its_own_user(define: Define, image: Image, volume: Callable[[str], None]) -> None:
    """The entrypoint gives up root before it becomes redis: the process that systemd watches is redis itself."""
    image("redis")
    volume("cache-data")
    start("cache", define)
    wait_until(lambda: redis("PING") == "+PONG", what="redis answers")
    pid = main_pid("cache")
    assert "redis-server" in command_of(pid)
    assert "Uid:\t101\t101\t101\t101" in Path(f"/proc/{pid}/status").read_text()


def test_postgres_answers_and_keeps_its_data(define: Define, image: Image, volume: Callable[[str], None]) -> None:
    """The first start makes the database, the next one finds it; the password comes from the environment file."""
    image("postgres")
    volume("db-data")
    secret = DEFINITIONS / "db.env"
    secret.touch(mode=0o600)
    try:
        secret.write_text("POSTGRES_PASSWORD=not-a-secret\n")
        unit = start("db", define)
        wait_until(lambda: psql("select 6 * 7") == "42", timeout=300, what="postgres answers")
        assert psql("create table colours as select 'blue' as name") == "SELECT 1"
        systemctl("restart", unit)
        wait_until(lambda: psql("select name from colours") == "blue", timeout=300, what="postgres answers again")
    finally:
        secret.unlink()


def test_postgres_without_a_password_says_so(define: Define, image: Image) -> None:
    """A start without POSTGRES_PASSWORD fails with a reason in the unit's own log."""
    image("postgres")
    unit = define("db", "[Container]\nImage=localhost/postgres:latest\n[Service]\nRestart=no\n")
    systemctl("start", unit, check=False)
    wait_until(lambda: show(unit, "ActiveState")["ActiveState"] == "failed", what="ctr@db failed")
    wait_until(lambda: any("set POSTGRES_PASSWORD" in line for line in messages(unit=service("db"))), what="the reason")
