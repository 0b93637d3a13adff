"""Where the arrows of a drawing run: from the foot of one box to the head of another, through nothing that is written.

Strategy: lines are straight pieces in space kept for them. Each row of boxes gets room below it for the arrows that
leave it, with their labels, and room above it for those that reach it, a lane each. Between the two a line goes down
where no box stands: straight on where it can, else at the nearest side of what is in its way.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from reports.drawing import Arrow, Box, Scene, cells

CHAR: Final = 7.3  # px: width of a character at 12 px in the usual monospaced fonts, rounded up
TIP: Final = 10  # px: length of an arrow's head
LABEL: Final = 20  # px below a row in which the labels of its arrows stand
LANE: Final = 7  # px between lines side by side
_ASIDE: Final = 10  # px between a line and a box that it passes
_FIRST: Final = 30  # px from the corner of a box to its first arrow
_APART: Final = 20  # px between a label and the next arrow, and between the heads of arrows at one box


_LEFT: Final = 24  # px: firewalls begin a little before

Area = tuple[float, float, float, float]
"""Left edge, upper edge, width, height."""

Line = tuple[float, float, float]
"""A line that goes down: at which x, from and to which y."""


@dataclass(frozen=True, slots=True)
class Placed:
    """A box in its place, and the row that it stands in: `top` and `foot` of all its boxes."""

    box: Box
    x: float
    y: float
    width: float
    height: float
    top: float = 0
    foot: float = 0

    def holds(self, name: str) -> bool:
        return name == self.box.key or name in self.box.members


class Arrows:
    def __init__(self, drawn: Scene) -> None:
        boxes = [box for stripe in drawn.stripes for box in stripe.boxes]
        self._boxes = {name: box for box in boxes for name in (box.key, *box.members) if name}
        self._all = [a for a in drawn.arrows if a.source in self._boxes and a.destination in self._boxes]
        self._taken: list[Line] = []

    def foot(self, box: Box) -> float:
        """Width that the arrows which leave a box need at its foot, side by side with their labels between them."""
        leaving = [arrow for arrow in self._all if arrow.source == box.key]
        return _FIRST + sum(map(_wide, leaving))

    def below(self, row: Sequence[Placed]) -> float:
        """Room that a row needs below it."""
        count = sum(item.holds(arrow.source) for arrow in self._all for item in row)
        return LABEL + LANE * count if count else 0

    def above(self, row: Sequence[Placed]) -> float:
        """Room that a row needs above it."""
        count = sum(item.holds(arrow.destination) for arrow in self._all for item in row)
        return TIP + 4 + LANE * count if count else 0

    def drawn(
        self, placed: Sequence[Placed], written: Sequence[Area]
    ) -> tuple[list[str], list[tuple[float, float, str]], float]:
        """Paths, labels with their places, and how far to the right the lines go. written: what else they avoid."""
        areas = [*written, *((item.x, item.y, item.width, item.height) for item in placed)]
        at = {name: item for item in placed for name in self._boxes if item.holds(name)}
        heads = self._heads(at)
        started: dict[str, float] = {}
        left: Counter[float] = Counter()  # lines that leave a row, by its foot
        ways, labels, right = [], [], 0.0
        for number, arrow in enumerate(self._all):
            one, other = at[arrow.source], at[arrow.destination]
            x = started.get(arrow.source, one.x + _FIRST)
            started[arrow.source] = x + _wide(arrow)
            labels.append((x + 5, one.y + one.height + 13, arrow.label))
            turn = one.foot + LABEL + LANE * left[one.foot]
            left[one.foot] += 1
            end, lane, _ = heads[number]
            way = self._down(x, turn, lane, areas, [*heads[:number], *heads[number + 1 :]])
            self._taken.append((way, turn, lane))
            right = max(right, way + _ASIDE)
            ways.append(
                f"M{x:.0f},{one.y + one.height:.0f} V{turn:.0f} H{way:.0f} V{lane:.0f} H{end:.0f} V{other.y:.0f}"
            )
        return ways, labels, right

    def _heads(self, at: dict[str, Placed]) -> list[Line]:
        """Where each arrow comes down on its box, side by side, from a lane of its own."""
        boxes = [at[arrow.destination] for arrow in self._all]
        count = Counter((box.x, box.y) for box in boxes)
        reached: Counter[tuple[float, float]] = Counter()
        lanes: Counter[float] = Counter()  # lines that reach a row, by its top
        heads = []
        for box in boxes:
            place = (box.x, box.y)
            apart = min(_APART, (box.width - 2 * TIP) / count[place])
            end = box.x + box.width / 2 + apart * (reached[place] - (count[place] - 1) / 2)
            heads.append((end, box.top - TIP - 4 - LANE * lanes[box.top], box.y))
            reached[place] += 1
            lanes[box.top] += 1
        return heads

    def _down(self, x: float, top: float, foot: float, areas: Sequence[Area], lines: Sequence[Line]) -> float:
        """The place nearest to `x` where a line can go down between two heights, past areas and other lines."""
        barred: list[tuple[float, float]] = [(-math.inf, _LEFT)]
        barred += [
            (left - _ASIDE, left + wide + _ASIDE) for left, y, wide, high in areas if y < foot and y + high > top
        ]
        barred += [(way - LANE, way + LANE) for way, start, end in (*self._taken, *lines) if start < foot and end > top]
        first = last = -math.inf
        for begin, end in sorted(barred):  # until the stretch that bars `x`, neighbours taken together
            if begin >= last:
                if last > x:
                    break
                first = begin
            last = max(last, end)
        if not first < x < last:
            return x
        return first if x - first <= last - x else last


def _wide(arrow: Arrow) -> float:
    return cells(arrow.label) * CHAR + 5 + _APART
