"""What a key of a settings file may hold, said once: each shape reads nodes, reports faults and describes itself.

Strategy: a description is a tree of small frozen objects. `read` turns a node into plain values wrapped in `At` (value
and place), so that later checks can still point at a line; a value that is wrong is reported and left out (None), so
that one fault never hides another. `schema` gives the same thing as JSON Schema 2020-12: one source, two readers. Where
JSON Schema cannot say it (an address that exists, dangling names) the loader is the stricter of the two, never the
laxer.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Any, Final, Protocol

from rules.components import Address, Network, PortRange
from rules.document import Faults, Mapping, Mark, Node, Refused, Scalar, Sequence, show

MAX_TEXT: Final = 1000
"""Longest free text (a reason, a name): it is printed in every report."""

MAX_NAME: Final = 253
"""Longest DNS name without its final dot, RFC 1035 section 2.3.4."""

_LABEL: Final = "[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_TOP: Final = "(?=[0-9-]*[A-Za-z])[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"  # a letter: no address is a name
HOST: Final = f"({_LABEL}\\.)+{_TOP}\\.?"
_RANGE: Final = "([1-9][0-9]{0,4})-([1-9][0-9]{0,4})"
_DATE: Final = "[0-9]{4}-[0-9]{2}-[0-9]{2}"
_TIME: Final = "[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(\\.[0-9]{1,6})?( ?([Zz]|[+-][0-9]{2}:[0-9]{2}))?"

Schema = dict[str, Any]


@dataclass(frozen=True, slots=True)
class At:
    """A value and where it stands. `value` is a str, number, `ipaddress` object …, a tuple of At, or a dict of At."""

    value: Any
    mark: Mark
    written: frozenset[str] = frozenset()
    """Of a mapping: the keys that hold something, right or wrong."""

    def get(self, key: str) -> Any:
        """The plain value (no longer wrapped) of a key of a mapping, None when absent."""
        found = self.value.get(key)
        return None if found is None else found.value

    def items(self, key: str) -> tuple[At, ...]:
        """The wrapped items of a list under a key, () when absent."""
        found = self.value.get(key)
        return () if found is None else found.value


class Shape(Protocol):
    def read(self, node: Node, faults: Faults) -> At | None: ...

    def schema(self) -> Schema: ...


def kind(node: Node) -> str:
    """What stands there, in a user's words."""
    if isinstance(node, Mapping):
        return "a mapping"
    if isinstance(node, Sequence):
        return "a list"
    if isinstance(node, Refused):
        return "an alias"
    if node.value is None:
        return "nothing"
    if isinstance(node.value, bool):
        return show(node.text) + " (true or false)"
    return show(node.text) if isinstance(node.value, str) else f"{show(node.text)} (a number)"


def wrong(node: Node, faults: Faults, hint: str) -> At | None:
    """Reports a value of the wrong kind or form (not where a fault was reported already); there is no value then."""
    if not isinstance(node, Refused):
        faults.add(node.mark, f"{kind(node)} does not fit here", hint)
    return None


# --- words -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Text:
    """Free text: one or more characters that are not all spaces, none of them a control or a direction mark."""

    pattern: str = r"[\s\S]*\S[\s\S]*"
    hint: str = "text with something in it"
    lower: bool = False

    def read(self, node: Node, faults: Faults) -> At | None:
        if not isinstance(node, Scalar) or not isinstance(node.value, str):
            number = isinstance(node, Scalar) and isinstance(node.value, bool | int | float)
            return wrong(node, faults, f"{self.hint}; quote numbers" if number else self.hint)
        text = " ".join(node.value.split())  # a block of several lines is one line in reports
        unseen = next((char for char in text if not char.isprintable()), None)
        if unseen is not None:
            return wrong(node, faults, f"the same without character U+{ord(unseen):04X}, which nobody sees")
        if len(node.value) > MAX_TEXT:
            return wrong(node, faults, f"at most {MAX_TEXT} characters")
        if not re.fullmatch(self.pattern, text):
            return wrong(node, faults, self.hint)
        return At(text.lower() if self.lower else text, node.mark)

    def schema(self) -> Schema:
        return {"type": "string", "minLength": 1, "maxLength": MAX_TEXT, "pattern": f"^\\s*({self.pattern})\\s*$"}


