"""Control ids beside each rule: NIST SP 800-53 as written there, and what other catalogues call the same demand.

Strategy: a rule names NIST controls alone; one table leads from each to the matching ids of PCI DSS 4, ISO/IEC
27001:2022 (Annex A) and CIS Controls 8.1. The table holds only controls that a view of the wire can speak to, and
where another catalogue demands nothing of the kind it says nothing. A finding says that a control is in question,
never that it is met.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

NIST: Final = "nist-800-53"
PCI: Final = "pci-dss-4"
ISO: Final = "iso-27001-2022"
CIS: Final = "cis-8.1"

_BOUNDARY: Final = (("1.3.1", "1.3.2", "1.4.2"), ("A.8.20", "A.8.22"), ("12.2", "13.4"))
_TRANSIT: Final = (("4.2.1",), ("A.5.14", "A.8.24"), ("3.10",))
_CERTIFICATES: Final = (("4.2.1", "4.2.1.1"), ("A.8.24",), ())  # CIS has no safeguard about certificates

# NIST control → ids of (PCI DSS 4, ISO/IEC 27001:2022, CIS Controls 8.1)
_SAME: Final[dict[str, tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]]] = {
    "AC-4": _BOUNDARY,
    "SC-7": _BOUNDARY,
    "SC-7(5)": _BOUNDARY,
    "SC-7(8)": (("1.3.2",), ("A.8.20", "A.8.22"), ("13.10",)),  # from inside to outside through a proxy
    "AC-17": ((), ("A.6.7",), ("12.7",)),
    "CA-3": ((), ("A.5.14",), ()),
    "CM-6": (("2.2.1",), ("A.8.9",), ("4.1", "4.2")),
    "CM-7": (("1.2.5", "2.2.4"), ("A.8.9",), ("4.8",)),
    "CM-8": (("12.5.1",), ("A.5.9",), ("1.1",)),
    "PL-8": (("1.2.3", "1.2.4"), ("A.8.27",), ("12.4",)),
    "IA-3": (("4.2.1",), ("A.8.5",), ()),
    "IA-3(1)": (("4.2.1",), ("A.8.5", "A.8.24"), ()),
    "IA-5(2)": _CERTIFICATES,
    "SC-5": ((), ("A.8.6",), ()),
    "SC-8": _TRANSIT,
    "SC-8(1)": _TRANSIT,
    "SC-13": _TRANSIT,
    "SC-17": _CERTIFICATES,
    "SC-22": ((), ("A.8.20",), ("4.9",)),
    "SC-23": (("4.2.1",), ("A.8.24",), ("3.10",)),
    "SI-4": (("11.5.1",), ("A.8.16",), ("13.3", "13.6")),
}


def crosswalk(controls: Iterable[str]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """(catalogue, ids) of every catalogue for these NIST controls, ids sorted by first mention. KeyError: a control
    that the table does not have."""
    own = tuple(controls)
    rest: dict[str, dict[str, None]] = {PCI: {}, ISO: {}, CIS: {}}
    for control in own:
        for catalogue, ids in zip(rest, _SAME[control], strict=True):
            rest[catalogue].update(dict.fromkeys(ids))
    return ((NIST, own), *((catalogue, tuple(ids)) for catalogue, ids in rest.items() if ids))
