"""How the streams look: index templates of our own, put there once, before the first document.

Strategy: fields have the names and types of the Elastic Common Schema; where a build lacks a type, the nearest one that
every server has takes its place, found out by asking the cluster to accept the mapping. `dynamic: false`: a field
nobody declared is kept and not indexed, so nothing from the wire can make fields. A value that does not fit its field
is kept and not indexed either (`ignore_malformed`): what somebody wrote into a certificate must not keep a finding out.

A template of ours says so in its `_meta`, with the version and the digest of the design it was made from; by that
`setup` tells what is missing, what it may renew, and what somebody else or a newer edgewarden put there.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from monitor.elastic.cluster import Target, reason
from monitor.exit_status import OperatorMistake

if TYPE_CHECKING:
    from elasticsearch import Elasticsearch

VERSION: Final = 1
"""Of the design below: one more with each change."""

PRIORITY: Final = 300
"""Above the built-in templates for `logs-*-*` and `metrics-*-*`, which have 100."""

OWNER: Final = "edgewarden"
MAPPINGS: Final = "edgewarden@mappings"
SETTINGS: Final = "edgewarden@settings"
PATTERNS: Final = {
    "logs-edgewarden.violation": "logs-edgewarden.violation-*",
    "metrics-edgewarden.coverage": "metrics-edgewarden.coverage-*",
}

FALLBACKS: Final = {"match_only_text": "text", "constant_keyword": "keyword", "wildcard": "keyword"}
"""Types of modules that a server may lack."""

_KEYWORDS: Final = """
    ecs.version event.kind event.category event.type event.module event.dataset rule.id rule.name rule.category
    rule.ruleset network.type network.transport network.protocol network.community_id network.vlan.id
    network.inner.vlan.id observer.name observer.vendor observer.product observer.type observer.version
    organization.name tls.version tls.version_protocol tls.cipher tls.next_protocol
    tls.client.server_name tls.client.ja3 tls.server.ja3s http.request.method url.domain dns.question.name
    edgewarden.finding.id edgewarden.finding.subject edgewarden.severity edgewarden.position edgewarden.side
    edgewarden.verdict edgewarden.path edgewarden.nearest_path edgewarden.ports edgewarden.services
    edgewarden.initiator edgewarden.answered edgewarden.tcp.history edgewarden.tls.ja4 edgewarden.tls.mutual
    edgewarden.source.zone edgewarden.source.role edgewarden.source.component edgewarden.destination.zone
    edgewarden.destination.role edgewarden.destination.component edgewarden.capture.path edgewarden.capture.sha256
    edgewarden.evidence.path edgewarden.evidence.sha256 edgewarden.topology.digest edgewarden.display_filter
    edgewarden.run.kind edgewarden.record.uuid edgewarden.record.table
""".split()  # noqa: SIM905  (a list to be read and edited)

_NUMBERS: Final = """
    event.severity source.port source.packets source.bytes destination.port destination.packets destination.bytes
    network.packets network.bytes edgewarden.flows edgewarden.packets edgewarden.bytes edgewarden.first edgewarden.last
    edgewarden.capture.size edgewarden.capture.frame edgewarden.evidence.packets edgewarden.run.id
    edgewarden.record.version edgewarden.record.row edgewarden.record.chunk
