"""One finding in words, for a terminal: what was seen, why it matters, what comes nearest, and the packets.

Strategy: a pure function of the published dictionary (`schema explain`); every line passes `visible` once more, since
its texts come from the wire, from a record and from another tool.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import Any, Final

from reports.render import endpoint, moment, opinion, plural, ports
from reports.visible import visible

_WIDTH: Final = 100
_LINES: Final = 16
"""Fields of one layer that are shown; the JSON has more."""

_FACTS: Final = (
    ("TLS server name", ("tls", "client", "server_name")),
    ("TLS version", ("tls", "version")),
    ("server certificate", ("tls", "server", "x509", "subject", "common_name")),
    ("issued by", ("tls", "server", "x509", "issuer", "common_name")),
    ("client certificate", ("tls", "client", "x509", "subject", "common_name")),
    ("mutual TLS", ("edgewarden", "tls", "mutual")),
    ("SIP method", ("edgewarden", "sip", "method")),
    ("SIP from", ("edgewarden", "sip", "from")),
    ("SIP to", ("edgewarden", "sip", "to")),
    ("SIP status", ("edgewarden", "sip", "status")),
    ("user agent", ("edgewarden", "sip", "user_agent")),
    ("STUN method", ("edgewarden", "stun", "method")),
    ("XMPP from", ("edgewarden", "xmpp", "from")),
    ("XMPP to", ("edgewarden", "xmpp", "to")),
    ("STARTTLS", ("edgewarden", "xmpp", "starttls")),
    ("HTTP method", ("http", "request", "method")),
    ("host", ("url", "domain")),
    ("path", ("url", "path")),
    ("HTTP answer", ("edgewarden", "http", "answer")),
    ("DNS question", ("dns", "question", "name")),
)
"""What a person asks first of a flow, with the way to it in a line of `flows`."""


def render_explanation(told: dict[str, Any]) -> str:
    lines = [line for part in (_what, _why, _near, _allow, _flows, _evidence, _packets) for line in part(told)]
    return "\n".join(visible(line) for line in lines).rstrip("\n") + "\n"


def _what(told: dict[str, Any]) -> Iterator[str]:
    finding = told["finding"]
    yield f"{finding['severity'].upper()}  {finding['rule']}  at {finding['position']}  [{finding['id']}]"
    yield ""
    yield from _wrapped(finding["reason"])
    yield ""
    if finding["position"] == "config":
        return
    for name, end in (("From", finding["source"]), ("To", finding["destination"])):
        yield f"{name + ':':<14}{endpoint(end)}, zone {end['zone']}"
    yield f"{'On the wire:':<14}{ports(finding)}{', ' + finding['service'] if finding['service'] else ''}"
    if finding["subject"]:
        yield f"{'Subject:':<14}{finding['subject']}"
    counted = f"{plural(finding['flows'], 'flow')}, {plural(finding['packets'], 'packet')}"
    yield f"{'Seen:':<14}{counted}, {moment(finding['first'])} to {moment(finding['last'])} UTC"
    yield ""


def _why(told: dict[str, Any]) -> Iterator[str]:
    rule = told["rule"]
    if rule["text"] is None:
        return
    yield "WHY IT MATTERS"
    yield from _wrapped(rule["text"], "  ")
    if rule["sources"]:
        yield from _wrapped(f"Documents: {', '.join(rule['sources'])}", "  ")
    for catalogue, controls in rule["controls"].items():
        yield from _wrapped(f"Controls: {catalogue} {', '.join(controls)}", "  ")
    yield ""


def _near(told: dict[str, Any]) -> Iterator[str]:
    path = told["nearest_path"]
    if path is None:
        return
    yield "NEAREST ALLOWED PATH"
    purpose = f" ({path['purpose']})" if path["purpose"] else ""
    yield from _wrapped(f"{path['id']}{purpose}", "  ")
    wire = " ".join((path["transport"], ", ".join(map(str, path["ports"])))).strip()
    yield from _wrapped(f"allows {path['source']} -> {path['destination']}, {wire}, {path['service']}", "  ")
    for sentence in path["differs"]:
        yield from _wrapped(f"differs: {sentence}", "  ")
    if not path["differs"] and path["ends_compared"]:
        yield "  The flow fits it by ends, transport and port: what breaks the rule is said above."
    if not path["ends_compared"]:
        yield "  The ends were not compared: --topology names the site."
    yield ""


def _allow(told: dict[str, Any]) -> Iterator[str]:
    if told["allowed_by"] is not None:
        yield "IF IT IS WANTED"
        yield "  Declare it in the topology, under policy.local_paths, narrowly and with a date:"
        yield f"    {told['allowed_by']}"
        yield ""


def _flows(told: dict[str, Any]) -> Iterator[str]:
    samples = told["finding"]["samples"]
    if not samples:
        return
    yield f"SAMPLE FLOWS ({len(samples)} of {told['finding']['flows']:,})"
    for sample in samples:
        flow = sample["flow"]
        yield f"  {_end(flow['source'])} -> {_end(flow['destination'])}, {flow['network']['transport']}"
        yield f"    {sample['capture']} frame {sample['frame']} to {sample['last_frame']}: {sample['display_filter']}"
        spoken = ", ".join(flow["edgewarden"]["services"]) or flow["network"].get("protocol") or "no payload"
        answered = flow["edgewarden"]["answered"]
        history = flow["edgewarden"].get("tcp", {}).get("history")
        said = f"{moment(flow['event']['start'])}, {plural(flow['network']['packets'], 'packet')}, {spoken}"
        yield f"    {said}, answered: {answered}{', history ' + history if history else ''}"
        facts = [f"{name} {value}" for name, way in _FACTS if (value := _at(flow, way)) is not None]
        if facts:
            yield from _wrapped("; ".join(facts), "    ")
    yield ""


def _evidence(told: dict[str, Any]) -> Iterator[str]:
    if told["evidence"]:
        yield "EVIDENCE"
        for entry in told["evidence"]:
            why = f": {entry['why']}" if entry["why"] else ""
            yield f"  {entry['path']}"
            yield f"    {plural(entry['packets'], 'packet')}, SHA-256 {entry['sha256']}"
            yield f"    {entry['state']}{why}"
        yield ""


def _packets(told: dict[str, Any]) -> Iterator[str]:
    dissection = told["dissection"]
    if dissection is None:
        if told["finding"]["position"] != "config":
            sentence = told["no_dissection"]
            yield from _wrapped(f"{sentence[0].upper()}{sentence[1:]}.")
        return
    yield f"PACKETS, AS {dissection['tool'].upper()} {dissection['version']} READS THEM"
    second = told["finding"]["second_opinion"]
    if second is not None:
        yield from _wrapped(f"second opinion: {opinion(second)}", "  ")
    start = dissection["packets"][0]["time"] if dissection["packets"] else "0"
    several = len({packet["evidence"] for packet in dissection["packets"]}) > 1
    path = None
    for packet in dissection["packets"]:
        if several and packet["evidence"] != path:
            path = packet["evidence"]
            yield f"  {path}"
        flags = f" {' '.join(packet['flags'])}" if packet["flags"] else ""
        carried = packet["protocols"][-1] if packet["protocols"] else ""
        yield (
            f"  {packet['number']:>3}  {_seconds(start, packet['time'])}  {_end(packet['source'])} -> "
            f"{_end(packet['destination'])}  {packet['transport'] or carried}{flags}, {packet['length']} octets"
        )
        for layer in packet["layers"]:
            yield f"         {layer['name']}"
            for line in layer["lines"][:_LINES]:
                yield f"           {textwrap.shorten(line, _WIDTH - 11, placeholder='…')}"
            if len(layer["lines"]) > _LINES:
                yield f"           … {len(layer['lines']) - _LINES} more (--format json)"
    if dissection["cut"]:
        yield "  There is more than is shown: open the evidence with Wireshark."
    if dissection["fault"]:
        yield from _wrapped(f"{dissection['tool']} stopped early: {dissection['fault']}", "  ")


def _end(end: dict[str, Any]) -> str:
    address = str(end["ip"] or "?")
    if end.get("port") is None:
        return address
    return f"[{address}]:{end['port']}" if ":" in address else f"{address}:{end['port']}"


def _seconds(start: str, time: str) -> str:
    """Since the first packet. Times are seconds with nine decimals, longer than a float tells apart."""
    try:
        nanoseconds = [int(part[0]) * 10**9 + int(part[1]) for part in (text.split(".") for text in (start, time))]
    except (ValueError, IndexError):
        return f"{time:>12}"
    return f"+{(nanoseconds[1] - nanoseconds[0]) / 1e9:10.6f}"


def _at(flow: dict[str, Any], way: tuple[str, ...]) -> Any:
    value: Any = flow
    for step in way:
        value = value.get(step) if isinstance(value, dict) else None
    return value


def _wrapped(text: str, indent: str = "") -> list[str]:
    return textwrap.wrap(
        text, _WIDTH, initial_indent=indent, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )
