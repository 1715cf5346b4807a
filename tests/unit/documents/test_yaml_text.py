"""YAML is read as far as it can be read without doubt, and what is wrong with the rest is told with its line."""

from __future__ import annotations

import json
import re

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from supervisor.documents.value import Node
from supervisor.documents.yaml_text import DEPTH_MAX, VALUES_MAX, UnreadableError, read


def plain(node: Node) -> object:
    """Without lines."""
    if isinstance(node.value, dict):
        return {name: plain(member) for name, member in node.value.items()}
    return [plain(item) for item in node.value] if isinstance(node.value, tuple) else node.value


#: PyYAML writes them without quotes: to YAML 1.1, as it reads that, they are texts.
DOUBTFUL = re.compile(r"[yYnN]|[-+]?[0-9.]+[eE][-+]?[0-9]+|[-+]?0o[0-7]+")
PRINTABLE = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\u2028\u2029\ufffe\uffff\ufeff")
).filter(lambda text: not DOUBTFUL.fullmatch(text))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | PRINTABLE,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(PRINTABLE, inner, max_size=4),
    max_leaves=12,
)


@given(VALUES)
def test_what_others_write(value: object) -> None:
    """Comes back, in the style of a person and in that of JSON, which is YAML."""
    assert plain(read(yaml.safe_dump(value, allow_unicode=True))) == value
    assert plain(read(json.dumps(value, ensure_ascii=False))) == value


@given(st.text() | st.text("[]{}:-,&*a?<!|> \n\"'#%@~0", max_size=40))
def test_no_text_is_too_strange(text: str) -> None:
    """Anything is read or refused; what is refused has a line that the text has."""
    try:
        read(text)
    except UnreadableError as error:
        assert 1 <= error.line <= (len(text.splitlines()) or 1)


@pytest.mark.parametrize(
    ("word", "value"),
    [
        *(("", None), ("~", None), ("null", None), ("true", True), ("FALSE", False)),
        *(("on", True), ("No", False), ("y", True)),  # YAML 1.1
        *(("0", 0), ("-17", -17), ("0660", 0o660), ("0o660", 0o660), ("0x1F", 31), ("1.10", 1.1), ("1e3", 1000.0)),
        *(("1:30", "1:30"), ("2001-01-01", "2001-01-01"), ("1_000", "1_000"), ("089", "089"), (".inf", ".inf")),
        *(("9" * 5000, "9" * 5000), ("0.5.0", "0.5.0"), ("=", "="), ("!!str 5", "5"), ("! 5", "5"), ("'on'", "on")),
    ],
)
def test_words(word: str, value: object) -> None:
    """What they are, and for all that are not texts, how they are written."""
    node = read(word)
    assert (plain(node), type(plain(node))) == (value, type(value))
    assert node.written == ("" if isinstance(value, str) else word)


def test_lines() -> None:
    """Of a member its key's, of an element its own, of an alias its own and not that of what it stands for."""
    top = read("---\n# x\na:\n  - 1\n  -\n    b: &b {c: 2}\nd: *b\n").value
    assert isinstance(top, dict)
    assert [node.line for node in top.values()] == [3, 7]
    items = top["a"].value
    assert isinstance(items, tuple)
    assert [item.line for item in items] == [4, 6]
    items = read("- &a x\n- *a\n").value
    assert isinstance(items, tuple)
    assert [item.line for item in items] == [1, 2]


def test_merged_members() -> None:
    """The mapping's own win, wherever they are; then the first of several."""
    text = "- &a {x: 1, y: 1}\n- &b {y: 2, z: 2}\n- {x: 3, <<: [*a, *b]}\n- <<: *b\n  '<<': 4\n"
    found = plain(read(text.replace("y", "w")))
    assert isinstance(found, list)
    assert found[2:] == [{"x": 3, "w": 1, "z": 2}, {"w": 2, "z": 2, "<<": 4}]


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("a: [\n\nb: c\n", 3, "while parsing a flow sequence, from line 1 on: "),
        ("a: [\n", 1, "while parsing a flow node: "),
        ("a: 1\n b: 2\n", 2, "mapping values are not allowed"),
        ("a: 1\nb: 2\na: 3\n", 3, "'a' is there twice, first in line 1"),
        ("a: 1\n'a': 3\n", 2, "'a' is there twice"),
        ("<<: {a: 1}\n<<: {b: 1}\n<<: {c: 1}\n", 3, "'<<' is there twice"),
        ("a:\n  on: 1\n", 2, "the key 'on' is a truth value in YAML; put it in quotes"),
        ("a:\n  80: 1\n", 2, "the key '80' is a number in YAML; put it in quotes"),
        ("a:\n  ~: 1\n", 2, "the key '~' is nothing in YAML"),
        ("\n? [a]\n: 1\n", 2, "a key is not a text"),
        ("a: &x b\n*x : 1\n", 2, "a key is not a text"),
        ("\n<<: [1]\n", 2, "'<<' takes a mapping"),
        ("a: &a\n  b: [*a]\n", 2, "*a is part of what it stands for"),
        ("a: 1\nb: *c\n", 2, "c"),
        ("a: 1\n---\nb: 1\n", 2, "a second document begins here"),
        ("a:\n- !!python/object/apply:os.system [x]\n", 2, "the tag !!python/object/apply:os.system is not read"),
        ("a: !secret x\n", 1, "the tag !secret is not read"),
        ("a: !!int '5'\n", 1, "the tag !!int is not read; leave it out"),
        ("a: 1\n\nb: \x07\n", 3, "YAML does not allow the character '\\x07'"),
        ("\n" + "[" * (DEPTH_MAX + 1), 2, f"is nested deeper than {DEPTH_MAX} times"),
    ],
)
@pytest.mark.parametrize("parser", ["C", "Python"])
def test_refused(text: str, line: int, message: str, parser: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the line, by libyaml's parser and by the one that is used where PyYAML was built without."""
    if parser == "Python":
        monkeypatch.delattr(yaml, "CSafeLoader", raising=False)
    with pytest.raises(UnreadableError) as raised:
        read(text)
    assert raised.value.line == line
    assert message in str(raised.value)


def test_nesting_is_bounded_by_us() -> None:
    """A text of brackets is refused before anybody's stack is full; as many as we allow are read."""
    read("[" * DEPTH_MAX + "]" * DEPTH_MAX)
    with pytest.raises(UnreadableError, match="nested deeper"):
        read("[" * 1_000_000)


def test_aliases_do_not_blow_up() -> None:
    """Values are counted as often as aliases stand for them; as many as are allowed can be read."""
    laughs = "a0: &a0 [" + "x, " * 9 + "x]\n"
    laughs += "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 30))
    with pytest.raises(UnreadableError, match=f"holds more than {VALUES_MAX} values") as raised:
        read(laughs)
    assert raised.value.line == 5
    merged = "a0: &a0 {" + ", ".join(f"k{n}: [x, x]" for n in range(1000)) + "}\n"
    merged += "".join(f"a{n}: &a{n}\n  <<: *a{n - 1}\n  b{n}: *a{n - 1}\n" for n in range(1, 30))
    with pytest.raises(UnreadableError, match="holds more than"):
        read(merged)
    items = read("- x\n" * (VALUES_MAX - 1)).value
    assert isinstance(items, tuple) and len(items) == VALUES_MAX - 1
