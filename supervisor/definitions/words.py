"""Splitting a setting's value into words as systemd does, and the quoting that undoes it. Pure.

Follows systemd.syntax(7) and the rules for command lines in systemd.service(5): words are separated by whitespace;
single and double quotes keep whitespace together and are removed, wherever in a word they stand; with *unescape*,
C-style escapes are replaced. Stricter than systemd in one thing: where it would log and carry on (an unknown escape, an
unbalanced quote), we refuse. This module knows nothing of keys, specifiers or variables.
"""

from __future__ import annotations

import re

from supervisor.errors import UserError

WHITESPACE = " \t\n\r"

_SIMPLE = {
    "a": 7, "b": 8, "f": 12, "n": 10, "r": 13, "t": 9, "v": 11, "s": 32, "\\": 92, '"': 34, "'": 39,
}  # fmt: skip
_NAMES = {value: f"\\{letter}" for letter, value in _SIMPLE.items() if letter not in "s'"}

_BYTE = re.compile(r"x([0-9a-fA-F]{2})|([0-3][0-7]{2})")
_CODE_POINT = re.compile(r"u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})")
_PLAIN = re.compile(r"[^ \t\n\r\"'\\]+")
_QUOTED = {"'": re.compile(r"[^'\\]+"), '"': re.compile(r'[^"\\]+')}
_QUOTED_RAW = {"'": re.compile(r"[^']+"), '"': re.compile(r'[^"]+')}
_NEEDS_QUOTES = re.compile(r"[\s\"'\\\x00-\x1f\x7f]")
_PLAIN_RAW = re.compile(r"[^ \t\n\r\"']+")


def split_words(text: str, *, unescape: bool = True) -> tuple[str, ...]:
    """The words of *text*. Without *unescape* a backslash is an ordinary character (systemd's rule for plain lists).

    Raises `UserError` for an unbalanced quote, an unknown escape, or escapes whose bytes are not UTF-8.
    """
    words: list[str] = []
    position = 0
    while True:
        while position < len(text) and text[position] in WHITESPACE:
            position += 1
        if position == len(text):
            return tuple(words)
        word, position = _word(text, position, unescape)
        words.append(word)


def _word(text: str, position: int, unescape: bool) -> tuple[str, int]:
    # Bytes, because \xc3\xa9 is two escapes and one character.
    word = bytearray()
    quote = ""
    while position < len(text):
        char = text[position]
        if char == "\\" and unescape:
            data, position = _escape(text, position + 1)
            word += data
        elif quote and char == quote:
            quote = ""
            position += 1
        elif not quote and char in "\"'":
            quote = char
            position += 1
        elif not quote and char in WHITESPACE:
            break
        else:
            plain = _plain(quote, unescape).match(text, position)
            end = plain.end() if plain else position + 1
            word += text[position:end].encode("utf-8", "surrogatepass")
            position = end
    if quote:
        raise UserError(f"the quote {quote} is not closed; close it, or write \\{quote} for a literal one")
    try:
        return word.decode("utf-8"), position
    except UnicodeDecodeError as error:
        raise UserError("the escapes of a word do not make valid UTF-8; use \\u for a character") from error


def _plain(quote: str, unescape: bool) -> re.Pattern[str]:
    if quote:
        return (_QUOTED if unescape else _QUOTED_RAW)[quote]
    return _PLAIN if unescape else _PLAIN_RAW


def _escape(text: str, position: int) -> tuple[bytes, int]:
    """The bytes of the escape whose backslash stands before *position*, and where the text goes on."""
    if position == len(text):
        raise UserError("the value ends in a single backslash; write \\\\ for a literal one")
    char = text[position]
    if char in _SIMPLE:
        return bytes([_SIMPLE[char]]), position + 1
    if match := _BYTE.match(text, position):
        data = bytes([int(match[1], 16) if match[1] else int(match[2], 8)])
    elif match := _CODE_POINT.match(text, position):
        code = int(match[1] or match[2], 16)
        if code > 0x10FFFF or 0xD800 <= code <= 0xDFFF:
            raise UserError(f"the escape \\{match[0]} is not a Unicode character")
        data = chr(code).encode()
    else:
        raise UserError(f"the escape \\{char} is unknown; write \\\\{char} for a literal backslash before it")
    if data == b"\0":
        raise UserError(f"the escape \\{match[0]} is a NUL byte, which no setting can hold")
    return data, match.end()


def unquoted(text: str) -> str:
    """Quadlet takes one pair of double quotes around a whole value away, and nothing else."""
    return text[1:-1] if len(text) >= 2 and text[0] == text[-1] == '"' else text


def quote(word: str) -> str:
    """*word* such that ``split_words(quote(word)) == (word,)``; unchanged where nothing needs quoting."""
    if word and not _NEEDS_QUOTES.search(word):
        return word
    return '"' + "".join(_quoted(char) for char in word) + '"'


def _quoted(char: str) -> str:
    if name := _NAMES.get(ord(char)):
        return name
    return f"\\x{ord(char):02x}" if ord(char) < 32 or ord(char) == 127 else char
