"""Times at the border: nanoseconds since 1970 UTC inside, ISO 8601 outside."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_FRACTION: Final = re.compile(r"[.,](\d{1,9})")


def iso(nanoseconds: int) -> str:
    """UTC with microseconds, with nanoseconds where the time has them; as the rows of `flows` write it."""
    seconds, fraction = divmod(nanoseconds, 1_000_000_000)
    moment = (EPOCH + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S")
    digits = f"{fraction:09d}"
    return f"{moment}.{digits[:6] if digits.endswith('000') else digits}Z"


def iso_or_none(nanoseconds: int | None) -> str | None:
    return None if nanoseconds is None else iso(nanoseconds)


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
