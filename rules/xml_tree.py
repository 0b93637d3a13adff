"""XML of foreign origin → elements with their places; what a plain document has no use for is refused.

Strategy: decode first (byte order mark, else the declaration, of a few encodings), then expat, told that it reads
UTF-8. A document type is refused where it begins, so no entity can be declared and nothing can expand or be fetched;
size, depth and number of elements are bounded before anything is kept. Names lose their namespace: the years in the
vendor's URIs promise nothing. The first fault ends the reading: behind broken syntax nothing has a meaning.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final
from xml.parsers import expat

from rules.document import Faults, Mark, show

MAX_BYTES: Final = 10 << 20
"""Largest file read. Published topologies of real deployments have 20 to 35 kB."""

MAX_DEPTH: Final = 64
"""Deepest nesting. The deepest element of a published topology is at level nine."""

MAX_ELEMENTS: Final = 200_000
"""A sample of two sites has five hundred; at forty octets each this many fill the largest file."""

MAX_TEXT: Final = 4096
"""Characters kept of an element's text, and most of one attribute: they hold names, addresses and URLs."""

_BEHIND: Final = expat.errors.codes[expat.errors.XML_ERROR_JUNK_AFTER_DOC_ELEMENT]

_LONGEST_TAG: Final = 1 << 16  # looked through for the place of an attribute

_ENCODINGS: Final = {
    "utf-8": "utf-8",
    "us-ascii": "ascii",
    "ascii": "ascii",
    "iso-8859-1": "latin-1",
    "windows-1252": "cp1252",
}
_DECLARED: Final = re.compile(rb"""<\?xml[^>]{0,100}?encoding\s*=\s*["']([A-Za-z0-9._-]{1,40})["']""")
_WEB_PAGE: Final = re.compile(r"<!doctype\s+html\b", re.IGNORECASE)
_FORBIDDEN: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # XML 1.0 section 2.2
_WHOLE: Final = (
    "the whole document as it was exported; a console wraps and cuts lines: write it with `Out-File -Width 4096`"
)


@dataclass(slots=True)
class Element:
    """One element; `name` is its local name."""

    name: str
    mark: Mark
    attributes: dict[str, str]
    source: bytes = field(repr=False)  # the whole document, to find the place of an attribute in
    offset: int  # of this element in it
    children: list[Element] = field(default_factory=list)
    text: str = ""

    def get(self, name: str) -> str | None:
        """An attribute without spaces around it; None when it is absent or empty."""
        return self.attributes.get(name, "").strip() or None

    def at(self, name: str) -> Mark:
        """Where the value of an attribute stands; where the element does if it has none."""
        end = self.source.find(b">", self.offset, self.offset + _LONGEST_TAG)
        tag = self.source[self.offset : end if end >= 0 else self.offset + _LONGEST_TAG].decode("utf-8", "ignore")
        found = re.search(rf"[\s:]{re.escape(name)}\s*=\s*[\"']", tag)
        if not found:
            return self.mark
        before = tag[: found.end()]
        lines = before.count("\n")
        return Mark(self.mark.line + lines, len(before.rpartition("\n")[2]) + (1 if lines else self.mark.column))

    def all(self, name: str) -> list[Element]:
        return [child for child in self.children if child.name == name]

    def first(self, *path: str) -> Element | None:
        """The first element at a path of local names below this one."""
        found: Element | None = self
        for name in path:
            found = next((child for child in found.children if child.name == name), None) if found else None
        return found

    def walk(self) -> Iterator[Element]:
        """This element and all below it, in the order of the document."""
        waiting = [self]
        while waiting:
            element = waiting.pop()
            yield element
            waiting.extend(reversed(element.children))


def parse(data: bytes, faults: Faults) -> Element | None:
    """The root element; None when the document cannot be read (a fault says why)."""
    text = _decode(data, faults)
    if text is None:
        return None
    start = text.find("<")  # a blank line or a console's words before the document are no part of it
    if start < 0:
        faults.add(Mark(1, 1), "no XML in the file", _WHOLE)
        return None
    before = text[:start]
    if _WEB_PAGE.match(text, start):
        hint = "the XML itself, not a page that shows it or asks for a password"
        faults.add(_place(before), "the document is a web page, HTML", hint)
        return None
    return _Builder(faults, before.count("\n"), start - (before.rfind("\n") + 1)).read(text[start:])


