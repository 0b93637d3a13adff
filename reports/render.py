"""The result of an audit as JSON, text and HTML, and the policy list as text.

Strategy: pure functions of the published dictionary (`reports/schemas/audit.json`), so that a stored result gives the
same page as a fresh one. The HTML is one file that loads nothing: a reviewer opens it from a mail on a machine without
a network. jinja2 escapes every value; text from the wire was made visible before it came here.
"""

from __future__ import annotations

import json
import textwrap
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined

from reports.visible import visible

SEVERITIES: Final = ("critical", "high", "medium", "low", "info")

LOSSES: Final = {
    "in_flows": "in flows",
    "non_ip": "not IP",
    "duplicate": "captured twice",
    "fragment_incomplete": "fragments never completed",
    "undecodable": "undecodable",
    "table_full": "no room in the flow table",
    "filtered": "outside the time asked for",
}
"""Names of the accounting in words."""

_UNREAD: Final = {
    "kernel": "for which the kernel had no room",
    "nic": "that the interface could not take",
    "queue": "not read when the sensor was stopped",
    "interrupted": "read and not recorded when it was killed",
}
"""Names of live losses in words."""

_WIDTH: Final = 100
_FEW: Final = 20
"""Rules of one reason that are still named one by one on a terminal; the JSON and the HTML name all."""

_GAPS: Final = 20
"""Gaps named of one sensor, the newest."""

VERDICTS: Final = {
    "violations": "VIOLATIONS",
    "inconclusive": "INCONCLUSIVE",
    "no-violation-seen": "NO VIOLATION SEEN",
}


def render_json(result: dict[str, Any]) -> str:
    return json.dumps(result, indent=2, ensure_ascii=False) + "\n"


def render_text(result: dict[str, Any]) -> str:
    """A page for a terminal, plain characters only, lines of at most 100 columns where words allow."""
    lines = [*paragraph(f"{VERDICTS[result['verdict']]}: {result['why']}", ""), ""]
    lines += _captures(result)
    lines += _findings(result)
    lines += _waivers(result)
    lines += _attempts(result)
    lines += _paths(result)
    lines += _totals(result)
    lines += _coverage(result)
    return "\n".join(visible(line) for line in lines) + "\n"


def render_findings(listing: dict[str, Any]) -> str:
    """`findings` for a terminal, as the page of an audit shows them."""
    return "\n".join(visible(line) for line in [*_findings(listing), *_attempts(listing)]).rstrip("\n") + "\n"


def render_store(known: dict[str, Any]) -> str:
    """`store info` for a terminal."""
    first, last = (moment(at) for at in known["recorded"])
    lines = [
        f"Record:    {known['path']}",
        f"Version:   {known['version']}",
        *([f"Size:      {known['size']:,} bytes"] if known["size"] is not None else []),
        f"Audits:    {known['audits']:,}",
        f"Sensors:   {known['sessions']:,} times started",
        f"Captures:  {known['captures']:,}",
        f"Flows:     {known['flows']:,} judged",
        f"Findings:  {known['findings']:,}",
        f"Written:   first {first}, last begun {last}",
    ]
    if known["watched"]:
        rows = [
            (
                sensor["sensor"],
                sensor["position"],
                f"{sensor['packets']:,}",
                f"{sum(sensor['lost'].values()):,}",
                moment(sensor["first"]),
                moment(sensor["last"]),
                f"{sensor['spans']:,}",
            )
            for sensor in known["watched"]
        ]
        lines += ["", *_table(("SENSOR", "POSITION", "PACKETS", "LOST", "FIRST (UTC)", "LAST (UTC)", "SPANS"), rows)]
    for sensor in known["watched"]:
        if sensor["lost"]:
            lost = ", ".join(f"{count:,} {_UNREAD[name]}" for name, count in sensor["lost"].items())
            lines += ["", *paragraph(f"Lost at {sensor['sensor']}: {lost}", "")]
        for begin, end, why in sensor["gaps"][-_GAPS:]:
            until = "the next start" if end is None else moment(end)
            lines.append(f"Not watched at {sensor['sensor']}: {moment(begin)} to {until}: {why}")
    return "\n".join(visible(line) for line in lines) + "\n"


