"""`python -m monitor.simulate --topology FILE --out DIR [--violations]`: the process that imports scapy.

Prints the result as one line of JSON. Exit status 2: the topology or the folder is at fault; 4: we are.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from dataclasses import asdict
from pathlib import Path


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m monitor.simulate")
    parser.add_argument("--topology", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--violations", action="store_true")
    chosen = parser.parse_args()
    logging.getLogger("scapy.runtime").setLevel(logging.ERROR)  # else a host without routes is told so on stderr
    from monitor.simulate.captures import simulate
    from rules.load import TopologyFaults, TopologyUnreadable, load

    try:
        result = simulate(load(chosen.topology), chosen.out, chosen.violations)
    except (TopologyFaults, TopologyUnreadable, OSError) as fault:
        print(fault, file=sys.stderr)
        return 2
    document = asdict(result)
    document["skipped"] = [{"scenario": scenario, "why": why} for scenario, why in result.skipped]
    print(json.dumps(document))
    return 0


if __name__ == "__main__":
    sys.exit(main())