def _decode(data: bytes, faults: Faults) -> str | None:
    if len(data) > MAX_BYTES:
        faults.add(Mark(1, 1), "the file is too large", f"at most {MAX_BYTES:,} octets")
        return None
    encoding = "utf-8"
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        encoding = "utf-16"
    elif data[:4].count(0) == 2:  # UTF-16 whose mark was lost: the first characters are ASCII
        encoding = "utf-16-le" if data[1:2] == b"\0" else "utf-16-be"
    elif not data.startswith(b"\xef\xbb\xbf"):
        declared = _DECLARED.search(data[:1024])
        name = declared[1].decode("ascii").lower() if declared else "utf-8"
        # UTF-16 that was saved again as UTF-8 keeps its declaration: the octets decide
        if name not in _ENCODINGS and not name.startswith("utf-16"):
            faults.add(Mark(1, 1), f"encoding {show(name)}", "save the file as UTF-8 or UTF-16")
            return None
        encoding = _ENCODINGS.get(name, "utf-8")
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        before = data[: error.start].decode(encoding, "replace").removeprefix("\ufeff")
        message = f"octet 0x{data[error.start]:02x} is not {encoding.upper()}"
        faults.add(_place(before), message, "save the file as UTF-8 or UTF-16")
        return None
    text = text.removeprefix("\ufeff").replace("\r\n", "\n")
    found = _FORBIDDEN.search(text)
    if found:
        message = f"character U+{ord(found[0]):04X} is not allowed in XML"
        faults.add(_place(text[: found.start()]), message, "save the file as UTF-8 or UTF-16")
        return None
    return text


def _place(before: str) -> Mark:
    return Mark(before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1)


class _Refused(Exception):
    """Reading on is useless; the fault is reported."""


class _Builder:
    """Stacks open elements. `lines` and `columns` stood before the text that is read."""

    def __init__(self, faults: Faults, lines: int, columns: int) -> None:
        self.faults = faults
        self.lines, self.columns = lines, columns
        self.root: Element | None = None
        self.open: list[Element] = []
        self.count = 0
        self.octets = b""
        self.parser = expat.ParserCreate("utf-8", " ")
        self.parser.buffer_text = True
        self.parser.StartElementHandler = self.start
        self.parser.EndElementHandler = self.end
        self.parser.CharacterDataHandler = self.characters
        self.parser.StartDoctypeDeclHandler = self.document_type

    def read(self, text: str) -> Element | None:
        self.octets = text.encode("utf-8")
        try:
            self.parser.Parse(self.octets, True)
        except _Refused:
            return None
        except expat.ExpatError as error:
            behind = self.octets[self.parser.ErrorByteIndex :]
            if error.code == _BEHIND and b"<" not in behind:  # a console's prompt is no part of the document either
                return self.root
            mark = self.place(error.lineno, error.offset)
            self.faults.add(mark, f"not XML: {expat.ErrorString(error.code)}", _WHOLE)
            return None
        return self.root

    def place(self, line: int, column: int) -> Mark:
        return Mark(line + self.lines, column + 1 + (self.columns if line == 1 else 0))

    def refuse(self, message: str, hint: str) -> None:
        self.faults.add(self.place(self.parser.CurrentLineNumber, self.parser.CurrentColumnNumber), message, hint)
        raise _Refused

    def document_type(self, *_: object) -> None:
        """Called behind the declaration's names, before anything that it declares; what it names is never opened."""
        start = self.octets.rfind(b"<!DOCTYPE", 0, self.parser.CurrentByteIndex + 1)
        mark = _place(self.octets[: max(start, 0)].decode("utf-8"))
        hint = "leave it out: a deployed topology has none, and no entities"
        self.faults.add(self.place(mark.line, mark.column - 1), "a document type declaration", hint)
        raise _Refused

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self.count += 1
        if self.count > MAX_ELEMENTS:
            self.refuse("too many elements", f"at most {MAX_ELEMENTS:,}")
        if len(self.open) >= MAX_DEPTH:
            self.refuse("nested too deeply", f"at most {MAX_DEPTH} levels")
        for key, value in attributes.items():
            if len(value) > MAX_TEXT:
                self.refuse(f"attribute {show(_local(key))} is too long", f"at most {MAX_TEXT:,} characters")
        mark = self.place(self.parser.CurrentLineNumber, self.parser.CurrentColumnNumber)
        plain = {_local(key): value for key, value in attributes.items()}
        element = Element(_local(name), mark, plain, self.octets, self.parser.CurrentByteIndex)
        if self.open:
            self.open[-1].children.append(element)
        else:
            self.root = element
        self.open.append(element)

    def end(self, name: str) -> None:
        self.open.pop()

    def characters(self, text: str) -> None:
        element = self.open[-1]
        element.text = (element.text + text)[:MAX_TEXT]


def _local(name: str) -> str:
    return name.rpartition(" ")[2]
