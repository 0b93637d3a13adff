"""Times in outputs: nanoseconds since 1970 UTC become ISO 8601, and ISO 8601 becomes what a clock on a wall shows."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
SECOND: Final = 1_000_000_000

_ISO: Final = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?Z")


def iso(nanoseconds: int) -> str:
    """UTC with microseconds, with nanoseconds where the time has them; as the rows of `flows` write it."""
    seconds, fraction = divmod(nanoseconds, SECOND)
    moment = (EPOCH + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S")
    digits = f"{fraction:09d}"
    return f"{moment}.{digits[:6] if digits.endswith('000') else digits}Z"


def iso_or_none(nanoseconds: int | None) -> str | None:
    return None if nanoseconds is None else iso(nanoseconds)


def on_the_wall(text: str | None, zone: tzinfo) -> str:
    """A time of a result as a clock in `zone` shows it, to the second; "-" for none."""
    found = _ISO.fullmatch(text or "")
    if found is None:
        return "-"
    moment = datetime.fromisoformat(found[1]).replace(tzinfo=UTC)
    try:
        return moment.astimezone(zone).strftime("%Y-%m-%d %H:%M:%S")
    except OverflowError:  # the last hours of year 9999
        return moment.strftime("%Y-%m-%d %H:%M:%S")


def nanoseconds(text: str) -> int:
    """What `iso` wrote, back. Raises ValueError."""
    found = _ISO.fullmatch(text)
    if found is None:
        raise ValueError(f"{text[:40]!r} is no time of a result")
    elapsed = datetime.fromisoformat(found[1]).replace(tzinfo=UTC) - EPOCH
    return (elapsed.days * 86_400 + elapsed.seconds) * SECOND + int((found[2] or "").ljust(9, "0"))
