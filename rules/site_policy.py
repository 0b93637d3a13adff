"""The site's own policy: the `policy` section of a topology file as frozen dataclasses, defaults filled in.

Strategy: plain data, as in `rules.components`; what the numbers mean is decided by the rules that read them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from rules.components import Network, PortRange


def first_instant_after(expires: date | datetime) -> int | None:
    """ns since 1970 UTC; a date lasts to its end. None: nothing comes after it."""
    if isinstance(expires, datetime):
        moment, extra = expires, 1  # "after" that instant: one nanosecond later
    else:
        try:
            moment, extra = datetime.combine(expires + timedelta(days=1), time(), UTC), 0
        except OverflowError:
            return None  # 31 December 9999
    elapsed = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (elapsed.days * 86_400 + elapsed.seconds) * 1_000_000_000 + elapsed.microseconds * 1_000 + extra


@dataclass(frozen=True, slots=True)
class RuleSeverity:
    rule: str
    severity: str  # rules.names.SEVERITIES or OFF


@dataclass(frozen=True, slots=True)
class CoveragePolicy:
    max_loss: float = 0.001  # share of packets
    min_share: float = 0.95  # share of the time
    require: tuple[str, ...] = ()  # positions; empty = those that are given


@dataclass(frozen=True, slots=True)
class Thresholds:
    signin_per_source_per_minute: float = 60
    turn_unauthenticated_per_source_per_minute: float = 30
    director_flood_factor: float = 5
    federation_messages_per_second: float = 20
    attempts_per_source_per_minute: float = 100
    cleartext_media_packets: float = 50


@dataclass(frozen=True, slots=True)
class Selector:
    """One end of a local path. kind: "zone" | "role" | "fqdn" | "network"; `network` is set for the last alone."""

    kind: str
    name: str
    network: Network | None = None


@dataclass(frozen=True, slots=True)
class LocalPath:
    id: str
    source: tuple[Selector, ...]
    destination: tuple[Selector, ...]
    transport: str  # IANA keyword in lower case
    ports: tuple[PortRange, ...] = ()  # empty where the transport has none
    service: str | None = None  # None: whatever is spoken
    reason: str | None = None
    owner: str | None = None
    expires: date | datetime | None = None  # a date lasts to its end, UTC

    @property
    def ends_ns(self) -> int | None:
        """First instant (ns since 1970 UTC) at which the path no longer fits, None when it never ends."""
        return None if self.expires is None else first_instant_after(self.expires)


@dataclass(frozen=True, slots=True)
class Policy:
    director_bypass: str = "strict"  # "strict" | "documented-open"
    tls_minimum: str = "1.0"
    rules: tuple[RuleSeverity, ...] = ()  # sorted by rule
    optional_paths: tuple[str, ...] = ()  # sorted
    private_cas: tuple[str, ...] = ()
    report_attempts: bool = False
    coverage: CoveragePolicy = CoveragePolicy()
    thresholds: Thresholds = Thresholds()
    local_paths: tuple[LocalPath, ...] = ()

    def severity_of(self, rule: str) -> str | None:
        """The severity the site gives to this rule (`off` included), None when it keeps its own."""
        return next((entry.severity for entry in self.rules if entry.rule == rule), None)
