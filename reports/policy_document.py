"""The shipped policy as one Markdown page, docs/policy.md: every path and every rule, with all that is known of it.

Strategy: pure over the table of rows, the catalogue of rules and the description of keys; `tools/policy_document.py`
writes the page and a test compares, so that it cannot say what the program does not do. The order is that of the
tables. Site-specific numbers stand as the key that sets them; `edgewarden policy explain ID` has those of a site.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from rules.catalogue import Entry, catalogue
from rules.explain import meaning, shown_ends, variants
from rules.keys import EDGE_POOL, WEB
from rules.names import PRODUCTS
from rules.remedies import REMEDIES
from rules.rows import LegSpec, Row, table
from rules.shape import Key, Keys
from rules.silence import silenced_by
from rules.sources import titles
from rules.switches import off_because
from rules.words import MEANT

_HEAD: Final = """\
# The policy

Made by `tools/policy_document.py` from the tables of the program; change those, then run it again.

What may cross the firewalls of an edge stands under [Paths](#paths), what is looked for under [Rules](#rules). How one
of them stands on your site, with its own numbers and addresses:
`edgewarden policy explain ID --topology topology.yaml`.
"""

_POSITIONS: Final = {"external": "External firewall", "internal": "Internal firewall"}


def policy_document() -> str:
    lines = [
        *_HEAD.splitlines(),
        "",
        f"Version {table().version}: {len(table().rows)} paths, {len(catalogue())} rules.",
    ]
    lines += ["", "## Paths", "", *_settable(), "", *_words()]
    for position, title in _POSITIONS.items():
        lines += ["", f"### {title}"]
        for row in table().rows:
            if row.position == position:
                lines += ["", *_row(row)]
    lines += ["", "## Rules", "", *_overview()]
    for entry in catalogue():
        lines += ["", *_rule(entry)]
    lines += ["", "## Documents", ""]
    lines += ["Pages for Lync Server 2013 unless said otherwise.", ""]
    lines += [f"- `{code}`: {title}" for code, title in titles().items()]
    return "\n".join(lines) + "\n"


# --- paths -----------------------------------------------------------------------------------------------------------


def _settable() -> Iterator[str]:
    """The keys that stand in place of numbers."""
    words = {word for row in table().rows for leg in _legs(row) for word in (*leg.ports, *leg.source_ports)}
    yield "A word such as `access.port` is a key of the Edge pool that sets the number, `web.…` one of the pool inside:"
    yield ""
    yield "| Key | Sets | Default |"
    yield "|---|---|---|"
    named: dict[str, Key] = {}
    for word in sorted(str(word) for word in words):
        found = _key(word)
        if found is not None:
            named.setdefault(_key_name(word), found)
    for name, key in named.items():
        default = ", ".join(map(str, key.default)) if isinstance(key.default, list) else key.default
        yield f"| `{name}` | {key.about} | {'as said' if default is None else default} |"


def _words() -> Iterator[str]:
    """The words at the ends of rows."""
    yield "Whom a word at the end of a path means; `edgewarden policy explain WORD --topology topology.yaml` says who"
    yield "that is on your site, and `policy ask` takes it:"
    yield ""
    yield "| Word | Means |"
    yield "|---|---|"
    for word in sorted({word for row in table().rows for leg in row.legs for word in shown_ends(leg)}):
        yield f"| `{word}` | {MEANT[word]} |"


def _key_name(word: str) -> str:
    """Without the place in a list: `management.cls_ports.0` is one of `management.cls_ports`."""
    return ".".join(word.split(".")[:2])


def _key(word: str) -> Key | None:
    """The key that a word of the table names; None: it is a number or a range."""
    section, _, rest = word.partition(".")
    if section == "web":
        keys = WEB
    else:
        holder = next((key.shape for key in EDGE_POOL.keys if key.name == section), None)
        if not isinstance(holder, Keys):
            return None
        keys = holder
    return next((key for key in keys.keys if key.name == rest.partition(".")[0]), None)


def _legs(row: Row) -> list[LegSpec]:
    return [leg for part in (row.parts or (row,)) for leg in part.legs]


def _row(row: Row) -> Iterator[str]:
    yield f"#### `{row.id}`"
    yield ""
    yield _sentence(row.purpose or "listed")
    yield ""
    for text in dict.fromkeys(_leg(leg) for leg in row.legs):
        yield f"- {text}, opened by: {row.initiator}"
    products = "all products" if set(row.products) == set(PRODUCTS) else ", ".join(row.products)
    yield f"- with {products}"
    for name in row.needs:
        yield f"- not where {off_because(name)}"
    for text in variants(row):
        yield f"- {text}"
    for code in row.documents:
        yield f"- `{code}`: {table().documents[code]}"


def _leg(leg: LegSpec) -> str:
    source, destination = shown_ends(leg)
    ports = f" {_ports(leg.ports)}" if leg.ports else ""
    origin = f", from ports {_ports(leg.source_ports)}" if leg.source_ports else ""
    spoken = "" if leg.service == "any" else f", {leg.service}"
    return f"`{source}` → `{destination}`: {leg.transport}{ports}{spoken}{origin}"


def _ports(ports: tuple[str | int, ...]) -> str:
    return ", ".join(f"`{port}`" if _key(str(port)) is not None else str(port) for port in ports)


# --- rules -----------------------------------------------------------------------------------------------------------


def _overview() -> Iterator[str]:
    yield "| Rule | Severity | Seen at |"
    yield "|---|---|---|"
    for entry in catalogue():
        note = "" if entry.rule is not None else f" ({entry.why.partition(':')[0]})"
        yield f"| [`{entry.id}`](#{entry.id}) | {entry.severity} | {', '.join(entry.positions)}{note} |"


def _rule(entry: Entry) -> Iterator[str]:
    yield f"### `{entry.id}`"
    yield ""
    yield meaning(entry)
    yield ""
    yield f"- severity: {entry.severity}"
    yield f"- seen at: {', '.join(entry.positions)}"
    if entry.rule is None:
        yield f"- {entry.why}"
    elif entry.rule.only_misses_a_row:
        yield "- silent where a path allows the flow"
    silences = sorted(silenced_by(entry.id))
    if silences:
        yield f"- silences: {_named(silences)}"
    silencers = [other.id for other in catalogue() if entry.id in silenced_by(other.id)]
    if silencers:
        yield f"- yields to: {_named(silencers)}"
    for name, ids in entry.controls:
        yield f"- {name}: {', '.join(ids)}"
    if entry.sources:
        yield f"- documents: {', '.join(f'`{code}`' for code in entry.sources)}"
    yield f"- remedy: {REMEDIES[entry.id]}"


def _named(ids: list[str]) -> str:
    return ", ".join(f"[`{name}`](#{name})" for name in ids)


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:] + "."
