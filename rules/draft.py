"""A topology file that is being drafted: YAML with the reason of a line beside it, TODO where a person must act.

Strategy: lines of text, since comments are half of the worth; values pass `word`, so that no text of a foreign document
can become YAML. What was assumed is said twice: as a comment where it counts, and in `assumptions` for whoever runs the
command. A TODO in place of a value is a fault that `edgewarden topology check` points at; one in a comment is advice.
"""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterable
from typing import Final

from rules.document import Mark, scalar

TODO: Final = "TODO"
WIDTH: Final = 118

_PLAIN: Final = re.compile(r"[A-Za-z0-9_./][A-Za-z0-9_./-]*")


def word(value: object) -> str:
    """A scalar that YAML reads as this value again, also inside brackets."""
    text = str(value)
    if isinstance(value, bool):
        return text.lower()
    if isinstance(value, int):
        return text
    plain = _PLAIN.fullmatch(text) and isinstance(scalar(text, Mark(1, 1), plain=True).value, str)
    return text if plain else json.dumps(text, ensure_ascii=not text.isprintable())


def _one_line(text: str) -> str:
    """Of a comment: U+0085, U+2028 and U+2029 end a line in YAML 1.1, too, and what follows would be YAML."""
    return text if text.isprintable() else json.dumps(text)[1:-1]


def one_or_list(values: Iterable[object]) -> str:
    found = [word(value) for value in values]
    return found[0] if len(found) == 1 else "[" + ", ".join(found) + "]"


def several(values: Iterable[object]) -> str:
    return "[" + ", ".join(word(value) for value in values) + "]"


class Draft:
    def __init__(self, rest: str) -> None:
        self.rest = rest  # what `unused` are, in a few words
        self.head: list[str] = []  # says what a TODO is, and is none
        self.lines: list[str] = []
        self.assumptions: list[str] = []
        self.doubts: list[str] = []  # what contradicts itself or looks wrong
        self.unused: list[str] = []  # what the source says beyond this file

    def begin(self, *sentences: str) -> None:
        """The first lines: what this is and what to do with it."""
        for sentence in sentences:
            self.head += _comment(0, sentence)

    def put(self, depth: int, text: str, about: str = "") -> None:
        """A line of YAML, two spaces for each step of depth, with a comment behind it where it fits."""
        line = "  " * depth + text
        about = _one_line(about)
        if about and len(line) + 3 + len(about) > WIDTH:
            self.say(depth, about)
            about = ""
        self.lines.append(f"{line}   # {about}" if about else line)

    def put_list(self, depth: int, key: str, values: Iterable[object]) -> None:
        """A list on one line, or an item a line where it is long."""
        found = list(values)
        line = f"{key}: {several(found)}"
        if 2 * depth + len(line) <= WIDTH:
            self.put(depth, line)
            return
        self.put(depth, f"{key}:")
        for value in found:
            self.put(depth + 1, f"- {word(value)}")

    def say(self, depth: int, text: str) -> None:
        """A comment of its own, as many lines as it takes."""
        self.lines += _comment(depth, text)

    def assume(self, depth: int, text: str) -> None:
        self.assumptions.append(text)
        self.say(depth, f"assumed: {text}")

    def doubt(self, depth: int, text: str, of: str = "") -> None:
        """of: whose doubt it is, for whoever does not see the place."""
        self.doubts.append(f"{of}: {text}" if of else text)
        self.say(depth, f"check: {text}")

    def todo(self, depth: int, text: str) -> None:
        self.say(depth, f"TODO {text}")

    def blank(self) -> None:
        self.lines.append("")

    @property
    def todos(self) -> int:
        """Lines on which a person has something to fill in."""
        return sum(TODO in line for line in self.lines)

    @property
    def text(self) -> str:
        return "\n".join([*self.head, *self.lines]) + "\n"


def _comment(depth: int, text: str) -> list[str]:
    start = "  " * depth + "# "
    return textwrap.wrap(
        _one_line(text),
        WIDTH,
        initial_indent=start,
        subsequent_indent=start + "  ",
        break_long_words=False,
        break_on_hyphens=False,
    )
