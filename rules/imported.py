"""What each cluster of a deployed topology is, and its names and addresses in a form that a topology file may hold.

Strategy: a cluster is what its services make of it, one thing only, the first that fits: an Edge pool, a Director (a
registrar says so), a Front End pool (it homes users), a branch appliance (a registrar without users), a Mediation pool,
an Office Web Apps farm. Names and addresses are checked when they are asked for, so that a fault tells of what is used.
"""

from __future__ import annotations

from typing import Final

from rules.components import Address
from rules.deployment import Cluster, Deployment, Service, true
from rules.document import Faults, Scalar, show
from rules.draft import TODO
from rules.shape import Host, host_address
from rules.xml_tree import Element

EDGE: Final = "edge_pools"
DIRECTOR: Final = "director_pools"
FRONT_END: Final = "front_end_pools"
BRANCH: Final = "branch_appliances"
MEDIATION: Final = "mediation_pools"
OFFICE: Final = "office_web_apps"

_EVERY_ADDRESS: Final = ("0.0.0.0", "::")  # noqa: S104 - what stands in the document for "all of the machine"


class Imported:
    def __init__(self, deployment: Deployment) -> None:
        self.deployment = deployment
        self.faults: Faults = deployment.faults
        self._installed: dict[int | None, list[Service]] = {}
        for service in deployment.services:
            self._installed.setdefault(service.cluster, []).append(service)
        self.section = {number: self._section(number) for number in range(len(deployment.clusters))}

    def _section(self, number: int) -> str | None:
        services = {service.role: service for service in self.on(number)}
        registrars = self.on(number, "Registrar")
        if "EdgeServer" in services:
            return EDGE
        if any(true(service.detail("RegistrarService", "IsDirector")) for service in registrars):
            return DIRECTOR
        if "UserServices" in services:
            return FRONT_END
        if registrars:
            return BRANCH
        if "MediationServer" in services:
            return MEDIATION
        return OFFICE if "WacService" in services else None

    def clusters(self, section: str) -> list[int]:
        return [number for number, found in self.section.items() if found == section]

    def cluster(self, number: int) -> Cluster:
        return self.deployment.clusters[number]

    def on(self, number: int, role: str | None = None) -> list[Service]:
        """The services (of a role) that are installed on a cluster."""
        return [service for service in self._installed.get(number, ()) if role in (None, service.role)]

    def name(self, number: int) -> str:
        """The cluster's own name; TODO and a fault where there is none that a topology file may hold."""
        cluster = self.cluster(number)
        return self.host(cluster.fqdn, cluster.element, "Fqdn")

    def host(self, text: str | None, element: Element, attribute: str) -> str:
        """A full DNS name as it may stand in a topology; TODO and a fault where it is none."""
        mark = element.at(attribute)
        if text is None:
            self.faults.add(mark, f"{element.name} without {attribute}", "the document as it was exported")
            return TODO
        read = Host().read(Scalar(mark, text, text, False), self.faults)
        return str(read.value) if read is not None else TODO

    def addresses(self, texts: tuple[str, ...], element: Element, attribute: str) -> list[Address]:
        """Without those that mean every address; a fault for each that no host can have."""
        found = []
        for text in texts:
            address = host_address(text)
            if address is not None:
                found.append(address)
            elif text not in _EVERY_ADDRESS:
                message = f"{show(text)} is no host's address"
                self.faults.add(element.at(attribute), message, "the IPv4 or IPv6 address of an interface")
        return list(dict.fromkeys(found))


def moved(*values: tuple[object, object, str]) -> str:
    """Of (value, default, key): which values that the document has are not those by default, which are kept beside
    them. None is a value that it does not have."""
    told = [f"{key} {default}" for value, default, key in values if value not in (None, TODO, default)]
    return "by default " + ", ".join(told) if told else ""
