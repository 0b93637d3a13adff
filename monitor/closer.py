"""The closer look at rows that some rule wants: paths, suites and certificates made into `rules.detail.Detail`.

Strategy: few observations are looked at closer, so rows of all others are passed over by one test for the whole batch.
Of those that are, each distinct text is classified once; names from certificates are made harmless before a rule may
put them into a sentence. A live flow's earlier rows counted under what was known then: which of our numbers that was is
remembered while the flow goes on, where it differs from the engine's own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from monitor.fields import Certificates, first
from reports.visible import visible
from rules.detail import Certificate, Detail, Looks, is_weak, use_of
from rules.observation import Observation

_COLUMNS = {
    "use": "url.path",
    "answer": "edgewarden.http.answer",
    "suite": "tls.cipher",
    "method": "edgewarden.stun.method",
    "server": "edgewarden.tls.server_chain",
    "client": "edgewarden.tls.client_chain",
}

_use_of = lru_cache(maxsize=4096)(use_of)
_is_weak = lru_cache(maxsize=256)(is_weak)


@dataclass(frozen=True, slots=True)
class Look:
    """mask: the rows of a batch that are looked at; groups: of each of these the place in `details`; details: (the
    engine's observation number, what was seen)."""

    mask: Any
    groups: Any
    details: list[tuple[int, Detail]]

    def spread(self, column: Any, values: Any) -> Any:
        """The column with the value of its group in each row that is looked at. values: one for each of `details`."""
        return pc.replace_with_mask(column, self.mask, values.take(self.groups))


class Closer:
    """Of one engine."""

    def __init__(self) -> None:
        self.observations: dict[int, Observation] = {}  # those that are looked at closer, by the engine's number
        self.places: dict[tuple[int, Detail], int] = {}  # where the verdicts with a detail stand
        self._looks: dict[int, Looks] = {}
        self._wanted: Any = pa.array([], pa.uint32())
        self._certificates: dict[int, Certificate] = {}
        self._open: dict[int, int] = {}  # live flow → the number its last row had, where it is not the engine's

    def add(self, number: int, observation: Observation, looks: Looks) -> None:
        if looks.any:
            self.observations[number] = observation
            self._looks[number] = looks
            self._wanted = None

    def look(self, batch: Any, certificates: Certificates) -> Look | None:
        """The rows that some rule wants to see closer, None if there is none."""
        if self._wanted is None:
            self._wanted = pa.array(sorted(self._looks), pa.uint32())
        mask = pc.is_in(batch["observation"], value_set=self._wanted)
        chosen = pc.indices_nonzero(mask)
        if not len(chosen):
            return None
        seen = {name: _column(batch, name).take(chosen) for name in _COLUMNS}
        seen["observation"] = batch["observation"].take(chosen)
        groups = _grouped(seen.values())
        firsts = pa.table({"group": groups, "row": pa.array(range(len(chosen)))}).group_by("group", use_threads=False)
        rows = firsts.aggregate([("row", "min")]).sort_by("group")["row_min"]
        values = {name: column.take(rows.combine_chunks()).to_pylist() for name, column in seen.items()}
        details = []
        for place, number in enumerate(values["observation"]):
            texts = {name: values[name][place] for name in _COLUMNS if values[name][place] is not None}
            details.append((number, self._detail(self._looks[number], texts, certificates)))
        return Look(mask, groups, details)

    def _detail(self, looks: Looks, seen: Mapping[str, Any], certificates: Certificates) -> Detail:
        return Detail(
            use=_use_of(seen["use"]) if looks.use and "use" in seen else "",
            answer=seen.get("answer", "") if looks.answer else "",
            weak_suite=looks.suite and "suite" in seen and _is_weak(seen["suite"]),
            shared_secret=looks.method and seen.get("method") == "shared-secret",
            server=self._certificate(seen["server"], certificates) if looks.server and "server" in seen else None,
            client=self._certificate(seen["client"], certificates) if looks.client and "client" in seen else None,
        )

    def _certificate(self, number: int, certificates: Certificates) -> Certificate:
        known = self._certificates.get(number)
        if known is None:
            row = certificates.row(number)
            known = self._certificates[number] = Certificate(
                sha256=row["sha256"] or "",
                subject=_name(row["subject_common_name"]),
                names=tuple(_name(name) for name in row["alternative_names"] or ()),
                issuer=visible(row["issuer_common_name"] or ""),
                revocation_list=row["revocation_list"],
            )
        return known

    def previous(self, batch: Any, before: Any, numbers: Any, look: Look | None) -> Any:
        """Our numbers of the rows before, given those that the engine's numbers lead to, and the present ones."""
        if look is None and not self._open:
            return before
        flows, ended = batch["edgewarden.flow_id"].to_pylist(), batch["ended"].to_pylist()
        result, present = before.to_pylist(), numbers.to_pylist()
        closer = look.mask.to_pylist() if look is not None else [False] * len(flows)
        for row, flow in enumerate(flows):
            known = self._open.pop(flow, None)
            if known is not None and result[row] is not None:
                result[row] = known
            if closer[row] and not ended[row]:
                self._open[flow] = present[row]
        return pa.array(result, pa.uint32())


def _column(batch: Any, name: str) -> Any:
    """Of certificate chains the leaf's number."""
    column = batch[_COLUMNS[name]]
    return first(column) if name in ("server", "client") else column


def _grouped(columns: Iterable[Any]) -> Any:
    """Numbers from 0 on, equal for rows that are equal in all columns."""
    groups: Any = None
    for column in columns:
        encoded = column.dictionary_encode(null_encoding="encode")
        codes = encoded.indices.cast(pa.int64())
        if groups is not None:
            codes = pc.add(pc.multiply(groups, max(1, len(encoded.dictionary))), codes)
        groups = codes.dictionary_encode().indices.cast(pa.int64())
    return groups


def _name(text: str | None) -> str:
    return visible(text or "").lower()
