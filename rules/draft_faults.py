"""What a draft says that no topology may: names or addresses that two things claim, texts that nobody can read.

Strategy: read the draft as `edgewarden topology check` will, and tell each fault that is not one of its TODO. Whatever
the source contradicts itself in is found by the same code that would refuse the file later, so nothing comes as a
surprise after the TODO are filled in. The lines stay where they are: what is told stands at the end.
"""

from __future__ import annotations

from rules.document import FileFaults
from rules.draft import TODO, Draft
from rules.load import read


def doubt_what_is_refused(draft: Draft) -> None:
    """Tells each at the end of the draft, with its line."""
    lines = draft.text.split("\n")
    try:
        read(draft.text.encode(), "draft")
    except FileFaults as error:
        faults = [fault for fault in error.faults if not lines[fault.line - 1][fault.column - 1 :].startswith(TODO)]
    else:
        return
    if faults:
        draft.blank()
    for fault in faults:
        draft.doubt(0, f"line {fault.line} of this draft will be refused: {fault.message} ({fault.hint})")
