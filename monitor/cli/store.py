"""`edgewarden store`: the record itself."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING, Any

from monitor.cli.arguments import add_output, add_store, command, store_place
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
    from monitor.store.asking import asking
    from monitor.store.questions import info
    from reports.render import render_store

    store = store_place(arguments) or default_path()
    with asking(store) as connection:
        known = info(connection)
    if isinstance(store, str):
        name = store
        size = sum(os.path.getsize(path) for path in (store, f"{store}-wal") if os.path.exists(path))
    else:
        name, size = f"{store.name}, namespace {store.namespace}", None
    known["watched"] = [_sensor(store if isinstance(store, str) else None, watched) for watched in known["watched"]]
    recorded = tuple(iso_or_none(moment) for moment in known["recorded"])
    with Output(arguments.output) as out:
        out.write_text(render_store({**known, "path": name, "size": size, "recorded": recorded}))
    return DONE


def _sensor(path: str | None, watched: Watched) -> dict[str, Any]:
    """What a sensor watched, as the page shows it. path: None where only its own machine knows whether it lives."""
    from monitor.live.watermark import lives
    from monitor.store.spans import KILLED

    gaps: list[tuple[str | None, str | None, str]] = [(iso(gap.first), iso(gap.last), gap.why) for gap in watched.gaps]
    if path is not None and watched.open is not None and not lives(path, watched.open):
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
