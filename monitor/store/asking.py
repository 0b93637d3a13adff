"""The record that questions are asked of, wherever it is: a file here, or what a cluster holds, as a record again."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from monitor.elastic.cluster import Target
from monitor.store.sqlite import reading


@contextmanager
def asking(store: str | Target, window: tuple[int | None, int | None] = (None, None)) -> Iterator[sqlite3.Connection]:
    """store: the path of a file, or a cluster. window: the question is about nothing outside it (from, to).

    Raises OperatorMistake, OutputFailure, OutOfReach.
    """
    if isinstance(store, str):
        with reading(store) as connection:
            yield connection
    else:
        from monitor.elastic.reading import fetched

        with fetched(store, window) as connection:
            yield connection
