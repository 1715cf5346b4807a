"""Directories of definitions that exist in a test only, and what was loaded from them."""

from __future__ import annotations

from supervisor.definitions.load import Loaded, Read

GOOD = b"[Container]\nImage=x\n"


def tree(files: dict[str, bytes]) -> Read:
    """A file system of its own: directories are what files lie in."""

    def read(path: str) -> bytes | tuple[str, ...]:
        if path in files:
            return files[path]
        path = path.rstrip("/")
        if path in files:
            raise NotADirectoryError(20, "Not a directory", path)
        inside = {file[len(path) + 1 :].split("/")[0] for file in files if file.startswith(f"{path}/")}
        if not inside:
            raise FileNotFoundError(2, "No such file or directory", path)
        return tuple(inside)

    return read


def names(loaded: Loaded) -> list[str]:
    return [container.name for container in loaded.containers]


def messages(loaded: Loaded) -> list[str]:
    return [str(problem) for problem in loaded.problems]
