"""What changed between two results of an audit (`edgewarden diff`): findings new, gone and changed, and use of paths.

Strategy: findings are the same when their ids are, which say rule, place, ends, port and subject. Nothing is called
gone that the later audit could not have seen again: where it had no capture of that position, or could not observe
that rule, the finding stands under `not_compared`. Results come from files that anybody may have written, so
everything that is read of them is checked first. Pure; files and exit statuses are the caller's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from reports.render import SEVERITIES, endpoint, paragraph, plural, ports, waiver
from reports.visible import visible
from rules.names import POSITIONS

CONFIG: Final = "config"

COMPARED: Final = ("severity", "flows", "ports", "nearest_path", "waived_by")
"""What is told of a finding that stands in both; packets and times are never the same."""

_NAMED: Final = ("id", "rule", "severity", "position", "source", "destination", "transport", "subject", "reason")


class NoResult(ValueError):
    """What was read is no result of an audit; the text says why, without naming the file."""


# --- reading ---------------------------------------------------------------------------------------------------------


def checked(result: Any) -> dict[str, Any]:
    """`result` if it is what `audit --format json` writes, as far as it is read here. Raises NoResult."""
    if not isinstance(result, dict) or result.get("product") != "edgewarden" or "captures" not in result:
        raise NoResult("this is no result of `edgewarden audit --format json`")
    if result.get("schema") != 1:
        raise NoResult("its `schema` is not 1: it was written by another version (audit the captures again)")
    for name in ("topology", "policy"):
        _shape(result, name, dict, name)
        _shape(result[name], "digest", str, f"{name}.digest")
    for number, capture in enumerate(_items(result, "captures", dict)):
        _shape(capture, "position", str, f"captures[{number}].position")
    for number, path in enumerate(_items(result, "paths", dict)):
        _shape(path, "id", str, f"paths[{number}].id")
        _shape(path, "flows", int, f"paths[{number}].flows")
    for number, finding in enumerate(_items(result, "findings", dict)):
        _finding(finding, f"findings[{number}]")
    _shape(result, "coverage", dict, "coverage")
    for number, rule in enumerate(_items(result["coverage"], "observable", str)):
        if not isinstance(rule, str):
            raise NoResult(f"coverage.observable[{number}] is no text")
    return result


def _finding(finding: Mapping[str, Any], place: str) -> None:
    for name in ("id", "rule", "severity", "position", "transport", "service", "subject", "reason"):
        _shape(finding, name, str, f"{place}.{name}")
    if finding["severity"] not in SEVERITIES:
        raise NoResult(f"{place}.severity is none of {', '.join(SEVERITIES)}")
    if finding["position"] not in (*POSITIONS, CONFIG):
        raise NoResult(f"{place}.position is none of {', '.join((*POSITIONS, CONFIG))}")
    _shape(finding, "flows", int, f"{place}.flows")
    _shape(finding, "nearest_path", str | None, f"{place}.nearest_path")
    _shape(finding, "ports", dict, f"{place}.ports")
    for name, kind in (("min", int | None), ("max", int | None), ("distinct", int)):
        _shape(finding["ports"], name, kind, f"{place}.ports.{name}")
    for end in ("source", "destination"):
        _shape(finding, end, dict, f"{place}.{end}")
        for name in ("zone", "role", "component"):
            _shape(finding[end], name, str | None, f"{place}.{end}.{name}")
    _shape(finding, "waived_by", dict | None, f"{place}.waived_by")
    for name in ("owner", "reason", "expires") if finding["waived_by"] is not None else ():
        _shape(finding["waived_by"], name, str, f"{place}.waived_by.{name}")


def _items(holder: Mapping[str, Any], name: str, kind: type) -> list[Any]:
    _shape(holder, name, list, name)
    for number, item in enumerate(holder[name]):
        if not isinstance(item, kind):
            raise NoResult(f"{name}[{number}] is not what an audit writes there")
    items: list[Any] = holder[name]
    return items


def _shape(holder: Mapping[str, Any], name: str, kind: Any, place: str) -> None:
    if name not in holder:
        raise NoResult(f"{place} is missing")
    if not isinstance(holder[name], kind) or isinstance(holder[name], bool):
        raise NoResult(f"{place} is not what an audit writes there")


# --- comparing -------------------------------------------------------------------------------------------------------


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """The published dictionary, of two results that were `checked`."""
    then = {finding["id"]: finding for finding in before["findings"]}
    now = {finding["id"]: finding for finding in after["findings"]}
    missing = [finding for name, finding in then.items() if name not in now]
    return {
        "schema": 1,
        "new": [finding for name, finding in now.items() if name not in then],
        "gone": [finding for finding in missing if _could_be_seen(finding, after)],
        "changed": [
            {**{key: now[name][key] for key in _NAMED}, "changes": differences}
            for name in now
            if name in then and (differences := _differences(then[name], now[name], COMPARED))
        ],
        "not_compared": [finding for finding in missing if not _could_be_seen(finding, after)],
        "paths": _paths(before["paths"], after["paths"]),
        "judged_alike": all(before[name]["digest"] == after[name]["digest"] for name in ("topology", "policy")),
    }


def _could_be_seen(finding: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    if finding["position"] == CONFIG:
        return True
    watched = any(capture["position"] == finding["position"] for capture in after["captures"])
    return watched and finding["rule"] in after["coverage"]["observable"]


def _differences(then: Mapping[str, Any], now: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    return {name: {"before": then[name], "after": now[name]} for name in names if then[name] != now[name]}


def _paths(before: Iterable[Mapping[str, Any]], after: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Paths whose flows differ, in the order of the later result; None where a path did not apply."""
    then = {path["id"]: path["flows"] for path in before}
    now = {path["id"]: path["flows"] for path in after}
    return [
        {"id": name, "before": then.get(name), "after": now.get(name)}
        for name in dict.fromkeys([*now, *then])
        if then.get(name) != now.get(name)
    ]


