"""Times at the border: nanoseconds since 1970 UTC inside, ISO 8601 outside. Writing them is `reports.moments`'s."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

from reports.moments import EPOCH, iso, iso_or_none

__all__ = ["iso", "iso_or_none", "nanoseconds", "parse_time"]

_LAST: Final = 2**63 - 1
"""The largest number in a record, in the year 2262."""

_FRACTION: Final = re.compile(r"[.,](\d{1,9})")


def nanoseconds(moment: datetime) -> int:
    """Of a time with a zone; one that no record can hold becomes the nearest that it can."""
    elapsed = moment - EPOCH
    whole = (elapsed.days * 86_400 + elapsed.seconds) * 1_000_000_000 + elapsed.microseconds * 1000
    return max(-_LAST, min(whole, _LAST))


def parse_time(text: str) -> int:
    """A date or a date and time, UTC unless it names a zone, up to nanoseconds. Raises ValueError with a sentence."""
    fraction = 0
    match = _FRACTION.search(text)
    if match:
        fraction = int(match.group(1).ljust(9, "0"))
        text = text[: match.start()] + text[match.end() :]
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"'{text}' is no time (say 2026-11-22T08:00:00, UTC, or with a zone: …+02:00)") from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    elapsed = moment - EPOCH
    return (elapsed.days * 86_400 + elapsed.seconds) * 1_000_000_000 + fraction
