"""Names and numbers of services: one look-up into the core's own list.

Strategy: `parsers.SERVICES` is the only place that numbers services. It is read once, at first use, so that the policy
can be listed and explained where the native core is not built.
"""

from __future__ import annotations

from functools import cache


@cache
def services() -> tuple[str, ...]:
    """Service names by number, as the core has them."""
    from parsers import SERVICES

    return tuple(SERVICES)


@cache
def service_number(name: str) -> int | None:
    """Number of a service, None when this build does not recognise it."""
    known = services()
    return known.index(name) if name in known else None


def service_names(bits: int) -> frozenset[str]:
    """Names of the services whose bits are set in an observation's `services`."""
    return frozenset(name for number, name in enumerate(services()) if bits >> number & 1)