def render_checks(checks: Sequence[dict[str, Any]]) -> str:
    """`doctor` for a terminal: state, what was looked at, what was found, and the remedy."""
    name = max((len(check["name"]) for check in checks), default=0)
    lines = []
    for check in checks:
        remedy = f" ({check['remedy']})" if check["remedy"] else ""
        lines.append(f"{check['state']:<8} {check['name']:<{name}}  {check['text']}{remedy}")
    return "".join(visible(line) + "\n" for line in lines)


def render_schedules(rows: Sequence[Sequence[str]]) -> str:
    """`schedule list` for a terminal."""
    titles = ("NAME", "EVERY", "ZONE", "LAST REPORTED", "NEXT DUE", "OF")
    lines = _table(titles, rows) if rows else ["no reports"]
    return "\n".join(visible(line) for line in lines) + "\n"


def render_html(result: dict[str, Any]) -> str:
    """One self-contained page."""
    page = template("audit.html").render(
        result=result,
        severities=[
            (severity, found)
            for severity in SEVERITIES
            if (found := [f for f in result["findings"] if f["severity"] == severity and f["position"] != "config"])
        ],
        config=[f for f in result["findings"] if f["position"] == "config"],
        used=[path for path in result["paths"] if path["flows"]],
        unused=[path for path in result["paths"] if not path["flows"]],
        accounting=accounting(result["captures"]),
        loss_names=LOSSES,
        began=min((c["first"] for c in result["captures"] if c["first"]), default=None),
        ended=max((c["last"] for c in result["captures"] if c["last"]), default=None),
        title=VERDICTS[result["verdict"]].capitalize(),
        moment=moment,
    )
    return str(page)


def render_policy(listing: dict[str, Any]) -> str:
    """`policy list` for a terminal."""
    lines = ["ROWS", ""]
    rows = [
        (
            "yes" if path["applies"] else "no",
            path["id"],
            f"{path['source']} -> {path['destination']}",
            f"{path['transport']} {', '.join(map(str, path['ports']))}".strip(),
            path["service"] or "",
        )
        for path in listing["paths"]
    ]
    lines += _table(("APPLIES", "ROW", "FROM -> TO", "PORTS", "SERVICE"), rows)
    held_back = [(path["id"], path["why"]) for path in listing["paths"] if not path["applies"]]
    if held_back:
        lines += ["", "Rows that do not apply here:"]
        for name, why in held_back:
            lines += paragraph(f"{name}: {why}", "  ")
    lines += ["", "RULES", ""]
    lines += _table(
        ("STATE", "SEVERITY", "RULE", "POSITIONS"),
        [(rule["state"], rule["severity"], rule["id"], ", ".join(rule["positions"])) for rule in listing["rules"]],
    )
    silent = [(rule["id"], rule["why"]) for rule in listing["rules"] if rule["state"] != "on"]
    if silent:
        lines += ["", "Rules that cannot fire here:"]
        for name, why in silent:
            lines += paragraph(f"{name}: {why}", "  ")
    return "\n".join(visible(line) for line in lines) + "\n"


def render_answer(answer: dict[str, Any]) -> str:
    """`policy ask` for a terminal: the answer, then the steps that lead to it."""
    by = [answer["path"]] if answer["path"] and answer["answer"] == "allowed" else answer["rules"]
    lines = [f"{answer['answer']}: {', '.join(by)}" if by else answer["answer"], ""]
    for step in answer["trace"]:
        lines += paragraph(step, "  ")
    return "\n".join(visible(line) for line in lines) + "\n"


def accounting(captures: Iterable[dict[str, Any]]) -> dict[str, int]:
    """Sums of the captures' accounting, by name."""
    sums = dict.fromkeys(LOSSES, 0)
    for capture in captures:
        for name, packets in capture["accounting"].items():
            sums[name] = sums.get(name, 0) + packets
    return sums


