"""Debian packages through apt, in a private state: nothing is installed, the machine's own apt state is not touched.

Mirrors, keys and proxies are the machine's own apt configuration (apt.conf(5), sources.list(5)). A package named as
left out is put into the private dpkg status file as installed, so apt does not follow it.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

#: Seconds after which package lists are fetched again.
LISTS_AGE = 24 * 3600


class PackageError(Exception):
    """apt cannot give what was asked for; the message carries its words."""


@dataclass(frozen=True, slots=True)
class Package:
    """One file that apt would download; *checksum* is apt's word, algorithm and value."""

    filename: str
    checksum: str


class Apt:
    """A private apt state below *directory* for *suite* (None: the suites the machine is configured for)."""

    def __init__(self, directory: Path, suite: str | None, own_suite: str, left_out: Sequence[str]) -> None:
        self.archives = directory / "archives"
        self._state = directory / "state"
        self._no_archives = directory / "none"
        self._lists = self._state / "lists"
        self._options = [
            f"Dir::State={self._state}",
            f"Dir::State::lists={self._lists}",
            f"Dir::State::status={self._state / 'status'}",
            f"Dir::Cache={directory}",
            f"Dir::Cache::archives={self.archives}",
            f"Dir::Cache::pkgcache={directory / 'pkgcache.bin'}",
            "APT::Sandbox::User=root",
            "Acquire::Languages=none",
            "Acquire::Retries=3",
        ]
        for needed in (self._lists / "partial", self.archives / "partial", self._no_archives / "partial"):
            needed.mkdir(parents=True, exist_ok=True)
        (self._state / "status").write_text(status_file(left_out, self._architecture()))
        if suite not in (None, own_suite):
            self._use_suite(directory / "sources", own_suite, str(suite))

    def update(self, *, now: float, force: bool = False) -> str | None:
        """Fetch the package lists unless they are fresh. Return a warning when old ones have to do."""
        stamp = self._lists / ".fetched"
        if not force and stamp.exists() and now - stamp.stat().st_mtime < LISTS_AGE:
            return None
        try:
            self._run("apt-get", "-qq", "-o", "APT::Update::Error-Mode=any", "update")
        except PackageError as error:
            if stamp.exists():
                return f"package lists: not refreshed, older ones are used: {error}"
            raise
        stamp.touch()
        os.utime(stamp, (now, now))
        return None

    def resolve(self, names: Sequence[str]) -> tuple[Package, ...]:
        """*names* and everything they depend on, in apt's order of installation."""
        # apt does not list what it has downloaded already: let it look into an empty directory.
        archives = ("-o", f"Dir::Cache::archives={self._no_archives}")
        output = self._run("apt-get", "-qq", *archives, "--no-install-recommends", "--print-uris", "install", *names)
        found = tuple(Package(*match) for match in re.findall(r"^'[^']*' (\S+) \d+ ?(\S*)$", output, re.MULTILINE))
        if not found:
            raise PackageError(f"apt-get --print-uris install {' '.join(names)}: lists no package")
        return found

    def fetch(self, names: Sequence[str], packages: Sequence[Package]) -> tuple[Path, ...]:
        """Download *packages*, which `resolve` gave for *names*; return their files in the same order."""
        files = tuple(self.archives / package.filename for package in packages)
        if not all(file.exists() for file in files):
            try:
                self._download(names)
            except PackageError:
                # A point release removed a file the lists still name: once more with new lists.
                self.update(now=time.time(), force=True)
                self._download(names)
        missing = [file.name for file in files if not file.exists()]
        if missing:
            raise PackageError(f"{unquote(missing[0])}: apt downloaded another version; run the build again")
        return files

    def _download(self, names: Sequence[str]) -> None:
        self._run("apt-get", "-qq", "-y", "--no-install-recommends", "--download-only", "install", *names)

    def _architecture(self) -> str:
        return self._run("dpkg", "--print-architecture").strip()

    def _use_suite(self, directory: Path, own: str, wanted: str) -> None:
        """Point apt at a copy of the machine's sources with the suite's name replaced."""
        shutil.rmtree(directory, ignore_errors=True)
        (directory / "parts").mkdir(parents=True)
        (directory / "sources.list").touch()
        for file in [Path("/etc/apt/sources.list"), *sorted(Path("/etc/apt/sources.list.d").glob("*"))]:
            if file.suffix in (".list", ".sources") and file.is_file():
                copy = directory / "sources.list" if file.name == "sources.list" else directory / "parts" / file.name
                copy.write_text(re.sub(rf"\b{re.escape(own)}\b", wanted, file.read_text()))
        self._options += [
            f"Dir::Etc::sourcelist={directory / 'sources.list'}",
            f"Dir::Etc::sourceparts={directory / 'parts'}",
        ]

    def _run(self, program: str, *arguments: str) -> str:
        options = [word for option in self._options for word in ("-o", option)] if program == "apt-get" else []
        command = [program, *options, *arguments]
        environment = {**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}
        try:
            done = subprocess.run(
                command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
            )
        except FileNotFoundError:
            raise PackageError(f"{program}: not found; the images are made of Debian packages, on Debian") from None
        if done.returncode != 0:
            words = " ".join(done.stderr.split()) or f"exit status {done.returncode}"
            raise PackageError(f"{program} {arguments[-1]}: {words}")
        return done.stdout


def status_file(left_out: Sequence[str], architecture: str) -> str:
    """A dpkg status file in which each of *left_out* is installed, newer than anything asks for."""
    return "".join(
        f"Package: {name}\nStatus: install ok installed\nArchitecture: {architecture}\nMulti-Arch: foreign\n"
        "Maintainer: none\nVersion: 999:0\nDescription: left out of the demo images\n\n"
        for name in left_out
    )
