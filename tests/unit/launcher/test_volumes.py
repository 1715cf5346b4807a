"""Volumes before the runtime mounts them: ways that the kernel resolves, and errors that say what is wrong."""

from __future__ import annotations

import errno
import os
import socket
import threading
import time
from pathlib import Path

import pytest

from supervisor.errors import UserError
from supervisor.launcher import volumes
from supervisor.launcher.plan import Plan

IN_ROOT, STRICT = 0x10, 0x0C


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root with a directory, a file, and links that lead out of it."""
    made = tmp_path / "root"
    (made / "etc/app").mkdir(parents=True)
    (made / "etc/passwd").write_text("root")
    (made / "out").symlink_to("../../../../../../etc")
    (made / "absolute").symlink_to("/etc/app")
    (made / "loop").symlink_to("loop")
    return made


def same(found: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(found), os.stat(path))
    finally:
        os.close(found)


def test_links_are_resolved_inside(root: Path) -> None:
    """Absolute ones and '..' lead to places of the root, never of the host; a way to nowhere is -1."""
    assert same(volumes.resolve(str(root), "/out", IN_ROOT), root / "etc")
    assert same(volumes.resolve(str(root), "/absolute", IN_ROOT), root / "etc/app")
    assert same(volumes.resolve(str(root), "/", IN_ROOT), root)
    assert volumes.resolve(str(root), "/out/nothing", IN_ROOT) == -1


def test_what_the_way_may_not_be_is_an_error(root: Path) -> None:
    """A link where none may be, a link to itself, a file on the way."""
    for path, how, number in (
        ("absolute", STRICT, errno.ELOOP),
        ("loop", IN_ROOT, errno.ELOOP),
        ("etc/passwd/x", IN_ROOT, errno.ENOTDIR),
    ):
        with pytest.raises(OSError) as caught:
            volumes.resolve(str(root), path, how)
        assert caught.value.errno == number


def check(root: Path, source: Path | str, target: str, over: Path | str = "", rest: str = "") -> None:
    volumes._check(str(source), target, str(over), rest, str(root))


def test_a_mount_needs_a_source_of_the_targets_kind(root: Path, tmp_path: Path) -> None:
    """Both ends are named; a target that is not there yet is the runtime's to make, of either kind."""
    file = tmp_path / "file"
    file.touch()
    for source, target in ((tmp_path, "/etc"), (file, "/etc/passwd"), (file, "/new/file"), (tmp_path, "/new")):
        check(root, source, target)
    with pytest.raises(UserError, match=f"mount /data: {tmp_path}/gone does not exist on the host"):
        check(root, tmp_path / "gone", "/data")
    with pytest.raises(UserError, match=f"{file} is a file, /etc in the container a directory"):
        check(root, file, "/etc")
    with pytest.raises(UserError, match=f"{tmp_path} is a directory, /etc/passwd in the container a file"):
        check(root, tmp_path, "/etc/passwd")
    with pytest.raises(UserError, match="mount /etc/passwd/x: not a directory"):
        check(root, tmp_path, "/etc/passwd/x")


def test_a_nested_mount_follows_no_link_of_the_mount_it_lies_in(root: Path, tmp_path: Path) -> None:
    """Wherever it leads, and wherever on the way it is."""
    check(root, tmp_path, "/data/etc/app", root, "etc/app")
    check(root, "", "/data/etc/new", root, "etc/new")
    for rest in ("absolute", "out", "out/new"):
        with pytest.raises(UserError, match=f"mount /data/{rest}: {root}/{rest}: has a symbolic link on the way"):
            check(root, tmp_path, f"/data/{rest}", root, rest)


def test_a_volume_that_is_a_file_is_named(tmp_path: Path) -> None:
    """Others are made, in a directory that only root may enter."""
    (tmp_path / "volumes").mkdir()
    (tmp_path / "volumes/file").touch()
    with pytest.raises(UserError, match=f"volume file: {tmp_path}/volumes/file is not a directory"):
        volumes.make_directories((f"{tmp_path}/volumes/new", f"{tmp_path}/volumes/file"))
    assert (tmp_path / "volumes/new").is_dir()
    volumes.make_directories((f"{tmp_path}/private/new",))
    assert (tmp_path / "private").stat().st_mode & 0o777 == 0o700


def test_a_new_file_system_counts_as_empty(tmp_path: Path) -> None:
    """mke2fs(8) makes lost+found."""
    assert volumes._is_empty(str(tmp_path))
    (tmp_path / "lost+found").mkdir()
    assert volumes._is_empty(str(tmp_path))
    (tmp_path / "x").touch()
    assert not volumes._is_empty(str(tmp_path))


