"""Prints what proves each rule: whether it is judged or why not, and how many flows trip it or nearly do.

Counted are rows of tests/policy/tables (a rule's own flows, alone or together; near misses apart), scenarios of
`simulate` and rows of tests/sites that expect the rule.
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

from ruamel.yaml import YAML

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from monitor.simulate.table import sheets  # noqa: E402  (found by the line above)
from rules.catalogue import catalogue  # noqa: E402
from tests.policy.cases import cases  # noqa: E402
from tests.policy.joined_cases import joined_cases  # noqa: E402


def site_rows() -> Counter[str]:
    """Rule → rows of the sites' tables that expect it, alone or of several flows."""
    found: Counter[str] = Counter()
    for path in sorted((ROOT / "tests" / "sites").glob("*.flows.yaml")):
        document = YAML(typ="safe").load(path)
        for position in ("external", "internal"):
            for row in document[position]:
                found.update({*row.get("rules", ()), *(row.get("silenced") or ())})
        found.update(entry["rule"] for entry in document.get("several", ()))
    return found


def main() -> None:
    rows = (*cases("rules"), *joined_cases())
    kinds = {kind: Counter(case.of for case in rows if case.near is kind) for kind in (False, True)}
    scenarios = Counter(
        rule for sheet in sheets() for each in sheet.scenarios for rule in {*each.expect.rules, *each.expect.silenced}
    )
    sites = site_rows()
    print("| Rule | Severity | Judged | Trips | Near misses | Scenarios | Rows of sites |")
    print("|---|---|---|---|---|---|---|")
    for entry in catalogue():
        counts = (kinds[False], kinds[True], scenarios, sites)
        numbers = " | ".join(str(counted[entry.id]) for counted in counts)
        print(f"| `{entry.id}` | {entry.severity} | {'yes' if entry.built else entry.why} | {numbers} |")


if __name__ == "__main__":
    main()
