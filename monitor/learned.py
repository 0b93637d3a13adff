"""What the engine of one sensor has taught so far: the verdict of each observation, the certificates, the totals.

Strategy: an engine numbers what it meets (observations, certificates) and never takes a number back, so learning is
appending what is new. A replay of captures and a live session learn in the same way, and whatever reads sums or rows
afterwards needs no more than this of either.
"""

from __future__ import annotations

from typing import Any, Final, Protocol

import pyarrow as pa

import parsers
from monitor.capture_arguments import SensorName
from monitor.fields import Certificates, Origin
from monitor.judged import TOO_MANY
from reports.visible import visible
from rules.observation import Observation
from rules.verdict import Verdict

ONE_WAY_FLOWS: Final = 20
ONE_WAY_SHARE: Final = 0.9
"""A tap is said to show one direction only from this many TCP flows on, when this share of them lacks one."""


class Judging(Protocol):
    """What is needed of `rules.judge.Judge`."""

    @property
    def tables(self) -> dict[str, Any]: ...

    def judge(self, observation: Observation) -> Verdict: ...


class Learned:
    """What is known of one sensor's traffic."""

    def __init__(self, sensor: SensorName, judge: Judging | None) -> None:
        self.sensor = sensor
        self.verdicts: list[Verdict] = []  # by observation number
        self.protocols: list[int] = []  # IP protocol, by observation number
        self.totals: dict[str, int] = {}
        self.origin = Origin(_plain(sensor.name), sensor.position, sensor.side, [], Certificates())
        self._judge = judge

    @property
    def one_way(self) -> bool:
        """Most TCP flows showed one direction only; of captures it is known at their end."""
        flows = self.totals.get("tcp_flows", 0)
        return flows >= ONE_WAY_FLOWS and self.totals.get("tcp_one_way", 0) >= ONE_WAY_SHARE * flows

    def learn(self, engine: parsers.Engine) -> None:
        """Judge the observations and read the certificates that the rows just taken brought."""
        for numbers in engine.observations(len(self.protocols)):
            if self._judge is not None:
                known = len(self.protocols) < parsers.OBSERVATION_LIMIT
                self.verdicts.append(self._judge.judge(Observation(*numbers)) if known else TOO_MANY)
            self.protocols.append(numbers[0])
        self.origin.certificates.append(pa.record_batch(engine.certificates(len(self.origin.certificates))))


def _plain(text: str | None) -> str | None:
    return None if text is None else visible(text)
