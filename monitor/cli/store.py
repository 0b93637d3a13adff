"""`edgewarden store`: the record itself."""

from __future__ import annotations

import argparse
import os
from typing import Any

from monitor.cli.arguments import add_output, add_store, command, store_path
from monitor.cli.messages import Messages
from monitor.exit_status import DONE
from monitor.output import Output
from monitor.store.location import default_path
from monitor.times import iso_or_none


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
    for sensor in known["watched"]:
        sensor["first"], sensor["last"] = iso_or_none(sensor["first"]), iso_or_none(sensor["last"])
    recorded = tuple(iso_or_none(moment) for moment in known["recorded"])
    with Output(arguments.output) as out:
        out.write_text(render_store({**known, "path": path, "size": size, "recorded": recorded}))
    return DONE