def counts(finding: Mapping[str, Any]) -> bool:
    """Whether it makes the exit status of an audit 1: neither waived, nor of the design, nor merely noted."""
    return finding["waived_by"] is None and finding["position"] != CONFIG and finding["severity"] != "info"


# --- in words --------------------------------------------------------------------------------------------------------


def render_changes(told: Mapping[str, Any]) -> str:
    """A page for a terminal."""
    lines = []
    if not told["judged_alike"]:
        lines += [*paragraph("The topology or the policy differs: some changes may come from there.", ""), ""]
    for key, title in (
        ("new", "New findings"),
        ("gone", "Findings gone"),
        ("changed", "Findings changed"),
        ("not_compared", "Findings that the later audit could not see (no capture there, or the rule not observable)"),
    ):
        found = told[key]
        if key == "not_compared" and not found:
            continue
        lines += [f"{title}: {len(found) or 'none'}", ""]
        for finding in sorted(found, key=lambda f: SEVERITIES.index(f["severity"])):
            lines += _finding_lines(finding)
    lines += _path_lines(told["paths"])
    return "\n".join(visible(line) for line in lines).rstrip("\n") + "\n"


def _finding_lines(finding: Mapping[str, Any]) -> list[str]:
    lines = [f"{finding['severity'].upper()}  {finding['rule']}  at {finding['position']}  [{finding['id']}]"]
    lines += paragraph(finding["reason"], "    ")
    if finding["position"] != CONFIG and "changes" not in finding:
        ends = f"{endpoint(finding['source'])} -> {endpoint(finding['destination'])}, {ports(dict(finding))}"
        lines += paragraph(f"{ends}, {plural(finding['flows'], 'flow')}", "    ")
    if finding.get("waived_by"):
        lines += paragraph(f"waived by {waiver(finding['waived_by'])}", "    ")
    for name, change in finding.get("changes", {}).items():
        words = [_word(name, change[when], finding["transport"]) for when in ("before", "after")]
        lines += paragraph(f"{name.replace('_', ' ')}: {words[0]}, now {words[1]}", "    ")
    return [*lines, ""]


def _word(name: str, value: Any, transport: str) -> str:
    if value is None:
        return "none"
    if name == "ports":
        return ports({"ports": value, "transport": transport})
    return waiver(value) if name == "waived_by" else str(value)


def _path_lines(paths: Iterable[Mapping[str, Any]]) -> list[str]:
    groups: dict[str, list[str]] = {}
    for path in paths:
        then, now = path["before"], path["after"]
        if then is None or now is None:
            title = "Paths that apply now" if then is None else "Paths that apply no longer"
        elif not then or not now:
            title = "Paths used now" if now else "Paths used no longer"
        else:
            title = "Paths used more or less"
        flows = ""
        if then and now:
            flows = f" ({plural(then, 'flow')}, now {now:,})"
        elif then or now:
            flows = f" ({plural(now or then, 'flow')})"
        groups.setdefault(title, []).append(path["id"] + flows)
    lines = []
    for title, named in sorted(groups.items()):
        lines += [*paragraph(f"{title}: {', '.join(named)}", ""), ""]
    return lines or ["Paths: used as before"]
