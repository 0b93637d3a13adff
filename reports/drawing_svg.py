"""The drawing of a site as SVG: a picture of its own, without script, font or link to anything.

Strategy: stripes from top to bottom, boxes of a stripe side by side while the page holds them, one line of a box's
table under the other; arrows last, over all. Text is escaped here and was made visible by `reports.drawing`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

from reports.drawing import Arrow, Box, Scene, Stripe

_CHAR: Final = 7.3  # px: width of a character at 12 px in the usual monospaced fonts, rounded up
_LINE: Final = 17
_PAD: Final = 10
_GAP: Final = 26
_PAGE: Final = 1180  # px: boxes go to the next row where they would pass it; a wide box makes the page wider
_WALL: Final = 34
_STYLE: Final = """
text { font: 12px "DejaVu Sans Mono", "Liberation Mono", Menlo, Consolas, monospace; fill: #1c2733; white-space: pre; }
.title { font-weight: bold; font-size: 16px; } .head { font-weight: bold; }
.zone, .label { paint-order: stroke; stroke: #f4f6f8; stroke-width: 4px; } .zone { fill: #4a5b6c; }
.box { fill: #ffffff; stroke: #6b7d8f; } .wall { fill: #b4472e; }
.none { fill: none; stroke: #b4472e; stroke-dasharray: 6 5; }
.wallname { fill: #ffffff; font-weight: bold; } .nonename { fill: #b4472e; font-weight: bold; }
.arrow { fill: none; stroke: #2a6fb0; stroke-width: 1.6; } .label { fill: #2a6fb0; }
"""


@dataclass(frozen=True, slots=True)
class _Placed:
    box: Box
    x: float
    y: float
    width: float
    height: float


def draw_svg(drawn: Scene) -> str:
    placed: list[_Placed] = []
    parts: list[str] = []
    y = 60.0
    walls: list[tuple[Stripe, float]] = []
    for stripe in drawn.stripes:
        if stripe.wall:
            walls.append((stripe, y))
            y += _WALL + _GAP
            continue
        parts.append(_text(20, y + 12, stripe.title, "zone"))
        y += _LINE + 6
        for row in _rows(stripe.boxes):
            placed += [_Placed(item.box, item.x, y, item.width, item.height) for item in row]
            y += max(item.height for item in row) + _GAP
    width = max([_PAGE, *(item.x + item.width for item in placed)]) + 20
    ways, labels = _between(drawn.arrows, placed)
    picture = list(ways)  # lowest: what a line passes on its way stays readable
    for stripe, top in walls:
        rect, name = ("none", "nonename") if stripe.dashed else ("wall", "wallname")
        picture.append(f'<rect class="{rect}" x="12" y="{top:.0f}" width="{width - 24:.0f}" height="{_WALL}" rx="3"/>')
        picture.append(_text(24, top + 21, stripe.title, name))
    for item in placed:
        picture += _box(item)
    head = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {y:.0f}" width="{width:.0f}" '
        f'height="{y:.0f}" role="img" aria-label="{escape(drawn.title)}">',
        f"<style>{_STYLE}</style>",
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
        '<path d="M0,0 L8,4 L0,8 z" fill="#2a6fb0"/></marker></defs>',
        f'<rect width="{width:.0f}" height="{y:.0f}" fill="#f4f6f8"/>',
        _text(20, 28, drawn.title, "title"),
        _text(20, 46, drawn.about, "zone"),
    ]
    return "\n".join([*head, *picture, *parts, *labels, "</svg>"]) + "\n"


def _rows(boxes: Sequence[Box]) -> Iterator[list[_Placed]]:
    """Boxes side by side, as many as the page holds."""
    row: list[_Placed] = []
    x = 20.0
    for box in boxes:
        lines = (box.title, *box.lines())
        width = max(len(line) for line in lines) * _CHAR + 2 * _PAD
        if row and x + width > _PAGE:
            yield row
            row, x = [], 20.0
        row.append(_Placed(box, x, 0, width, len(lines) * _LINE + 2 * _PAD - 4))
        x += width + _GAP
    if row:
        yield row


def _box(item: _Placed) -> Iterator[str]:
    yield (
        f'<rect class="box" x="{item.x:.1f}" y="{item.y:.1f}" width="{item.width:.1f}" height="{item.height:.1f}" '
        'rx="4"/>'
    )
    heads = {0, 1 + len(item.box.facts)} if item.box.rows else {0}
    for place, line in enumerate((item.box.title, *item.box.lines())):
        y = item.y + _PAD + 10 + place * _LINE
        yield _text(item.x + _PAD, y, line, "head" if place in heads else "")


def _between(arrows: Sequence[Arrow], placed: Sequence[_Placed]) -> tuple[list[str], list[str]]:
    """(lines, their labels) from the foot of one box to the head of another; those of one box start side by side."""
    at = {item.box.key: item for item in placed if item.box.key}
    begun: dict[str, int] = {}
    ways, labels = [], []
    for arrow in arrows:
        one, other = at.get(arrow.source), at.get(arrow.destination)
        if one is None or other is None:
            continue
        turn = begun[arrow.source] = begun.get(arrow.source, 0) + 1
        x, y = one.x + min(one.width - 20, 40 + 100 * (turn - 1)), one.y + one.height
        end = other.x + other.width / 2 + 24 * (turn - 1)
        ways.append(
            f'<path class="arrow" marker-end="url(#tip)" d="M{x:.0f},{y:.0f} C{x:.0f},{y + 40:.0f} {end:.0f},'
            f'{other.y - 40:.0f} {end:.0f},{other.y:.0f}"/>'
        )
        labels.append(_text(x + 5, y + 14, arrow.label, "label"))
    return ways, labels


def _text(x: float, y: float, text: str, style: str) -> str:
    kind = f' class="{style}"' if style else ""
    return f'<text{kind} x="{x:.1f}" y="{y:.1f}" xml:space="preserve">{escape(text)}</text>'
