"""The drawing of a site as SVG: a picture of its own, without script, font or link to anything.

Strategy: stripes from top to bottom, boxes of a stripe side by side while the page holds them, one line of a box's
table under the other. Arrows run in space that is kept for them (`reports.drawing_arrows`): below the row they leave,
above the row they reach, and down where no box stands; they cross firewalls only. Titles that are wider than the page
go on below. Text is escaped here and was made visible by `reports.drawing`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

from reports.drawing import Box, Scene, Stripe, cells, folded
from reports.drawing_arrows import CHAR, TIP, Area, Arrows, Placed

_LINE: Final = 17
_PAD: Final = 10
_GAP: Final = 26
_PAGE: Final = 1180  # px: boxes go to the next row where they would pass it; a wide box makes the page wider
_STYLE: Final = """
text { font: 12px "DejaVu Sans Mono", "Liberation Mono", Menlo, Consolas, monospace; fill: #1c2733; white-space: pre; }
.title { font-weight: bold; font-size: 16px; } .head { font-weight: bold; }
.zone, .label, .nonename { paint-order: stroke; stroke: #f4f6f8; stroke-width: 4px; } .zone { fill: #4a5b6c; }
.box { fill: #ffffff; stroke: #6b7d8f; } .wall { fill: #b4472e; }
.none { fill: none; stroke: #b4472e; stroke-dasharray: 6 5; }
.wallname { fill: #ffffff; font-weight: bold; } .nonename { fill: #b4472e; font-weight: bold; }
.arrow { fill: none; stroke: #2a6fb0; stroke-width: 1.6; stroke-linejoin: round; } .label { fill: #2a6fb0; }
"""


@dataclass(frozen=True, slots=True)
class _Line:
    """A line of a title, at the foot of its letters."""

    x: float
    y: float
    text: str
    style: str

    @property
    def area(self) -> Area:
        return self.x, self.y - 12, cells(self.text) * CHAR, 16


def draw_svg(drawn: Scene) -> str:
    arrows = Arrows(drawn)
    rows = {id(stripe): list(_rows(stripe.boxes, arrows)) for stripe in drawn.stripes}
    ends = [item.x + item.width for found in rows.values() for row in found for item in row]
    page = max([_PAGE, *ends])
    placed: list[Placed] = []
    titles: list[_Line] = []
    walls: list[tuple[Stripe, float, float]] = []  # with upper edge and height
    y = 28.0
    for line in folded(drawn.title, int((page - 20) / (CHAR * 4 / 3))):
        titles.append(_Line(20, y, line, "title"))
        y += 18
    for line in folded(drawn.about, int((page - 20) / CHAR)):
        titles.append(_Line(20, y, line, "zone"))
        y += _LINE
    y -= 3
    for stripe in drawn.stripes:
        lines = folded(stripe.title, int((page - 28) / CHAR))
        if stripe.wall:
            high = _LINE * (len(lines) + 1)
            walls.append((stripe, y, high))
            style = "nonename" if stripe.dashed else "wallname"
            titles += [_Line(24, y + 21 + place * _LINE, line, style) for place, line in enumerate(lines)]
            y += high + _GAP
            continue
        titles += [_Line(20, y + 12 + place * _LINE, line, "zone") for place, line in enumerate(lines)]
        y += _LINE * len(lines) + 6
        for row in rows[id(stripe)]:
            y += arrows.above(row)
            foot = y + max(item.height for item in row)
            placed += [Placed(item.box, item.x, y, item.width, item.height, y, foot) for item in row]
            y = foot + arrows.below(row) + _GAP
    # a firewall hides the line that passes it, and a title that fills the page cannot be avoided
    avoided = [line.area for line in titles if line.style != "wallname" and line.area[2] < page / 2]
    ways, labels, right = arrows.drawn(placed, avoided)
    width = max(page, right) + 20
    head = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {y:.0f}" width="{width:.0f}" '
        f'height="{y:.0f}" role="img" aria-label="{escape(drawn.title)}">',
        f"<style>{_STYLE}</style>",
        f'<defs><marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="{TIP}" markerHeight="{TIP}" '
        'markerUnits="userSpaceOnUse" orient="auto"><path d="M0,0 L8,4 L0,8 z" fill="#2a6fb0"/></marker></defs>',
        f'<rect width="{width:.0f}" height="{y:.0f}" fill="#f4f6f8"/>',
    ]
    picture = [f'<path class="arrow" marker-end="url(#tip)" d="{way}"/>' for way in ways]
    picture += [_text(x, top, text, "label") for x, top, text in labels]  # before the boxes: their rims stay whole
    for stripe, top, height in walls:
        style = "none" if stripe.dashed else "wall"
        picture.append(
            f'<rect class="{style}" x="12" y="{top:.0f}" width="{width - 24:.0f}" height="{height}" rx="3"/>'
        )
    for item in placed:
        picture += _box(item)
    picture += [_text(line.x, line.y, line.text, line.style) for line in titles]
    return "\n".join([*head, *picture, "</svg>"]) + "\n"


def _rows(boxes: Sequence[Box], arrows: Arrows) -> Iterator[list[Placed]]:
    """Boxes side by side, as many as the page holds."""
    row: list[Placed] = []
    x = 20.0
    for box in boxes:
        lines = (box.title, *box.lines())
        width = max(max(map(cells, lines)) * CHAR + 2 * _PAD, arrows.foot(box))
        if row and x + width > _PAGE:
            yield row
            row, x = [], 20.0
        row.append(Placed(box, x, 0, width, len(lines) * _LINE + 2 * _PAD - 4))
        x += width + _GAP
    if row:
        yield row


def _box(item: Placed) -> Iterator[str]:
    yield (
        f'<rect class="box" x="{item.x:.1f}" y="{item.y:.1f}" width="{item.width:.1f}" height="{item.height:.1f}" '
        'rx="4"/>'
    )
    heads = {0, 1 + len(item.box.facts)} if item.box.rows else {0}
    for place, line in enumerate((item.box.title, *item.box.lines())):
        y = item.y + _PAD + 10 + place * _LINE
        yield _text(item.x + _PAD, y, line, "head" if place in heads else "")


def _text(x: float, y: float, text: str, style: str) -> str:
    kind = f' class="{style}"' if style else ""
    return f'<text{kind} x="{x:.1f}" y="{y:.1f}" xml:space="preserve">{escape(text)}</text>'
