"""Captures → who answered whom in them (`rules.sightings`), for a first draft of a topology.

Strategy: the same replay as an audit's, without a topology. A batch's equal flows are counted in Arrow before Python
looks at one of each; names of certificates come with the columns that users see, already made harmless.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from monitor.capture_arguments import CaptureArgument
from monitor.fields import columns
from monitor.replay import Replay, Settings, by_sensor, run_side_by_side
from rules.sightings import Flow, Sightings

_PLAIN: Final = (
    "source.ip", "destination.ip", "destination.port", "network.transport", "tls.client.server_name", "url.domain",
    "tls.server.x509.subject.common_name", "tls.client.x509.subject.common_name", "edgewarden.stun.ms_version",
    "edgewarden.xmpp.from", "edgewarden.xmpp.to",
)  # fmt: skip
_LISTS: Final = (
    "edgewarden.services", "tls.server.x509.alternative_names", "tls.client.x509.alternative_names",
)  # fmt: skip
_APART: Final = "\n"  # stands in no name: it would have been made visible


class _Sink:
    def __init__(self, sightings: Sightings) -> None:
        self._sightings = sightings

    def rows(self, batch: Any, replay: Replay) -> None:
        made = columns(batch, replay.origin)
        rows = len(made["event.start"])
        nothing = pa.nulls(rows, pa.string())
        keys: dict[str, Any] = {name: made.get(name, nothing) for name in _PLAIN}
        for name in _LISTS:
            keys[name] = pc.binary_join(made[name], _APART) if name in made else nothing
        table = pa.table({**keys, "answered": made["edgewarden.answered"]})
        table = table.filter(pc.and_kleene(pc.equal(table["answered"], "yes"), pc.is_valid(table["destination.port"])))
        found = table.group_by(list(keys), use_threads=False).aggregate([([], "count_all")]).to_pylist()
        for row in found:
            self._sightings.add(_flow(row))


def _flow(row: dict[str, Any]) -> Flow:
    xmpp = (row["edgewarden.xmpp.from"] or "", row["edgewarden.xmpp.to"] or "")
    return Flow(
        opener=row["source.ip"],
        listener=row["destination.ip"],
        transport=row["network.transport"],
        port=row["destination.port"],
        count=row["count_all"],
        services=_split(row["edgewarden.services"]),
        relay=row["edgewarden.stun.ms_version"] is not None,
        asked=row["tls.client.server_name"] or row["url.domain"],
        server_names=_names(row, "server"),
        client_names=_names(row, "client"),
        xmpp=xmpp if any(xmpp) else None,
    )


def _names(row: dict[str, Any], side: str) -> tuple[str, ...]:
    """Of a certificate; the common name first, so that servers of one pool agree in it."""
    first = row[f"tls.{side}.x509.subject.common_name"]
    return (*([first] if first else []), *_split(row[f"tls.{side}.x509.alternative_names"]))


def _split(text: str | None) -> tuple[str, ...]:
    return tuple(text.split(_APART)) if text else ()


def sightings_of(
    captures: Sequence[CaptureArgument], progress: Callable[[int], None] = lambda octets: None
) -> tuple[Sightings, list[Replay]]:
    """Everything that was answered in the captures; the replays say what was wrong with these."""
    sightings, replays = Sightings(), []
    for sensor, found in by_sensor(captures).items():  # one after the other: the first name seen must be the same again
        replays.append(Replay(sensor, found, None, Settings(digests=False)))
        run_side_by_side(replays[-1:], [_Sink(sightings)], progress)
    return sightings, replays