""".split()  # noqa: SIM905  (a list to be read and edited)


def _x509(end: str) -> Iterator[tuple[str, dict[str, Any]]]:
    at = f"tls.{end}.x509"
    for name in ("subject.common_name", "issuer.common_name", "alternative_names", "serial_number"):
        yield f"{at}.{name}", _KEYWORD
    yield f"{at}.public_key_algorithm", _KEYWORD
    yield f"{at}.public_key_size", {"type": "long"}
    yield f"{at}.not_before", {"type": "date"}
    yield f"{at}.not_after", {"type": "date"}
    yield f"tls.{end}.hash.sha256", _KEYWORD


_KEYWORD: Final[dict[str, Any]] = {"type": "keyword", "ignore_above": 1024}  # as ECS has it

FIELDS: Final[dict[str, dict[str, Any]]] = {
    "@timestamp": {"type": "date", "ignore_malformed": False},
    "message": {"type": "match_only_text"},
    "data_stream.type": {"type": "constant_keyword"},
    "data_stream.dataset": {"type": "constant_keyword"},
    "data_stream.namespace": {"type": "constant_keyword"},
    "url.path": {"type": "wildcard"},
    **dict.fromkeys(_KEYWORDS, _KEYWORD),
    **{name: {"type": "long"} for name in _NUMBERS},
    **{name: {"type": "date"} for name in ("event.start", "event.end", "event.created")},
    **{name: {"type": "ip"} for name in ("source.ip", "destination.ip", "related.ip")},
    **{name: {"type": "boolean"} for name in ("tls.resumed", "tls.established")},
    **dict(_x509("client")),
    **dict(_x509("server")),
    **{
        f"edgewarden.{name}": {"type": "flattened", "ignore_above": 1024}
        for name in ("accounting", "quality", "controls", "sip", "stun", "xmpp")
    },
    "edgewarden.record.data": {"type": "object", "enabled": False},
}


@dataclass(frozen=True, slots=True)
class Change:
    """What is there of a template, and what is to be done: "kept", "made", "renewed" or "refused" with the reason."""

    name: str
    action: str
    why: str = ""


def designs() -> dict[str, dict[str, Any]]:
    """Every template by name, as it would be on a server that has all types."""
    made: dict[str, dict[str, Any]] = {
        SETTINGS: {
            "template": {
                "settings": {
                    "index.mode": "standard",  # others make _source anew from the fields, and not all of it
                    "index.mapping.ignore_malformed": True,
                    "index.refresh_interval": "1s",  # said, so that a stream nobody searches is refreshed, too
                    "index.auto_expand_replicas": "0-1",  # green on one node, a second copy where there is one
                }
            }
        },
        MAPPINGS: {"template": {"mappings": {"dynamic": False, "properties": _nested()}}},
    }
    for name, pattern in PATTERNS.items():
        made[name] = {
            "index_patterns": [pattern],
            "priority": PRIORITY,
            "data_stream": {},
            "composed_of": [SETTINGS, MAPPINGS],
            "template": {"lifecycle": {"enabled": True}},  # rolled over by size and age; nothing is deleted
        }
    for body in made.values():
        digest = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
        body["version"] = VERSION
        body["_meta"] = {"managed_by": OWNER, "version": VERSION, "digest": digest}
    return made


def compare(client: Elasticsearch, *, force: bool = False) -> list[Change]:
    """Each template against the design. Raises what the client raises."""
    return [_compared(name, body, _existing(client, name), force) for name, body in designs().items()]


def setup(client: Elasticsearch, target: Target, *, force: bool = False) -> tuple[list[Change], dict[str, str]]:
    """Put what is missing or old; types that had to be replaced. With something refused nothing is changed, which is
    an OperatorMistake. A stream that is there already gets its new fields by a rollover."""
    changes = compare(client, force=force)
    refused = [change for change in changes if change.action == "refused"]
    if refused:
        told = "; ".join(f"{change.name} {change.why}" for change in refused)
        raise OperatorMistake(f"{target.name}: nothing was changed: {told} (--force replaces what is there)")
    replaced: dict[str, str] = {}
    for change in changes:
        if change.action != "kept":
            _put(client, change.name, designs()[change.name], replaced)
    if any(change.action == "renewed" for change in changes):
        for stream in target.streams:
            if client.indices.exists(index=stream):
                client.indices.rollover(alias=stream)
    return changes, replaced


def replaced_types(client: Elasticsearch) -> dict[str, str]:
    """Types that the cluster lacked when its templates were made."""
    found = _existing(client, MAPPINGS) or {}
    replaced = found.get("_meta", {}).get("replaced", {})
    return {str(key): str(value) for key, value in replaced.items()}


def _compared(name: str, body: dict[str, Any], found: dict[str, Any] | None, force: bool) -> Change:
    if found is None:
        return Change(name, "made")
    meta = found.get("_meta") or {}
    if meta.get("managed_by") != OWNER:
        return Change(name, "renewed") if force else Change(name, "refused", "was made by somebody else")
    try:
        newer = int(meta.get("version", 0)) > VERSION
    except (TypeError, ValueError):
        newer = True
    if newer:
        return Change(name, "renewed") if force else Change(name, "refused", "was made by a newer edgewarden")
    return Change(name, "kept" if meta.get("digest") == body["_meta"]["digest"] else "renewed")


def _existing(client: Elasticsearch, name: str) -> dict[str, Any] | None:
    from elasticsearch import NotFoundError

    try:
        if name in PATTERNS:
            answer: Any = client.indices.get_index_template(name=name)
            return dict(answer["index_templates"][0]["index_template"])
        answer = client.cluster.get_component_template(name=name)
        return dict(answer["component_templates"][0]["component_template"])
    except (NotFoundError, IndexError):
        return None


def _put(client: Elasticsearch, name: str, body: dict[str, Any], replaced: dict[str, str]) -> None:
    """Put a template; a type that the cluster does not know is replaced, and put again."""
    from elasticsearch import BadRequestError

    while True:
        text = json.dumps(body)
        for missing, instead in replaced.items():
            text = text.replace(f'"type": "{missing}"', f'"type": "{instead}"')
        asked = json.loads(text)
        if name == MAPPINGS:
            asked["_meta"]["replaced"] = replaced
        try:
            if name in PATTERNS:
                client.indices.put_index_template(name=name, body=asked)
            else:
                client.cluster.put_component_template(name=name, body=asked)
            return
        except BadRequestError as error:
            match = re.search(r"mapper type \[(\w+)\]|[Nn]o handler for type \[(\w+)\]", reason(error.body))
            missing = (match[1] or match[2]) if match else ""
            if missing not in FALLBACKS or missing in replaced:
                raise
            replaced[missing] = FALLBACKS[missing]


def _nested() -> dict[str, Any]:
    """FIELDS with their dotted names as the properties of a mapping."""
    root: dict[str, Any] = {}
    for name, described in FIELDS.items():
        place = root
        *way, last = name.split(".")
        for part in way:
            place = place.setdefault(part, {}).setdefault("properties", {})
        place[last] = dict(described)
    return root
