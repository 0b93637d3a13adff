"""The service: keeps a handful of workers alive until told to end, and does nothing else.

Strategy: one loop over one queue of signals (`launcher`). A worker that dies gets new sockets and a new life
after a pause that doubles while its lives are short, so that what cannot work costs nothing, and what failed once is
back within a second. A mistake of the operator is not cured by trying again: told by a worker in its first minute, it
ends the service. What a worker left undone when it died stands in the record as a gap.
"""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from monitor.exit_status import DONE, FAILURE, MISTAKE, OperatorMistake, gravest
from monitor.live.launcher import Signals, died, ended, launch
from monitor.live.privileges import User
from monitor.live.ring import open_socket

if TYPE_CHECKING:
    from monitor.cli.messages import Messages

SHORTEST_PAUSE: Final = 1.0
LONGEST_PAUSE: Final = 60.0
"""Seconds before a worker is started again; a life of `LONGEST_PAUSE` makes the next pause the shortest one."""


@dataclass(frozen=True, slots=True)
class Job:
    """What one worker does: with sockets of these interfaces, and in the worker alone, `work` until it is told to end;
    its exit status. first: what it does before that with the rights of the supervisor."""

    name: str
    work: Callable[[Sequence[socket.socket], Signals], int]
    interfaces: tuple[str, ...] = ()
    first: Callable[[], None] | None = None


@dataclass(slots=True)
class _Place:
    """A job, and the worker that has it. `due`: when it is to be started, on the monotonic clock."""

    job: Job
    pause: float
    worker: int | None = None
    born: float = 0.0
    due: float | None = 0.0
    lives: int = 0


def supervise(jobs: Sequence[Job], user: User | None, signals: Signals, messages: Messages) -> int:
    """The exit status: of the service in the process that called, of its work in each worker.

    Raises OperatorMistake when the sockets of a job cannot be opened at the start.
    """
    places = [_Place(job, SHORTEST_PAUSE) for job in jobs]
    while True:
        for place in places:
            if place.due is None or place.due > time.monotonic():
                continue
            try:
                sockets = [open_socket(interface) for interface in place.job.interfaces]
            except OperatorMistake as error:
                if not place.lives:
                    _end(places, signals, messages)
                    raise
                _again(place, f"cannot go on: {error}", messages)
                continue
            place.worker = launch(user, sockets, place.job.first)
            if place.worker == 0:
                signals.forget(signal.SIGCHLD, signal.SIGHUP)
                try:
                    return place.job.work(sockets, signals)
                finally:
                    signals.hold()
            place.born, place.due = time.monotonic(), None
            place.lives += 1
        waiting = [place.due for place in places if place.due is not None]
        number = signals.next(min(waiting) - time.monotonic() if waiting else None)
        if number == signal.SIGHUP:
            messages.warning("the settings are read when the service starts: restart it to change them")
        elif number == signal.SIGCHLD:
            for place, status in _ended(places):
                if status == MISTAKE and place.lives == 1 and time.monotonic() - place.born < LONGEST_PAUSE:
                    _end(places, signals, messages)
                    return MISTAKE
                _again(place, died(status), messages)
        elif number is not None:
            return _end(places, signals, messages)


def _ended(places: Sequence[_Place]) -> list[tuple[_Place, int]]:
    """Jobs whose worker has ended, and how."""
    found = []
    for worker, status in ended():
        for place in places:
            if place.worker == worker:
                place.worker = None
                found.append((place, status))
    return found


def _again(place: _Place, why: str, messages: Messages) -> None:
    """Decide when a worker gets its next life."""
    now = time.monotonic()
    if place.due is None and now - place.born >= LONGEST_PAUSE:
        place.pause = SHORTEST_PAUSE
    messages.error(f"{place.job.name} {why}; it is started again in {place.pause:g} s")
    place.due = now + place.pause
    place.pause = min(2 * place.pause, LONGEST_PAUSE)


def _end(places: Sequence[_Place], signals: Signals, messages: Messages) -> int:
    """Tell all workers to end, and wait until they have drained."""
    for place in places:
        if place.worker is not None:
            os.kill(place.worker, signal.SIGTERM)
    statuses = [DONE]
    while True:
        for place, status in _ended(places):
            if status < 0 or status == FAILURE:
                messages.error(f"{place.job.name} {died(status)} instead of draining")
                statuses.append(FAILURE)
        if all(place.worker is None for place in places):
            return gravest(statuses)
        signals.next()
