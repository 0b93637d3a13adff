"""What the engine of one sensor has taught so far: the verdict of each observation, the certificates, the totals.

Strategy: an engine numbers what it meets (observations, certificates) and never takes a number back, so learning is
appending what is new. Where a rule looks closer than the engine's numbers (a path, a certificate), rows get numbers of
our own: `numbered` replaces the engine's observation numbers in a batch by places in `verdicts`, which whatever reads
sums or rows afterwards goes by. A replay of captures and a live session learn in the same way.
"""

from __future__ import annotations

from typing import Any, Final, Protocol

import pyarrow as pa

import parsers
from monitor.capture_arguments import SensorName
from monitor.closer import Closer
from monitor.fields import Certificates, Origin
from monitor.judged import TOO_MANY
from reports.visible import visible
from rules.detail import NO_DETAIL, Detail, Looks
from rules.observation import Observation
from rules.verdict import Verdict

ONE_WAY_FLOWS: Final = 20
ONE_WAY_SHARE: Final = 0.9
"""A tap is said to show one direction only from this many TCP flows on, when this share of them lacks one."""

DETAILS: Final = 65_536
"""Different details told apart for one engine. Ordinary traffic has a hundred; a hostile client could show a new
certificate in each connection, and further ones are then judged by what the engine says of them alone."""


class Judging(Protocol):
    """What is needed of `rules.judge.Judge`."""

    @property
    def tables(self) -> dict[str, Any]: ...

    def judge(self, observation: Observation, detail: Detail = ...) -> Verdict: ...

    def looks(self, observation: Observation) -> Looks: ...


class Learned:
    """What is known of one sensor's traffic."""

    def __init__(self, sensor: SensorName, judge: Judging | None) -> None:
        self.sensor = sensor
        self.verdicts: list[Verdict] = []  # by the numbers that `numbered` gives
        self.protocols: list[int] = []  # IP protocol, by the same
        self.observations: list[Observation] = []  # by the same; of judged flows
        self.totals: dict[str, int] = {}
        self.origin = Origin(_plain(sensor.name), sensor.position, sensor.side, [], Certificates())
        self._judge = judge
        self._places: list[int] = []  # by the engine's observation number
        self._closer = Closer()

    @property
    def one_way(self) -> bool:
        """Most TCP flows showed one direction only; of captures it is known at their end."""
        flows = self.totals.get("tcp_flows", 0)
        return flows >= ONE_WAY_FLOWS and self.totals.get("tcp_one_way", 0) >= ONE_WAY_SHARE * flows

    def learn(self, engine: parsers.Engine) -> None:
        """Judge the observations and read the certificates that the rows just taken brought."""
        for numbers in engine.observations(len(self._places)):
            place = len(self.protocols)
            if self._judge is not None:
                known = len(self._places) < parsers.OBSERVATION_LIMIT
                observation = Observation(*numbers)
                self.verdicts.append(self._judge.judge(observation) if known else TOO_MANY)
                self.observations.append(observation)
                if known:
                    self._closer.add(len(self._places), observation, self._judge.looks(observation))
            self._places.append(place)
            self.protocols.append(numbers[0])
        self.origin.certificates.append(pa.record_batch(engine.certificates(len(self.origin.certificates))))

    def numbered(self, batch: Any) -> Any:
        """The batch with our numbers, and the hashes of certificates that findings are told apart by. Of a live batch
        also the numbers of the rows before."""
        if self._judge is None:
            return batch
        places = pa.array(self._places, pa.uint32())
        numbers = places.take(batch["observation"])
        look = self._closer.look(batch, self.origin.certificates)
        if look is not None:
            ours = [self._place(number, detail) for number, detail in look.details]
            numbers = look.spread(numbers, pa.array(ours, pa.uint32()))
        names = batch.schema.names
        columns = {name: batch[name] for name in names} | {"observation": numbers}
        if "previous" in names:
            columns["previous"] = self._closer.previous(batch, places.take(batch["previous"]), numbers, look)
        for side in ("server", "client"):
            hashes = pa.nulls(batch.num_rows, pa.string())
            if look is not None:
                shown = (detail.server if side == "server" else detail.client for _, detail in look.details)
                hashes = look.spread(hashes, pa.array([c.sha256 if c else None for c in shown], pa.string()))
            columns[f"tls.{side}.hash.sha256"] = hashes
        return pa.record_batch(columns)

    def _place(self, number: int, detail: Detail) -> int:
        """Where the verdict on an observation with a detail stands; the observation's own once too many were seen."""
        if detail == NO_DETAIL:
            return self._places[number]
        known = self._closer.places.get((number, detail))
        if known is not None:
            return known
        if len(self._closer.places) >= DETAILS or self._judge is None:
            return self._places[number]
        observation = self._closer.observations[number]
        place = len(self.protocols)
        self.verdicts.append(self._judge.judge(observation, detail))
        self.observations.append(observation)
        self.protocols.append(observation.transport)
        self._closer.places[number, detail] = place
        return place


def _plain(text: str | None) -> str | None:
    return None if text is None else visible(text)
