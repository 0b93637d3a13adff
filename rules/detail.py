"""What a rule may see of a flow beyond its observation: what a web request was for, and who showed which certificate.

Strategy: the core interns small numbers; texts (paths, suites, names in certificates) are classified here, once for
each distinct text, into values that are equal for all flows that must be judged equally. Only observations that some
rule looks closer at have a detail (`Judge.looks`), so ordinary traffic costs nothing. Pure functions; the caller
keeps the count of different details bounded and makes texts harmless first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

AUTODISCOVER: Final = "autodiscover"
MOBILITY: Final = "mobility"
ADMIN: Final = "admin"
ROOT: Final = "root"
OTHER: Final = "other"

# Answers of a web server, in the core's words: JSON or XML, any other body, another protocol.
DATA: Final = "data"
CONTENT: Final = "content"
SWITCH: Final = "switch"

# Virtual directories of the web services, any case ("Verify or configure authentication and certification on IIS
# virtual directories", "Autodiscover service requirements", "Technical requirements for mobility").
_USES: Final = (("/autodiscover", AUTODISCOVER), ("/mcx", MOBILITY), ("/ucwa", MOBILITY), ("/cscp", ADMIN))


@dataclass(frozen=True, slots=True)
class Certificate:
    """A leaf certificate as far as names go, in lower case, by whom it was issued, and whether it can be revoked."""

    sha256: str
    subject: str  # common name
    names: tuple[str, ...]  # alternative names
    issuer: str  # common name, as written
    revocation_list: bool | None = None  # whether it names where one is; None: not known

    @property
    def all_names(self) -> frozenset[str]:
        """Every name it speaks for. A subject counts beside alternative names, as the product's documents have it."""
        return frozenset({self.subject, *self.names} - {""})

    def speaks_for(self, host: str) -> bool:
        """By that name, or by a wildcard for its first label (RFC 6125 6.4.3)."""
        _, _, parent = host.partition(".")
        return host in self.all_names or (bool(parent) and f"*.{parent}" in self.all_names)


@dataclass(frozen=True, slots=True)
class Detail:
    use: str = ""  # of the first readable web request: one of the words above, "" without one
    answer: str = ""  # to that request, in the core's words
    weak_suite: bool = False  # the suite chosen has no encryption, no authentication, or a key for export
    shared_secret: bool = False  # the first TURN message asks for a shared secret
    server: Certificate | None = None
    client: Certificate | None = None


NO_DETAIL: Final = Detail()


@dataclass(frozen=True, slots=True)
class Looks:
    """Which columns matter for an observation."""

    use: bool = False
    answer: bool = False
    suite: bool = False
    method: bool = False
    server: bool = False
    client: bool = False

    @property
    def any(self) -> bool:
        return self.use or self.answer or self.suite or self.method or self.server or self.client


def use_of(path: str) -> str:
    """What a request's path is for."""
    lower = path.lower()
    for prefix, use in _USES:
        if lower == prefix or lower.startswith(prefix + "/"):
            return use
    return ROOT if lower in ("", "/") else OTHER


def is_weak(suite: str) -> bool:
    """Whether a suite, by its IANA name, leaves out what TLS is for (RFC 5246 App. A.5, RFC 2246 App. A.5)."""
    return any(word in suite for word in ("_NULL_", "_EXPORT_", "_anon_", "_EXPORT40_", "_EXPORT1024_"))
