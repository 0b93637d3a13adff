"""Writes docs/policy.md from the tables of the program. Run it after a change of a path or a rule."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from reports.policy_document import policy_document  # noqa: E402  (found by the line above)

if __name__ == "__main__":
    page = ROOT / "docs" / "policy.md"
    page.parent.mkdir(exist_ok=True)
    page.write_text(policy_document(), encoding="utf-8")