def endpoint(end: dict[str, Any]) -> str:
    """An end of a finding in words: component and role, else zone."""
    if end["component"] and end["role"]:
        return f"{end['component']} ({end['role']})"
    return str(end["component"] or end["role"] or end["zone"] or "the site")


def ports(finding: dict[str, Any]) -> str:
    """The destination ports of a finding in words."""
    seen = finding["ports"]
    if not seen["distinct"]:
        return str(finding["transport"])
    if seen["distinct"] == 1:
        return f"{finding['transport']}/{seen['min']}"
    return f"{finding['transport']}/{seen['min']}-{seen['max']} ({seen['distinct']} ports)"


def opinion(second: dict[str, Any]) -> str:
    """What another tool says of a finding's flows, in words."""
    agrees = {True: "agrees", False: "differs", None: "undecided"}[second["agrees"]]
    return f"{agrees}: {second['why']}"


def waiver(waived_by: dict[str, str]) -> str:
    """Who accepted a finding, in words."""
    return f"{waived_by['owner']} until {waived_by['expires']}: {waived_by['reason']}"


def plural(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def moment(text: str | None) -> str:
    """A time of the result to the second, for reading."""
    return "-" if text is None else f"{text[:10]} {text[11:19]}"


@cache
def template(name: str) -> Any:
    """A page of `reports/templates`, with escaping on."""
    environment = Environment(
        loader=PackageLoader("reports", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        endpoint=endpoint, ports=ports, plural=plural, moment=moment, opinion=opinion, waiver=waiver
    )
    return environment.get_template(name)


# --- parts of the text -----------------------------------------------------------------------------------------------


def _captures(result: dict[str, Any]) -> list[str]:
    rows = []
    for capture in result["captures"]:
        state = "whole" if capture["complete"] else "incomplete"
        rows.append(
            (
                capture["sensor"] or "",
                capture["position"] or "",
                f"{capture['packets']:,}",
                moment(capture["first"]),
                moment(capture["last"]),
                state,
                capture["path"],
            )
        )
    lines = [f"Topology: {result['topology']['organization']}  {result['topology']['digest'][:19]}…", ""]
    return [
        *lines,
        *_table(("SENSOR", "POSITION", "PACKETS", "FIRST (UTC)", "LAST (UTC)", "STATE", "CAPTURE"), rows),
        "",
    ]


def _findings(result: dict[str, Any]) -> list[str]:
    found = result["findings"]
    lines = [f"Findings: {_counted(found)}", ""]
    for finding in found:
        waived = "  WAIVED" if finding["waived_by"] else ""
        lines.append(
            f"{finding['severity'].upper()}  {finding['rule']}  at {finding['position']}  [{finding['id']}]{waived}"
        )
        lines += paragraph(finding["reason"], "    ")
        if finding["waived_by"]:
            lines += paragraph(f"waived by {waiver(finding['waived_by'])}", "    ")
        if finding["position"] == "config":
            lines.append("")
            continue
        lines += paragraph(
            f"{endpoint(finding['source'])} -> {endpoint(finding['destination'])}, {ports(finding)}"
            + (f", {finding['service']}" if finding["service"] else "")
            + (f", {finding['subject']}" if finding["subject"] else ""),
            "    ",
        )
        lines.append(
            f"    {plural(finding['flows'], 'flow')}, {plural(finding['packets'], 'packet')}, "
            f"{moment(finding['first'])} to {moment(finding['last'])}"
        )
        if finding["nearest_path"]:
            lines.append(f"    nearest allowed path: {finding['nearest_path']}")
        for sample in finding["samples"][:1]:
            lines.append(f"    for example {sample['capture']} frame {sample['frame']}: {sample['display_filter']}")
        for evidence in finding["evidence"]:
            lines.append(f"    evidence: {evidence['path']} ({plural(evidence['packets'], 'packet')})")
        if finding["second_opinion"]:
            lines += paragraph(f"second opinion: {opinion(finding['second_opinion'])}", "    ")
        lines.append("")
    return lines


def _counted(found: Sequence[dict[str, Any]]) -> str:
    """How many, those said apart that the verdict's sentence leaves out."""
    kinds = Counter(_kind(finding) for finding in found)
    apart = [f"{count} {kind}" for kind, count in sorted(kinds.items()) if kind]
    return f"{kinds[''] or 'none'}" + (f", and {', '.join(apart)}" if apart else "")


def _kind(finding: dict[str, Any]) -> str:
    """Why it makes no violation; "" where it makes one."""
    if finding["position"] == "config":
        return "about the declared design"
    if finding["waived_by"]:
        return "waived"
    return "of severity info" if finding["severity"] == "info" else ""


def _waivers(result: dict[str, Any]) -> list[str]:
    told = result.get("waivers")
    if told is None:
        return []
    lines = [f"Waived: {plural(told['findings'], 'finding')}"]
    for note in told["notes"]:
        lines += paragraph(note, "  ")
    return [*lines, ""]


def _attempts(result: dict[str, Any]) -> list[str]:
    if not result["attempts"]:
        return ["Attempts: none", ""]
    rows = [
        (
            attempt["rule"],
            attempt["position"],
            f"{attempt['flows']:,}",
            f"{attempt['sources']:,}",
            f"{attempt['ports']['min']}-{attempt['ports']['max']}"
            if attempt["ports"]["distinct"] > 1
            else str(attempt["ports"]["min"] if attempt["ports"]["distinct"] else "-"),
        )
        for attempt in result["attempts"]
    ]
    title = "Attempts that did not get through:"
    return [title, "", *_table(("RULE", "POSITION", "FLOWS", "SOURCES", "PORTS"), rows), ""]


def _paths(result: dict[str, Any]) -> list[str]:
    used = [path for path in result["paths"] if path["flows"]]
    unused = [path["id"] for path in result["paths"] if not path["flows"]]
    lines = [f"Paths used: {len(used)} of {len(result['paths'])}", ""]
    if used:
        rows = [(path["id"], f"{path['flows']:,}", f"{path['bytes']:,}") for path in used]
        lines += [*_table(("PATH", "FLOWS", "BYTES"), rows), ""]
    if unused:
        lines += [*paragraph("not used: " + ", ".join(unused), ""), ""]
    return lines


def _totals(result: dict[str, Any]) -> list[str]:
    totals = result["totals"]
    judged = ", ".join(
        f"{totals[name]:,} {name.replace('_', ' ')}"
        for name in ("allowed", "violation", "attempt", "undecided", "out_of_scope")
    )
    sums = accounting(result["captures"])
    parts = ", ".join(f"{packets:,} {LOSSES.get(name, name)}" for name, packets in sums.items() if packets)
    return [
        *paragraph(f"Flows: {totals['flows']:,} = {judged}", ""),
        *paragraph(f"Packets: {totals['packets']:,} = {parts or 'none'}", ""),
        "",
    ]


def _coverage(result: dict[str, Any]) -> list[str]:
    coverage = result["coverage"]
    known = len(coverage["observable"]) + len(coverage["not_observable"])
    lines = [f"Coverage: {len(coverage['observable'])} of {known} rules could be observed"]
    reasons: dict[str, list[str]] = {}
    for entry in coverage["not_observable"]:
        reasons.setdefault(entry["why"], []).append(entry["rule"])
    for why, rules in reasons.items():
        named = plural(len(rules), "rule") if len(rules) > _FEW else ", ".join(rules)
        lines += paragraph(f"{why}: {named}", "  ")
    return lines


def _table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(cell) for cell in column) for column in zip(titles, *rows, strict=True)]
    return [
        "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in (titles, *rows)
    ]


def paragraph(text: str, indent: str) -> list[str]:
    """Lines of at most `_WIDTH` columns where words allow."""
    return textwrap.wrap(
        text,
        _WIDTH,
        initial_indent=indent,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
