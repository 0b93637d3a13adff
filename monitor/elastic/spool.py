"""`--store https://…` for what is written: a record of this machine that is shipped before the command ends.

Strategy: the cluster is never written to directly. What is found goes into a file in the state folder first, one for
each cluster and namespace, and the outbox ships that; a cluster that is away costs the shipping and not the audit, and
the next command with the same URL ships what is left.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from monitor.elastic.cluster import Target
from monitor.exit_status import DONE, FAILURE, MISTAKE, OperatorMistake, OutOfReach
from monitor.store.location import prepare_default, state_folder

if TYPE_CHECKING:
    from monitor.cli.messages import Messages
    from monitor.store.entry import Capture


PAUSES: Final = (0.5, 1.5)
"""Seconds after an attempt that failed: what passes by itself mostly has by then, and nobody waits long for what does
not."""


def path_of(target: Target) -> str:
    """The file for a cluster and namespace, in the state folder."""
    text = "\x1f".join((*sorted(target.hosts), target.namespace))
    return os.path.join(state_folder(), f"spool-{hashlib.sha256(text.encode()).hexdigest()[:16]}.db")


def begin(target: Target, messages: Messages) -> str:
    """The file to write into, before the work is done: what was left in it is shipped, which also finds a wrong
    password or certificate. Raises OperatorMistake, OutputFailure."""
    from monitor.elastic.outbox import Outbox
    from monitor.store.sqlite import check_writable

    path = path_of(target)
    prepare_default(path)
    check_writable(path)
    try:
        with Outbox(path, target) as outbox:
            outbox.ship()
    except OutOfReach as error:
        messages.warning(f"{error}; what is found is kept in {path}")
    return path


def ship(path: str, target: Target, messages: Messages) -> int:
    """Ship all that the file holds; the status of that, with a sentence where something stays behind."""
    from monitor.elastic.outbox import Outbox

    try:
        with Outbox(path, target) as outbox:
            for pause in PAUSES:
                try:
                    outbox.ship()
                    break
                except OutOfReach:  # busy, or a stream that is just being made
                    time.sleep(pause)
            else:
                outbox.ship()
            outbox.refresh()
            dead = outbox.dead()
    except (OutOfReach, OperatorMistake) as error:
        messages.error(f"{error}; what was recorded stays in {path}, and the next --store {target.name} ships it")
        return FAILURE if isinstance(error, OutOfReach) else MISTAKE
    if dead:
        messages.warning(f"{target.name} refused {dead} rows; `edgewarden elastic status --store …` says why")
    return DONE


def known_there(target: Target, captures: Sequence[Capture]) -> list[int]:
    """Places of the captures that other machines shipped; none where the cluster is away: reading sorts that out."""
    from monitor.elastic.reading import NothingThere, fetched
    from monitor.store.writing import Record

    try:
        with fetched(target, captures=[capture.sha256 for capture in captures]) as connection:
            return Record(target.name, connection).known(captures)
    except (NothingThere, OutOfReach):
        return []
