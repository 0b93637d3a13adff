"""Which violating flows of live traffic are kept as samples of their findings, and what becomes of them.

Strategy: the first `SAMPLES` flows of a finding in each hour are kept, as far as they are known when it is first said
that they violate, and again once they are over. The record is only added to, so a sample is replaced by a newer row of
the same place, and taken back by an empty one when its flow turns out to be another finding's.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence
from typing import Any, Final

import pyarrow as pa

from monitor.aggregate import SAMPLES, Aggregate
from monitor.learned import Learned
from monitor.live.corrections import Place, Violating
from rules.sights import HOUR
from rules.verdict import Verdict

FOLLOWED: Final = 10_000
"""Sample flows that go on, at one sensor; one more is kept as it is first seen."""

FINDINGS: Final = 10_000
"""Findings told apart in an hour; flows of further ones are counted and not kept."""


class Room:
    """For samples: `SAMPLES` of each finding in an hour."""

    def __init__(self) -> None:
        self._hour = 0
        self._kept: dict[Hashable, int] = {}  # finding → samples in this hour

    def take(self, now: int, findings: Sequence[Hashable]) -> bool:
        """For a flow: whether one of its findings has too few samples yet; if so it counts for all of them."""
        if now // HOUR != self._hour:
            self._hour = now // HOUR
            self._kept.clear()
        if all(self._kept.get(finding, 0) >= SAMPLES for finding in findings):
            return False
        if len(self._kept) + sum(finding not in self._kept for finding in findings) > FINDINGS:
            return False
        for finding in findings:
            self._kept[finding] = self._kept.get(finding, 0) + 1
        return True


class Samples:
    """Of one sensor."""

    def __init__(self) -> None:
        self._room = Room()
        self._followed: dict[int, tuple[int, Place]] = {}  # flow → observation and place of its sample

    def keep(self, now: int, batch: Any, rows: Iterable[Violating], learned: Learned, aggregate: Aggregate) -> None:
        """Hand samples, and None for those taken back, to the groups of their findings."""
        for violating in rows:
            stands = self._followed.pop(violating.flow, None)
            is_now = None if violating.now is None else (violating.observation, violating.now)
            if stands is not None and stands != is_now:
                _set(_group(aggregate, learned, *stands), sample_place(batch, violating.row), None)
            if is_now is None or (stands is None and not self._has_room(now, learned, *is_now)):
                continue
            if stands != is_now or violating.ended:
                table = row_of(batch, violating.row)
                _set(_group(aggregate, learned, *is_now), sample_place(batch, violating.row), table)
            if not violating.ended and len(self._followed) < FOLLOWED:
                self._followed[violating.flow] = is_now

    def _has_room(self, now: int, learned: Learned, observation: int, place: Place) -> bool:
        verdict, protocol = learned.verdicts[observation], learned.protocols[observation]
        return self._room.take(now, list(_fingerprints(verdict, protocol, place)))


def _fingerprints(verdict: Verdict, protocol: int, place: Place) -> Iterator[tuple[Any, ...]]:
    """What tells the flow's findings apart at this sensor (contract of `finding_id`, without the digest)."""
    ends = [end.component or end.zone for end in (verdict.source, verdict.destination)]
    for hit in verdict.hits:
        subject = place.values.get(hit.subject_column) if hit.subject_column else None
        yield (hit.rule, *ends, protocol, hit.port_or_class, hit.service, subject)


def _group(aggregate: Aggregate, learned: Learned, observation: int, place: Place) -> list[tuple[Any, Any]]:
    return aggregate.group(observation, learned.verdicts[observation], place.values).samples


def _set(samples: list[tuple[Any, Any]], key: tuple[Any, ...], row: Any) -> None:
    """What was said of the same flow and is not recorded yet gives way."""
    samples[:] = [(known, said) for known, said in samples if known != key or said is None]
    samples.append((key, row))


def row_of(batch: Any, row: int) -> Any:
    """A table of one row."""
    return pa.Table.from_batches([batch.slice(row, 1)])


def sample_place(batch: Any, row: int) -> tuple[Any, ...]:
    """The flow's place among samples, equal in all of its rows: neither its end nor who opened it is settled yet."""
    names = ("event.start", "network.transport", "edgewarden.flow_id")
    start, transport, flow = (batch[name][row].as_py() for name in names)
    return (start, 0, transport, "", 0, "", flow)
