"""Secret= means what podman-run(1) --secret says."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.definitions.quadlet import compile_file
from supervisor.definitions.secrets import secret
from supervisor.errors import UserError
from supervisor.spec.secret import Secret


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("db", Secret("db", "/run/secrets/db")),
        ("source=db,target=x", Secret("db", "/run/secrets/x")),
        ("db,type=mount,target=a/b,uid=5,gid=6,mode=0400", Secret("db", "/run/secrets/a/b", False, 5, 6, 0o400)),
        ("db,target=/etc/x.d/../key,mode=4", Secret("db", "/etc/key", mode=4)),
        ("db,type=env", Secret("db", "db", as_environment=True)),
        ("db,type=env,target=DB_PASSWORD", Secret("db", "DB_PASSWORD", as_environment=True)),
    ],
)
def test_forms(text: str, expected: Secret) -> None:
    """A file below /run/secrets unless another place is named; a variable only when it is asked for."""
    assert secret(text) == expected


@pytest.mark.parametrize(
    "text",
    ["", ",", "db,", "a/b", "-x", "db,x", "db,type=file", "db,type=env,mode=0400", "db,type=env,target=A=B",
     "db,type=env,target=", "db,target=", "db,target=../x", "db,target=a/../..", "db,target=/", "db,target=/proc/x",
     "db,target=x/", "db,mode=9",
     "db,mode=77777", "db,mode=", "db,uid=-1", "db,uid=4294967295", "db,gid=x", "db,uid=1,uid=2", "db,source=x",
     "target=x", "db,target=a\x01"],
)  # fmt: skip
def test_refused(text: str) -> None:
    """What is no secret, or leads out of /run/secrets without saying so."""
    with pytest.raises(UserError):
        secret(text)


WORDS = st.sampled_from(
    [
        "db",
        "type=env",
        "type=mount",
        "target=",
        "uid=1",
        "mode=0400",
        "mode=9",
        "source=",
        ",",
        "/",
        "..",
        "x",
        "=",
        "%%",
        "'",
        '"',
    ]
)


@given(st.lists(WORDS, max_size=8).map("".join) | st.text(max_size=16))
def test_every_refusal_names_line_and_key(text: str) -> None:
    """Never an exception; a file has an absolute path outside /proc."""
    line = text.replace("\n", "").replace("\r", "").rstrip("\\")
    result = compile_file("/d/a.container", f"[Container]\nImage=x\nSecret={line}\n")
    for problem in result.problems:
        assert problem.line == 3 and (problem.key == "Secret" or "control character" in problem.message)
    for found in result.defined.secrets if result.defined else ():
        assert found.as_environment or (found.target.startswith("/") and "/../" not in f"{found.target}/")
