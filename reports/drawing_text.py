"""The drawing of a site for a terminal: stripes from the Internet down, firewalls as double lines, boxes of a width.

Strategy: a box whose table is wider than the terminal shows each row as lines of its own, a column a line; what is
longer even so goes on in the next line. Nothing is cut off, as an address cut short is another address.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from reports.drawing import Box, Scene, cells, folded, padded

NARROWEST: Final = 40
"""Columns that are used at least: boxes of a narrower terminal would be all frame."""

_FRAME: Final = 7  # columns of a box that hold no text
_INDENT: Final = "  "  # of a line that goes on from the one above


def draw_text(drawn: Scene, width: int) -> str:
    """At most `width` columns, where that is not fewer than NARROWEST."""
    room = max(width, NARROWEST)
    boxes = {id(box): _lines(box, room - _FRAME) for stripe in drawn.stripes for box in stripe.boxes}
    titles = {id(stripe): folded(stripe.title, room - 6 if stripe.wall else room, _INDENT) for stripe in drawn.stripes}
    widest = max([cells(line) + 6 for title in titles.values() for line in title])
    widest = max([widest, *(cells(line) + _FRAME - 1 for lines in boxes.values() for line in lines)])
    lines = [*folded(f"{drawn.title}: {drawn.about}", room, _INDENT), ""]
    for stripe in drawn.stripes:
        if stripe.wall:
            rule = "╌" if stripe.dashed else "═"
            for line in titles[id(stripe)]:
                text = f"{rule * 2} {line} "
                lines.append(text + rule * (min(widest, room) - cells(text)))
            lines.append("")
            continue
        lines += [*titles[id(stripe)], ""]
        for box in stripe.boxes:
            title, *inner = boxes[id(box)]
            span = max(cells(line) for line in (title, *inner))
            lines.append(f"  ┌─ {title} {'─' * (span - cells(title))}┐")
            lines += [f"  │ {padded(line, span)}  │" for line in inner]
            lines += [f"  └{'─' * (span + 3)}┘"]
        lines.append("")
    for arrow in drawn.arrows:
        first, *rest = folded(f"{arrow.source} ─▶ {arrow.destination}: {arrow.label}", room - 4, _INDENT)
        lines += [f"  {first}", *(f"    {line}" for line in rest)]
    return "\n".join(lines).rstrip() + "\n"


def _lines(box: Box, room: int) -> list[str]:
    """Title and text of a box, none longer than there is room for."""
    found = [box.title, *box.lines()]
    if max(map(cells, found)) > room and box.rows:
        found = [box.title, *box.facts, *_upright(box)]
    title, *rest = found
    head, *more = folded(title, room, _INDENT)
    return [head, *more, *(part for line in rest for part in folded(line, room, _INDENT))]


def _upright(box: Box) -> Iterator[str]:
    """The table with a line for each column of each row; a row is told by its first cell."""
    heads = box.columns[1:]
    wide = max(map(cells, heads))
    for row in box.rows:
        yield ", ".join(row[0])
        for head, cell in zip(heads, row[1:], strict=True):
            for place, text in enumerate(cell):
                yield f"  {padded('' if place else head, wide)}  {text}"