@dataclass(frozen=True, slots=True)
class Host:
    """A fully qualified DNS name; read in lower case and without a final dot."""

    wildcard: bool = False

    def read(self, node: Node, faults: Faults) -> At | None:
        hint = "a full DNS name such as sip.contoso.com" + (", or *.contoso.com" if self.wildcard else "")
        if not isinstance(node, Scalar) or not isinstance(node.value, str):
            return wrong(node, faults, hint)
        text = node.value
        if not re.fullmatch(self._pattern(), text) or len(text.removesuffix(".")) > MAX_NAME:
            return wrong(node, faults, hint)
        return At(text.lower().removesuffix("."), node.mark)

    def _pattern(self) -> str:
        return (r"(\*\.)?" if self.wildcard else "") + HOST

    def schema(self) -> Schema:
        return {"type": "string", "maxLength": MAX_NAME + 1, "pattern": f"^{self._pattern()}$"}


@dataclass(frozen=True, slots=True)
class Choice:
    """One of a few words. Words that look like numbers ("1.0") may stand unquoted."""

    words: tuple[str, ...]

    def read(self, node: Node, faults: Faults) -> At | None:
        value = node.value if isinstance(node, Scalar) else None
        for word in self.words:
            if value == word or (_is_number(value) and _number_of(word) == value):
                return At(word, node.mark)
        hint = "one of " + ", ".join(self.words)
        return wrong(node, faults, faults.near(value, self.words, hint) if isinstance(value, str) else hint)

    def schema(self) -> Schema:
        numbers = [number for word in self.words if (number := _number_of(word)) is not None]
        return {"enum": [*self.words, *numbers]}


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _number_of(word: str) -> float | None:
    return float(word) if re.fullmatch(r"[0-9]+(\.[0-9]+)?", word) else None


@dataclass(frozen=True, slots=True)
class Flag:
    def read(self, node: Node, faults: Faults) -> At | None:
        if isinstance(node, Scalar) and isinstance(node.value, bool):
            return At(node.value, node.mark)
        return wrong(node, faults, "true or false")

    def schema(self) -> Schema:
        return {"type": "boolean"}


@dataclass(frozen=True, slots=True)
class Number:
    """A number between two bounds, both included unless `above` says that the lower one is not."""

    least: float
    most: float
    whole: bool = False
    above: bool = False

    def read(self, node: Node, faults: Faults) -> At | None:
        value = node.value if isinstance(node, Scalar) else None
        if isinstance(value, int | float) and not isinstance(value, bool):
            fits = self.least < value <= self.most if self.above else self.least <= value <= self.most
            if fits and (not self.whole or value == int(value)):
                return At(int(value) if value == int(value) else value, node.mark)
        bounds = f"{self.least:g} to {self.most:g}" if not self.above else f"above {self.least:g}, to {self.most:g}"
        return wrong(node, faults, f"a{' whole' if self.whole else ''} number, {bounds}")

    def schema(self) -> Schema:
        lower = "exclusiveMinimum" if self.above else "minimum"
        return {"type": "integer" if self.whole else "number", lower: self.least, "maximum": self.most}


PORT: Final = Number(1, 65535, whole=True)


@dataclass(frozen=True, slots=True)
class Span:
    """A range of ports, "first-last"."""

    def read(self, node: Node, faults: Faults) -> At | None:
        text = node.value if isinstance(node, Scalar) else None
        found = re.fullmatch(_RANGE, text) if isinstance(text, str) else None
        if found:
            first, last = int(found[1]), int(found[2])
            if first <= last <= 65535:
                return At(PortRange(first, last), node.mark)
        return wrong(node, faults, 'a port range, low to high, such as "50000-59999"')

    def schema(self) -> Schema:
        return {"type": "string", "pattern": f"^{_RANGE}$"}


@dataclass(frozen=True, slots=True)
class PortOrSpan:
    def read(self, node: Node, faults: Faults) -> At | None:
        if isinstance(node, Scalar) and isinstance(node.value, str):
            return Span().read(node, faults)
        port = PORT.read(node, faults)
        return None if port is None else At(PortRange(port.value, port.value), port.mark)

    def schema(self) -> Schema:
        return {"anyOf": [PORT.schema(), Span().schema()]}


