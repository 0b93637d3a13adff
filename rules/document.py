"""YAML text → nodes that know their line and column, with everything refused that a settings file has no use for.

Strategy: read parser *events*, never constructed objects: an alias is refused where it stands, so nothing can expand;
depth and size are bounded before anything is built; the tree is built without recursion. Anchors, aliases, merge keys,
tags, further documents and directives other than YAML 1.2 are faults. Plain scalars are typed by the core schema of
YAML 1.2.2 section 10.3.2, so `off` and `no` stay words. A fault is a value: all are collected, none stops the reading
except broken syntax. Used for topologies, and fit for every other file that reports faults in the same way.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

MAX_BYTES: Final = 1 << 20
"""Largest file read. Ten kilobytes describe the documented worked example with comments; a thousand Edge pools fit."""

MAX_DEPTH: Final = 32
"""Deepest nesting. The deepest key of a topology is at level six."""

MAX_SHOWN: Final = 60
"""Characters of a value that a message repeats."""

MAX_CANDIDATES: Final = 500
MAX_SUGGESTIONS: Final = 200
"""Comparing names is quadratic work: 200 times 500 comparisons of 60 characters stay within two seconds; the faults
beyond are reported without a suggestion."""

# YAML 1.2.2 section 5.1, what a stream may hold
_UNPRINTABLE: Final = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_INT: Final = re.compile(r"[-+]?[0-9]{1,18}|0o[0-7]{1,20}|0x[0-9a-fA-F]{1,16}")
_FLOAT: Final = re.compile(
    r"[-+]?(\.[0-9]{1,50}|[0-9]{1,50}(\.[0-9]{0,50})?)([eE][-+]?[0-9]{1,3})?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"
)
_WORDS: Final[dict[str, bool | None]] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}


@dataclass(frozen=True, slots=True, order=True)
class Mark:
    """A place in a file, both numbers from 1."""

    line: int
    column: int


@dataclass(frozen=True, slots=True, order=True)
class Fault:
    """One thing that is wrong in a file, and what would be right."""

    line: int
    column: int
    message: str
    hint: str
    file: str

    def __str__(self) -> str:
        name = "".join(c if c.isprintable() else _escape(c) for c in self.file)
        return f"{name}:{self.line}:{self.column}: {self.message} ({self.hint})"


@dataclass(slots=True)
class Faults:
    """Collects the faults of one file."""

    file: str
    found: set[Fault] = field(default_factory=set)
    suggestions: int = 0

    def add(self, mark: Mark, message: str, hint: str) -> None:
        self.found.add(Fault(mark.line, mark.column, message, hint, self.file))

    def near(self, name: str, known: Collection[str], otherwise: str) -> str:
        """A hint for a name that is not known: the closest one that is, if any is close."""
        if len(known) > MAX_CANDIDATES or self.suggestions >= MAX_SUGGESTIONS:
            return otherwise
        self.suggestions += 1
        close = difflib.get_close_matches(name[:MAX_SHOWN], sorted(known), 1)
        return f'did you mean "{close[0]}"?' if close else otherwise

    def sorted(self) -> tuple[Fault, ...]:
        return tuple(sorted(self.found))


class FileFaults(Exception):
    """A file has faults; `faults` holds them, sorted by place. As text: one a line, as compilers do it."""

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        super().__init__("\n".join(str(fault) for fault in faults))
        self.faults = faults


class FileUnreadable(Exception):
    """There is no file to be read at that place; as text, a sentence that says why."""


def content(name: str, what: str, most: int = MAX_BYTES) -> bytes:
    """The octets of a file that reports faults, one more than `most` at most (a pipe will do, too).

    what: its kind in a user's words, such as "topology file". Raises FileUnreadable.
    """
    try:
        with Path(name).open("rb") as file:
            return file.read(most + 1)
    except FileNotFoundError:
        raise FileUnreadable(f"{name}: there is no such {what}") from None
    except IsADirectoryError:
        raise FileUnreadable(f"{name}: this is a folder, not a {what}") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        why = (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
        raise FileUnreadable(f"{name}: the {what} cannot be read: {why}") from None


@dataclass(slots=True)
class Scalar:
    mark: Mark
    text: str
    value: bool | int | float | str | None
    plain: bool


@dataclass(slots=True)
class Sequence:
    mark: Mark
    items: list[Node] = field(default_factory=list)


@dataclass(slots=True)
class Mapping:
    mark: Mark
    entries: list[tuple[Scalar, Node]] = field(default_factory=list)


@dataclass(slots=True)
class Refused:
    """Stands where a fault was already reported."""

    mark: Mark


Node = Scalar | Sequence | Mapping | Refused


def show(text: str) -> str:
    """A value as a message may repeat it: quoted, on one line, cut, harmless on a terminal."""
    cut = text if len(text) <= MAX_SHOWN else text[: MAX_SHOWN - 1] + "…"
    return '"' + "".join(c if c.isprintable() and c not in '"\\' else _escape(c) for c in cut) + '"'


def _escape(character: str) -> str:
    if character in '"\\':
        return "\\" + character
    return {"\n": "\\n", "\t": "\\t", "\r": "\\r"}.get(character, f"\\u{{{ord(character):04x}}}")


def parse(data: bytes, faults: Faults, begins: str = "a YAML mapping that begins with `edgewarden: 1`") -> Node | None:
    """The root node of the only document in `data`; None when there is none that could be read (a fault says why).

    begins: what the file should hold, for one that is empty."""
    text = _decode(data, faults)
    if text is None:
        return None
    builder = _Builder(faults)
    for event in _events(text, faults, builder):
        if not builder.take(event):
            break
    if builder.broken:
        return None
    if builder.root is None:
        faults.add(Mark(1, 1), "the file is empty", begins)
    return builder.root


def _decode(data: bytes, faults: Faults) -> str | None:
    if len(data) > MAX_BYTES:
        faults.add(Mark(1, 1), "the file is too large", f"at most {MAX_BYTES:,} octets")
        return None
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        faults.add(Mark(1, 1), "the file is in UTF-16", "save it as UTF-8")
        return None
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8")
        faults.add(_place(before), f"octet 0x{data[error.start]:02x} is not UTF-8", "save the file as UTF-8")
        return None
    text = text.removeprefix("\ufeff")
    found = _UNPRINTABLE.search(text)
    if found:
        code = f"U+{ord(found[0]):04X}"
        faults.add(_place(text[: found.start()]), f"character {code} is not allowed in YAML", "leave it out")
        return None
    return text


def _place(before: str) -> Mark:
    before = before.removeprefix("\ufeff")
    return Mark(before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1)


def _events(text: str, faults: Faults, builder: _Builder) -> Iterator[Event]:
    events = YAML(typ="safe", pure=True).parse(text)
    last = Mark(1, 1)
    while True:
        # The parser is not ours and the text may be hostile: whatever it raises (ValueError of a bad escape, say) is
        # a fault of the file, at the place it names or else behind the last thing it understood.
        try:
            event = next(events, None)
        except MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            place = Mark(mark.line + 1, mark.column + 1) if mark is not None else last
            faults.add(place, f"not YAML: {error.problem or error.context or 'it cannot be read'}", "valid YAML 1.2")
            builder.broken = True
            return
        except Exception as error:
            faults.add(last, f"not YAML: {type(error).__name__} after this place", "valid YAML 1.2")
            builder.broken = True
            return
        if event is None:
            return
        if event.end_mark is not None:
            last = Mark(event.end_mark.line + 1, event.end_mark.column + 1)
        yield event


class _Builder:
    """Stacks open collections; `take` returns False when reading on is useless."""

    def __init__(self, faults: Faults) -> None:
        self.faults = faults
        self.root: Node | None = None
        self.broken = False
        self.documents = 0
        self.open: list[Sequence | Mapping | Refused] = []
        self.keys: list[Node | None] = []  # beside each open collection: the key that waits for its value

    def take(self, event: Event) -> bool:
        mark = Mark(event.start_mark.line + 1, event.start_mark.column + 1)
        if isinstance(event, DocumentStartEvent):
            return self._document(event, mark)
        if isinstance(event, SequenceEndEvent | MappingEndEvent):
            self.keys.pop()
            self._place(self.open.pop())
        elif isinstance(event, NodeEvent):
            return self._node(event, mark)
        return True

    def _document(self, event: DocumentStartEvent, mark: Mark) -> bool:
        self.documents += 1
        if self.documents > 1:
            self.faults.add(mark, "a second document", "one document in a file")
            return False
        if event.version is not None and tuple(event.version) != (1, 2):
            self.faults.add(Mark(1, 1), "a %YAML directive of another version", "YAML 1.2, or no directive")
        return True

    def _node(self, event: NodeEvent, mark: Mark) -> bool:
        if isinstance(event, AliasEvent):
            self.faults.add(mark, f"alias *{show(str(event.anchor))[1:-1]}", "write the value out")
            self._place(Refused(mark))
            return True
        if event.anchor is not None:
            self.faults.add(mark, f"anchor &{show(str(event.anchor))[1:-1]}", "leave it out: aliases are not allowed")
        tag = getattr(event, "tag", None)
        if tag is not None:
            self.faults.add(mark, f"tag {show(str(tag))[1:-1]}", "leave it out; quote what must be text")
        if isinstance(event, ScalarEvent):
            escaped = _UNPRINTABLE.search(str(event.value))  # "\\0", or half of a surrogate pair
            if escaped:
                self.faults.add(mark, f"character U+{ord(escaped[0]):04X} in quotes", "leave it out")
                self._place(Refused(mark))
                return True
            self._place(scalar(str(event.value), mark, plain=event.style is None or event.style == ""))
            return True
        if len(self.open) >= MAX_DEPTH:
            self.faults.add(mark, "nested too deeply", f"at most {MAX_DEPTH} levels")
            self.broken = True
            return False
        self.open.append(Sequence(mark) if isinstance(event, SequenceStartEvent) else Mapping(mark))
        self.keys.append(None)
        assert isinstance(event, SequenceStartEvent | MappingStartEvent)
        return True

    def _place(self, node: Node) -> None:
        if not self.open:
            self.root = node
            return
        parent = self.open[-1]
        if isinstance(parent, Sequence):
            parent.items.append(node)
        elif isinstance(parent, Mapping):
            key = self.keys[-1]
            if key is None:
                self.keys[-1] = node
                return
            self.keys[-1] = None
            self._entry(parent, key, node)

    def _entry(self, parent: Mapping, key: Node, value: Node) -> None:
        if isinstance(key, Refused):
            return
        if not isinstance(key, Scalar):
            self.faults.add(key.mark, "a key that is a list or a mapping", "keys are words")
        elif key.plain and key.text == "<<":
            self.faults.add(key.mark, "merge key <<", "write the keys out")
        else:
            if isinstance(value, Scalar) and value.plain and not value.text:
                value.mark = key.mark  # nothing stands there; the parser would point at the next line
            parent.entries.append((key, value))


def scalar(text: str, mark: Mark, *, plain: bool) -> Scalar:
    """A scalar with its type by the core schema: null, true/false, integers and floats when plain, else text."""
    value: bool | int | float | str | None = text
    if plain:
        if text in _WORDS:
            value = _WORDS[text]
        elif _INT.fullmatch(text):
            value = int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))
        elif _FLOAT.fullmatch(text):
            special = text[-1] in "fFnN"  # .inf and .nan, as Python writes them without the point
            value = float(text.replace(".", "") if special else text)
    return Scalar(mark, text, value, plain)
