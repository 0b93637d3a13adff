"""What `elastic status` says: of the cluster, as far as we may see it, and of the record that is shipped from here."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from monitor.elastic import templates
from monitor.elastic.cluster import Target, connect, told, version
from monitor.elastic.tables import SOURCES
from monitor.store.sqlite import NoRecord, reading
from monitor.times import iso

SHOWN: Final = 10
"""Dead letters that are listed; the others are counted."""


def of_cluster(target: Target) -> list[str]:
    """Raises OutOfReach, OperatorMistake."""
    from elasticsearch import ApiError

    with told(target):
        client = connect(target)
        try:
            lines = [
                f"Cluster:    {target.name}, version {version(client) or 'unknown (we may not ask)'}",
                f"Namespace:  {target.namespace}",
            ]
            try:
                changes = templates.compare(client)
                replaced = templates.replaced_types(client)
                wrong = [f"{change.name} {_state(change)}" for change in changes if change.action != "kept"]
                lines.append(f"Templates:  {'; '.join(wrong) or f'all {len(changes)} in place'}")
                lines += [f"Missing:    type {name}: {instead} stands in for it" for name, instead in replaced.items()]
            except ApiError as error:
                if error.status_code != 403:
                    raise
                lines.append("Templates:  unknown (we may not ask)")
            for stream in target.streams:
                count = client.count(index=stream, ignore_unavailable=True)
                held = f"{count['count']:,} documents" if count["_shards"]["total"] else "not there yet"
                lines.append(f"Stream:     {stream}: {held}")
        finally:
            client.close()
    return lines


def _state(change: templates.Change) -> str:
    return {"made": "is missing", "renewed": "is of an older edgewarden"}.get(change.action, change.why)


def of_outbox(path: str) -> list[str]:
    """Raises OperatorMistake, OutputFailure."""
    try:
        with reading(path) as connection:
            targets = connection.execute(
                "SELECT target, hosts, acknowledged, failed, failure FROM outbox_targets ORDER BY hosts, target"
            ).fetchall()
            lines = [f"Record:     {path}"]
            if not targets:
                lines.append("Shipped:    nothing yet")
            for target, hosts, acknowledged, failed, failure in targets:
                waiting = 0
                for source in SOURCES:
                    [count] = connection.execute(
                        f"SELECT count(*) FROM {source.table} WHERE id > coalesce("  # noqa: S608 (our own tables)
                        "(SELECT row FROM outbox_cursors WHERE target = ? AND source = ?), 0)",
                        (target, source.table),
                    ).fetchone()
                    waiting += count
                last = iso(acknowledged) if acknowledged is not None else "never"
                lines.append(f"Outbox:     {hosts} ({target}): {waiting:,} rows wait, the last went {last}")
                if failed is not None:
                    lines.append(f"Failure:    {iso(failed)} {failure}")
                lines += _dead(
                    connection.execute(
                        "SELECT source, row, reason FROM dead_letters WHERE target = ? ORDER BY since, source, row",
                        (target,),
                    ).fetchall()
                )
            return lines
    except NoRecord:
        return [f"Record:     {path}: there is none"]


def _dead(letters: list[tuple[str, int, str]]) -> Iterator[str]:
    if letters:
        yield f"Refused:    {len(letters):,} rows, which are tried again when shipping next begins"
    for source, row, why in letters[:SHOWN]:
        yield f"            {source} {row}: {why}"