@dataclass(frozen=True, slots=True)
class Day:
    """A date, or a time; without a zone it is UTC."""

    def read(self, node: Node, faults: Faults) -> At | None:
        text = node.value if isinstance(node, Scalar) else None
        try:
            if isinstance(text, str) and re.fullmatch(_DATE, text):
                return At(date.fromisoformat(text), node.mark)
            if isinstance(text, str) and re.fullmatch(_DATE + _TIME, text):
                moment = datetime.fromisoformat(text.upper().replace(" ", "T", 1).replace(" ", ""))
                moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
                return At(moment, node.mark)
        except (ValueError, OverflowError):  # 31 February; a zone that leads out of the years 1 to 9999
            pass
        return wrong(node, faults, "a date such as 2027-01-01, or a time such as 2027-01-01T12:00:00Z")

    def schema(self) -> Schema:
        return {"type": "string", "pattern": f"^{_DATE}({_TIME})?$"}


# --- addresses -------------------------------------------------------------------------------------------------------


def host_address(text: str) -> Address | None:
    """An address that one host can have; None for anything else."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and (address.scope_id is not None or address.ipv4_mapped is not None):
        return None
    refused = address.is_multicast or address.is_loopback or address.is_unspecified or address.is_link_local
    return None if refused or text == "255.255.255.255" else address


@dataclass(frozen=True, slots=True)
class OneAddress:
    def read(self, node: Node, faults: Faults) -> At | None:
        text = node.value if isinstance(node, Scalar) else None
        address = host_address(text) if isinstance(text, str) else None
        if address is not None:
            return At(address, node.mark)
        return wrong(node, faults, "the IPv4 or IPv6 address of a host, such as 203.0.113.10")

    def schema(self) -> Schema:
        return {"type": "string", "anyOf": [{"format": "ipv4"}, {"format": "ipv6"}]}


def network(text: str) -> Network | None:
    """A network in CIDR notation without host bits, or a single address; None for anything else."""
    try:
        return ip_network(text) if "%" not in text and re.fullmatch(r"[0-9A-Fa-f:.]+(/[0-9]{1,3})?", text) else None
    except ValueError:
        return None


@dataclass(frozen=True, slots=True)
class OneNetwork:
    def read(self, node: Node, faults: Faults) -> At | None:
        text = node.value if isinstance(node, Scalar) else None
        if isinstance(text, str):
            found = network(text)
            if found is not None and found.prefixlen > 0:
                return At(found, node.mark)
            return wrong(node, faults, self._hint(text))
        return wrong(node, faults, "a network such as 203.0.113.0/25")

    @staticmethod
    def _hint(text: str) -> str:
        try:
            loose = ip_network(text, strict=False)
        except ValueError:
            return "a network such as 203.0.113.0/25"
        return f"{loose}" if loose.prefixlen else "a network smaller than all addresses"

    def schema(self) -> Schema:
        return {"type": "string", "pattern": "^[0-9A-Fa-f:.]+(/[0-9]{1,3})?$"}


# --- compositions ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Many:
    """A list; with `or_one` a single item may stand for a list of one. Read as a tuple of At."""

    item: Shape
    least: int = 0
    or_one: bool = False

    def read(self, node: Node, faults: Faults) -> At | None:
        if isinstance(node, Sequence):
            if len(node.items) < self.least:
                faults.add(node.mark, "an empty list", "at least one entry")
                return None
            read = [self.item.read(item, faults) for item in node.items]
            return At(tuple(item for item in read if item is not None), node.mark)
        if self.or_one and not isinstance(node, Refused):
            one = self.item.read(node, faults)
            return None if one is None else At((one,), node.mark)
        return wrong(node, faults, "a list")

    def schema(self) -> Schema:
        listed: Schema = {"type": "array", "items": self.item.schema()}
        if self.least:
            listed["minItems"] = self.least
        return {"anyOf": [self.item.schema(), listed]} if self.or_one else listed


@dataclass(frozen=True, slots=True)
class Either:
    """A mapping of one shape, or anything else of another."""

    mapping: Shape
    other: Shape

    def read(self, node: Node, faults: Faults) -> At | None:
        return (self.mapping if isinstance(node, Mapping) else self.other).read(node, faults)

    def schema(self) -> Schema:
        other = self.other.schema()
        return {"anyOf": [self.mapping.schema(), *(other["anyOf"] if set(other) == {"anyOf"} else [other])]}


@dataclass(frozen=True, slots=True)
class Key:
    """A key of a mapping. `about` says what it is for, in a sentence fragment; `default` is what absence means."""

    name: str
    shape: Shape
    about: str
    required: bool = False
    default: Any = None

    def schema(self) -> Schema:
        described = self.shape.schema()
        if not self.required:
            described = _nullable(described)
        described = {"description": self.about, **described}
        return described if self.default is None else {**described, "default": self.default}


def _nullable(schema: Schema) -> Schema:
    """An empty value of an optional key means that there is none."""
    if "enum" in schema:
        return {**schema, "enum": [*schema["enum"], None]}
    if isinstance(schema.get("type"), str) and "anyOf" not in schema:
        return {**schema, "type": [schema["type"], "null"]}
    if set(schema) == {"anyOf"}:
        return {"anyOf": [*schema["anyOf"], {"type": "null"}]}
    return {"anyOf": [schema, {"type": "null"}]}


@dataclass(frozen=True, slots=True)
class Keys:
    """A mapping with known keys. Read as a dict of At, without the keys that are absent, empty or wrong."""

    keys: tuple[Key, ...]
    some: bool = False  # at least one of the keys must be there
    refused: tuple[tuple[str, str], ...] = ()  # names that somebody will try, and what would be right

    def read(self, node: Node, faults: Faults) -> At | None:
        if not isinstance(node, Mapping):
            return wrong(node, faults, "a mapping with the keys " + ", ".join(key.name for key in self.keys))
        known = {key.name: key for key in self.keys}
        seen: dict[str, Mark] = {}
        result: dict[str, At] = {}
        written: set[str] = set()
        for name, value in unique(node, seen, faults):
            key = known.get(name.text)
            if key is None:
                right = dict(self.refused).get(name.text)
                hint = right or faults.near(name.text, known, "known here: " + ", ".join(known))
                faults.add(name.mark, f"unknown key {show(name.text)}", hint)
            elif isinstance(value, Scalar) and value.value is None:
                if key.required:
                    faults.add(value.mark, f"{key.name} is empty", key.about)
            else:
                written.add(key.name)
                inner = _siblings(key, value, known) if isinstance(value, Mapping) else []
                if inner:
                    example = ", ".join([f"{key.name}: true", *(f"{name}: …" for name in inner)])
                    wrong(value, faults, f"true or false, and what stands in it beside it: {example}")
                    continue
                read = key.shape.read(value, faults)
                if read is not None:
                    result[key.name] = read
        for key in self.keys:
            if key.required and key.name not in seen:
                faults.add(node.mark, f"{key.name} is missing", key.about)
        if self.some and not any(key.name in seen for key in self.keys):
            faults.add(node.mark, "an empty mapping", "one of " + ", ".join(known))
        return At(result, node.mark, frozenset(written))

    def schema(self) -> Schema:
        schema: Schema = {
            "type": "object",
            "properties": {key.name: key.schema() for key in self.keys},
            "additionalProperties": False,
        }
        required = [key.name for key in self.keys if key.required]
        if required:
            schema["required"] = required
        if self.some:
            schema["minProperties"] = 1
        return schema


def _siblings(key: Key, value: Mapping, known: dict[str, Key]) -> list[str]:
    """Names in a mapping that somebody gave to a switch, and that belong beside it."""
    if not isinstance(key.shape, Flag):
        return []
    return list(dict.fromkeys(name.text for name, _ in value.entries if name.text in known and name.text != key.name))


@dataclass(frozen=True, slots=True)
class Named:
    """A mapping whose keys are data. Read as a dict from key to At; `keys` is what a schema says of the names."""

    value: Shape
    keys: Schema | None = None

    def read(self, node: Node, faults: Faults) -> At | None:
        if not isinstance(node, Mapping):
            return wrong(node, faults, "a mapping")
        result: dict[str, tuple[At, At]] = {}
        for name, value in unique(node, {}, faults):
            read = self.value.read(value, faults)
            if read is not None:
                result[name.text] = (At(name.text, name.mark), read)
        return At(result, node.mark)

    def schema(self) -> Schema:
        schema: Schema = {"type": "object", "additionalProperties": self.value.schema()}
        return schema if self.keys is None else {**schema, "propertyNames": self.keys}


def unique(node: Mapping, seen: dict[str, Mark], faults: Faults) -> list[tuple[Scalar, Node]]:
    """The entries of a mapping without repeated keys, which are reported; `seen` is filled with the names."""
    entries = []
    for name, value in node.entries:
        if name.text in seen:
            faults.add(
                name.mark, f"duplicate key {show(name.text)}", f"once; it already stands in line {seen[name.text].line}"
            )
        else:
            seen[name.text] = name.mark
            entries.append((name, value))
    return entries
