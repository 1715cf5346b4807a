"""One page for everybody."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from supervisor.metrics.page import CONTENT_TYPE, Page


class Source:
    """Makes numbered pages, each of which takes *cost* seconds of processor, and *wait* more seconds of a clock that
    stands still otherwise."""

    def __init__(self, cost: float = 0.0, wait: float = 0.0) -> None:
        self.cost = cost
        self.wait = wait
        self.now = 0.0
        self.made = 0

    def __call__(self) -> bytes:
        self.made += 1
        self.now += self.cost + self.wait
        return b"page %d\n" % self.made

    def page(self) -> Page:
        return Page(self, lambda: self.now, lambda: self.cost * self.made)


def ask(page: Page, method: str = "GET", path: str = "/metrics") -> tuple[str, dict[str, str], bytes]:
    said: list[Any] = []
    body = b"".join(page({"REQUEST_METHOD": method, "PATH_INFO": path}, lambda *args: said.extend(args)))  # type: ignore[arg-type]
    return said[0], dict(said[1]), body


def test_a_page_is_shared_for_a_moment() -> None:
    """A second, or four times what it took; then it is made anew."""
    source = Source(cost=1.0)
    page = source.page()
    assert ask(page)[2] == b"page 1\n"
    source.now += 3.9
    assert ask(page)[2] == b"page 1\n"
    source.now += 0.2
    assert ask(page)[2] == b"page 2\n"


def test_a_page_that_waited_is_not_kept_longer() -> None:
    """For somebody who does not answer: what he does next is seen a second later."""
    source = Source(wait=4.0)
    page = source.page()
    ask(page)
    source.now += 1.0
    assert ask(page)[2] == b"page 2\n"


def test_a_cheap_page_is_kept_for_a_second() -> None:
    """So a reader without pauses costs one page a second."""
    source = Source()
    page = source.page()
    for _ in range(100):
        source.now += 0.0999
        ask(page)
    assert source.made == 10


def test_many_at_once_get_one_page() -> None:
    """Readers who come while it is made wait for it."""
    source = Source()
    begun, go = threading.Event(), threading.Event()

    def make() -> bytes:
        begun.set()
        assert go.wait(10)
        return source()

    page = Page(make, lambda: source.now)
    bodies: list[bytes] = []
    readers = [threading.Thread(target=lambda: bodies.append(ask(page)[2])) for _ in range(20)]
    for reader in readers:
        reader.start()
    assert begun.wait(10)
    go.set()
    for reader in readers:
        reader.join(10)
    assert bodies == [b"page 1\n"] * 20


def test_a_failure_is_not_kept() -> None:
    """The next reader tries again."""
    answers = iter([OSError("no"), b"yes"])

    def make() -> bytes:
        answer = next(answers)
        if isinstance(answer, bytes):
            return answer
        raise answer

    page = Page(make)
    with pytest.raises(OSError, match="no"):
        ask(page)
    assert ask(page)[2] == b"yes"


@pytest.mark.parametrize(
    ("method", "path", "status", "made"),
    [
        ("GET", "/metrics", "200 OK", 1),
        ("HEAD", "/metrics", "200 OK", 1),
        ("GET", "/", "404 Not Found", 0),
        ("GET", "/favicon.ico", "404 Not Found", 0),
        ("POST", "/metrics", "405 Method Not Allowed", 0),
        ("DELETE", "/", "405 Method Not Allowed", 0),
        ("\x7f", "/metrics", "405 Method Not Allowed", 0),
    ],
)
def test_methods_and_paths(method: str, path: str, status: str, made: int) -> None:
    """Nothing but GET and HEAD of the one path costs anything."""
    source = Source()
    answer, headers, body = ask(source.page(), method, path)
    assert (answer, source.made) == (status, made)
    assert (headers["Content-Type"] == CONTENT_TYPE) == (status == "200 OK")
    assert body == b"" if method == "HEAD" else int(headers["Content-Length"]) == len(body)
