"""What a start waits for, from systemd's queue."""

from __future__ import annotations

from supervisor.graph.waiting import Job, label, queue, why

JOBS = {
    1: Job(1, "ctr@web.service", "start", "waiting"),
    2: Job(2, "ctr-healthy@db.service", "start", "waiting"),
    3: Job(3, "ctr@db.service", "start", "running"),
    4: Job(4, "other.service", "start", "running"),
}


def test_the_way_through_the_queue() -> None:
    """web waits for db's health, which waits for db; other.service has nothing to do with it."""
    found = queue("ctr@web.service", JOBS, {1: (2,), 2: (3,)})
    assert [(depth, job.id) for depth, job in found] == [(0, 1), (1, 2), (2, 3)]
    assert queue("ctr@nothing.service", JOBS, {}) == ()


def test_a_circle_ends() -> None:
    """Jobs that wait for each other are told once, and jobs that are gone meanwhile are left out."""
    assert [job.id for _, job in queue("ctr@web.service", JOBS, {1: (2, 9), 2: (1,)})] == [1, 2]


def test_words() -> None:
    """A gate that runs is a container that is probed."""
    assert label("ctr-healthy@db.service") == "db (health)"
    assert label("ctr-netns@db.service") == "db (network)"
    assert label("ctr@shop.target") == "project shop"
    assert (label("ctr@db.service"), label("srv.mount")) == ("db", "srv.mount")
    assert "probed" in why(Job(1, "ctr-healthy@db.service", "start", "running"))
    assert why(JOBS[1]) == "is queued"
    assert why(JOBS[3]) == "it is not ready yet"
    assert why(Job(1, "srv.mount", "start", "running")) == "starting"
