"""No definition, however it is written, makes the compilers crash, hang, or refuse without saying where.

To look for more: ``CTR_FUZZ=20000 contrib/test unit -- -k test_fuzz`` (tests/properties.py), and ``contrib/test fuzz``
lets atheris find its way (tests/fuzz).
"""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from supervisor.definitions import unitfile
from tests.fuzz import oracle
from tests.properties import WANTED

FUZZ = settings(
    max_examples=WANTED or 150,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

KEYS = oracle.keys()
SECTIONS = sorted({(suffix, section) for suffix, section, _ in KEYS})
#: Sections that mostly go through as they are.
OTHERS = ("Unit", "Service", "Quadlet")
PATHS = [path for path in sorted(oracle.EXAMPLES.glob("**/*")) if path.suffix in oracle.KINDS]
EXAMPLES = tuple(oracle.examples())
#: What people write for a key, whatever the file.
VALUES = sorted({at.value for _, file in EXAMPLES for at in file.assignments})

PIECES = st.sampled_from(sorted({*oracle.NASTY, *"%$\"'\\,:=/@[]{}- \t", "%i", "$$", "\\x41", "ro", "size=", "type="}))
TEXT = st.one_of(PIECES, st.lists(PIECES, max_size=6).map("".join), st.text(max_size=40))


@st.composite
def mutated(draw: st.DrawFn, values: st.SearchStrategy[str]) -> str:
    """Something valid with a part of it taken out, doubled, or replaced."""
    value = draw(values)
    start = draw(st.integers(0, len(value)))
    end = draw(st.integers(start, len(value)))
    middle = draw(st.sampled_from(["", value[start:end] * 2, draw(TEXT)]))
    return value[:start] + middle + value[end:]


VALUE = st.one_of(TEXT, st.sampled_from(VALUES), mutated(st.sampled_from(VALUES)))


@st.composite
def definitions(draw: st.DrawFn) -> tuple[str, str]:
    """A definition of some kind with a few keys that fit it: its suffix and its text."""
    suffix = draw(st.sampled_from(sorted(oracle.KINDS)))
    fitting = [(section, name) for kind, section, name in KEYS if kind == suffix]
    chosen = draw(st.lists(st.tuples(st.sampled_from(fitting), VALUE), min_size=1, max_size=5))
    return suffix, oracle.definition(suffix, [(*key, value) for key, value in chosen])


@pytest.mark.parametrize(("suffix", "section"), SECTIONS)
def test_every_key_with_nasty_values(suffix: str, section: str) -> None:
    """Each key of the coverage table, in files of its own, with values that have broken parsers before: every one of
    them where there is time, else some, and others for the next key."""
    step = 1 if WANTED else 20 if section in OTHERS else 4
    names = [name for kind, where, name in KEYS if (kind, where) == (suffix, section)]
    for first, name in enumerate(names):
        values = oracle.NASTY[first % step :: step]
        files = {
            f"f{number}{suffix}": oracle.definition(suffix, [(section, name, value)])
            for number, value in enumerate(values)
        }
        oracle.check(files, limit=oracle.LIMIT * 5)


PATTERNS = ["a", "9", " ", ",", ":", "=", "/", "\\\\", '"a" ', "a=b,", "[", "%%", "$$", "1h ", "-", "../", "é"]


@pytest.mark.parametrize("pattern", PATTERNS)
def test_long_values_take_time_in_proportion(pattern: str) -> None:
    """A line may have a megabyte; what takes the square of that, or more, would take minutes."""
    value = pattern * (20_000 // len(pattern))
    for suffix in oracle.KINDS:
        fitting = [(section, name, value) for kind, section, name in KEYS if kind == suffix and section not in OTHERS]
        files = {f"f{number}{suffix}": oracle.definition(suffix, [line]) for number, line in enumerate(fitting)}
        oracle.check(files, limit=oracle.LIMIT * 10)


@FUZZ
@given(definitions())
def test_any_values_of_any_keys(found: tuple[str, str]) -> None:
    """Several keys of one file with values of every kind."""
    suffix, text = found
    oracle.check({f"one{suffix}": text})


@FUZZ
@given(st.sampled_from(PATHS), st.data())
def test_examples_with_mistakes(path: os.PathLike[str], data: st.DataObject) -> None:
    """A definition that somebody wrote, with parts of it lost, doubled or replaced, and beside it the same again as a
    drop-in and as a template."""
    name, suffix = os.path.splitext(os.path.basename(path))
    with open(path, encoding="utf-8") as file:
        text = data.draw(mutated(st.just(file.read())))
    drop_in = data.draw(mutated(st.just("[Container]\nEnvironment=A=1\nPublishPort=\n[Service]\nRestart=always\n")))
    oracle.check({f"{name}{suffix}": text, f"{name}{suffix}.d/1.conf": drop_in, f"t@1{suffix}": text})


@FUZZ
@given(st.binary(max_size=400))
@example(b"\xef\xbb\xbf[Container]\r\nImage=\\\r\n# x\r\nlocalhost/x\r")
@example(b"[Container]\nImage=\xff\n")
@example(b"[Container]\nImage=x\\")
def test_any_bytes(data: bytes) -> None:
    """A file of any kind may hold anything."""
    oracle.check({f"one{suffix}": data for suffix in oracle.KINDS})
    file = unitfile.parse("x", data)
    assert all(at.line > 0 and at.key and at.section for at in file.assignments)
    assert all(problem.line > 0 for problem in file.problems)


NAMES = st.text(alphabet="ab@.-_%\\ /:é1", max_size=12)


@FUZZ
@given(st.lists(st.tuples(NAMES, st.sampled_from([*oracle.KINDS, ".container.d/x.conf", ".d", ""])), max_size=6))
def test_any_file_names(names: list[tuple[str, str]]) -> None:
    """Directories hold files with every name; those that are no names of containers are refused."""
    text = "[Container]\nImage=localhost/x\nHostName=%i\n"
    found = {"/".join(filter(None, f"{stem}{suffix}".split("/"))): text for stem, suffix in names}
    files = {name: text for name, text in found.items() if name and not any(o.startswith(f"{name}/") for o in found)}
    oracle.check({name: text for name, text in files.items() if not {".", ".."} & {*name.split("/")}})
