"""An audit into the record, each capture once.

Strategy: an audit is written whole or not at all. Where some of its captures were recorded before, the others are
judged again by themselves and that is written, since flows that run from one capture into the next cannot be taken
apart afterwards. The record itself says what it knows, inside the transaction, so two audits of the same captures at
the same time count them once, too.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from monitor.aggregate import Aggregate
from monitor.audit import Audit
from monitor.capture_arguments import CaptureArgument
from monitor.exit_status import OperatorMistake
from monitor.replay import Replay
from monitor.store.entry import Capture, Evidence, entry_of, figures
from monitor.store.sqlite import open_record
from monitor.sums import QUARTER

NAMED: Final = 3
"""Captures that a message names; the others are counted."""


def record(
    path: str,
    outcome: Audit,
    window: tuple[int | None, int | None],
    evidence: Mapping[str, Evidence],
    again: Callable[[Sequence[CaptureArgument]], Audit],
    elsewhere: Callable[[Sequence[Capture]], list[int]] = lambda captures: [],
) -> list[str]:
    """Write the audit; sentences about what was left out. again: judges some of the captures by themselves. elsewhere:
    places of those that another record holds beside which this one is read.

    Raises OperatorMistake, OutputFailure; then nothing was written.
    """
    left_out: list[str] = []
    opened = open_record(path, writing=True)
    try:
        while captures := figures(outcome):
            entry = entry_of(outcome, window, evidence)
            known = set(elsewhere(entry.captures) or opened.add(entry, time.time_ns()))
            if not known:
                break
            left_out += [captures[place].path for place in sorted(known)]
            rest = [capture.argument for place, capture in enumerate(captures) if place not in known]
            for argument in rest:
                _must_be_file(path, argument)
            outcome = again(rest)
    finally:
        opened.close()
    sentences = [_sentence(path, left_out)] if left_out else []
    return [
        *sentences,
        *(_coarse(replay, aggregate) for replay, aggregate in outcome.runs if aggregate.grain > QUARTER),
    ]


def _sentence(path: str, left_out: Sequence[str]) -> str:
    more = f" and {len(left_out) - NAMED} more" if len(left_out) > NAMED else ""
    was = "was" if len(left_out) == 1 else "were"
    return (
        f"{path}: {', '.join(left_out[:NAMED])}{more} {was} recorded before: the same capture counts once, "
        "as it was judged then"
    )


def _coarse(replay: Replay, aggregate: Aggregate) -> str:
    hours = aggregate.grain / (4 * QUARTER)
    return (
        f"{replay.sensor.label}: so many kinds of flows over so long a time that the record keeps them by {hours:g} "
        "hours instead of quarters: what it says of single days may be off by flows near their ends"
    )


def _must_be_file(path: str, argument: CaptureArgument) -> None:
    if argument.path == "-" or not stat.S_ISREG(os.stat(argument.path).st_mode):
        raise OperatorMistake(
            f"{path}: nothing was recorded: some of these captures are in the record already, and {argument.shown} "
            "cannot be read again to count it without them: audit it alone"
        )