def test_a_lock_on_a_file_that_was_removed_is_taken_again(tmp_path: Path) -> None:
    """Who waited for one that finished does not hold a lock that nobody else sees."""
    path = str(tmp_path / "data.copying")
    first = volumes._locked(path)
    waiter = str(os.fstat(first).st_ino)
    found: list[int] = []
    thread = threading.Thread(target=lambda: found.append(volumes._locked(path)))
    thread.start()
    deadline = time.monotonic() + 2
    # proc_locks(5): "->" is one who waits. It may be too late, and the claim holds all the same.
    while time.monotonic() < deadline:
        if any("->" in line and f":{waiter} " in line for line in Path("/proc/locks").read_text().splitlines()):
            break
    os.unlink(path)
    os.close(first)
    thread.join()
    assert os.path.samestat(os.fstat(found[0]), os.stat(path))
    os.close(found[0])


def test_a_marker_that_comes_back_says_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its content is on disk before the copy begins, and gone from there before the marker is: after a power cut one
    that was removed may be back, with the container's own data in the volume already."""
    directory, marker = tmp_path / "data", tmp_path / "records/data.copying"
    directory.mkdir()
    flushed: list[tuple[str, int]] = []
    flush = volumes._flush

    def watched(path: str) -> None:
        flush(path)
        flushed.append((path, marker.stat().st_size))

    monkeypatch.setattr(volumes, "_flush", watched)
    volumes._copy_locked(-1, str(directory), str(marker), "", str(tmp_path), "")
    assert [(path, size > 0) for path, size in flushed] == [
        (str(marker.parent), True),
        (str(directory), True),
        (str(marker.parent), False),
    ]
    assert not marker.exists()


def test_u_never_gives_a_directory_of_the_system_away(tmp_path: Path) -> None:
    """Nor through a link to it. Only what finds the source is called here: a test that fails must not give away any."""
    (tmp_path / "link").symlink_to("/var/run")
    (tmp_path / "passwd").symlink_to("/etc/passwd")
    for source in ("/", "/var/run", "/usr/../etc/", f"{tmp_path}/link", f"{tmp_path}/passwd"):
        with pytest.raises(UserError, match="option U would give away"):
            os.close(volumes._to_give(source))
    (tmp_path / "file").touch()
    assert same(volumes._to_give(f"{tmp_path}/file"), tmp_path / "file")


def test_a_long_copy_extends_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """systemd is asked for more time until there is a report, and not without end."""
    monkeypatch.setattr(volumes, "_ASK_SECONDS", 0.001)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        reader, writer = os.pipe()
        os.write(writer, b"x")
        volumes.wait_patiently(reader, str(tmp_path / "notify"))
        # At once: a start may have less time than until the second question.
        assert listener.recv(100, socket.MSG_DONTWAIT) == b"EXTEND_TIMEOUT_USEC=60000000"
        assert os.read(reader, 1) == b"x"

        asked: list[bytes] = []

        def report() -> None:
            while (text := listener.recv(100)) != b"stop":  # as systemd does: a full queue would hold up who asks
                asked.append(text)
                if len(asked) == 3:
                    os.write(writer, b"x")

        thread = threading.Thread(target=report)
        thread.start()
        monkeypatch.setattr(volumes, "_ASKS", 10**6)
        volumes.wait_patiently(reader, str(tmp_path / "notify"))
        volumes.notify.notify(str(tmp_path / "notify"), "stop")
        thread.join()
        assert set(asked) == {b"EXTEND_TIMEOUT_USEC=60000000"}
        assert os.read(reader, 1) == b"x"
        monkeypatch.setattr(volumes, "_ASKS", 2)
        volumes.wait_patiently(reader, "")
        os.close(reader)
        os.close(writer)


def test_a_label_that_is_there_costs_nothing(tmp_path: Path) -> None:
    """A directory's own label tells of all that is in it, as it is given last; where it is asked for, or another, it
    is set."""
    label = "system_u:object_r:container_file_t:s0"
    directory, file, other = tmp_path / "volume", tmp_path / "volume/file", tmp_path / "other"
    directory.mkdir()
    file.touch()
    other.touch()
    try:
        os.setxattr(directory, "security.selinux", label.encode() + b"\0")
    except OSError:
        pytest.skip("labels cannot be set here")
    given = (f"{directory}\t{label}\t1", f"{other}\t{label}\t1", f"{other}\tsystem_u:object_r:b_t:s0")
    for line, expected in zip(given, (b"", label.encode(), b"system_u:object_r:b_t:s0"), strict=True):
        volumes.prepare(Plan(f"ctr-plan=1\nrelabel={line}\n"), str(tmp_path))
        assert os.listxattr(file) == []
        found = os.getxattr(other, "security.selinux") if os.listxattr(other) else b""
        assert found.rstrip(b"\0") == expected
