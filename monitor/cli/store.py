"""`edgewarden store`: the record itself."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING, Any

from monitor.cli.arguments import add_output, add_store, command, store_path
from monitor.cli.messages import Messages
from monitor.exit_status import DONE
from monitor.output import Output
from monitor.store.location import default_path
from monitor.times import iso, iso_or_none

if TYPE_CHECKING:
    from monitor.store.spans import Watched


def add(commands: Any) -> None:
    parser = command(
        commands,
        "store",
        None,
        summary="the record that audits write",
        description="One SQLite file a machine, written by `edgewarden audit --store`, asked by `edgewarden findings`.",
        example="edgewarden store info --store sqlite:///record.db",
    )
    groups = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    info = command(
        groups,
        "info",
        run_info,
        summary="where it is, and what there is of it",
        description="Place, version and size of the record, how much it holds, and what each sensor watched.",
        example="edgewarden store info --store sqlite:///record.db",
    )
    add_store(info, "$EDGEWARDEN_STORE, else the one in the state folder")
    add_output(info)


def run_info(arguments: argparse.Namespace, messages: Messages) -> int:
    from monitor.store.questions import info
    from monitor.store.sqlite import reading
    from reports.render import render_store

    path = store_path(arguments) or default_path()
    with reading(path) as connection:
        known = info(connection)
    size = sum(os.path.getsize(name) for name in (path, f"{path}-wal") if os.path.exists(name))
    known["watched"] = [_sensor(path, watched) for watched in known["watched"]]
    recorded = tuple(iso_or_none(moment) for moment in known["recorded"])
    with Output(arguments.output) as out:
        out.write_text(render_store({**known, "path": path, "size": size, "recorded": recorded}))
    return DONE


def _sensor(path: str, watched: Watched) -> dict[str, Any]:
    """What a sensor watched, as the page shows it."""
    from monitor.store.spans import KILLED
    from monitor.watermark import lives

    gaps: list[tuple[str | None, str | None, str]] = [(iso(gap.first), iso(gap.last), gap.why) for gap in watched.gaps]
    if watched.open is not None and not lives(path, watched.open):
        gaps.append((iso(watched.spans[-1][1]) if watched.spans else None, None, KILLED))
    return {
        "sensor": watched.sensor,
        "position": watched.position,
        "packets": watched.packets,
        "lost": {name: count for name, count in watched.lost.items() if count},
        "first": iso(watched.spans[0][0]) if watched.spans else None,
        "last": iso(watched.spans[-1][1]) if watched.spans else None,
        "spans": len(watched.spans),
        "gaps": gaps,
    }
