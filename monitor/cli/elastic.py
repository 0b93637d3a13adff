"""`edgewarden elastic`: the streams in Elasticsearch, made ready and looked at."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING, Any

from monitor.cli.arguments import add_output, command, load_settings
from monitor.cli.messages import Messages
from monitor.exit_status import DONE, OperatorMistake
from monitor.output import Output
from monitor.store.location import VARIABLE, default_path
from reports.visible import visible

if TYPE_CHECKING:
    from monitor.elastic.cluster import Target

_RIGHTS = """\
Who ships needs the cluster privilege monitor and, on logs-edgewarden.* and metrics-edgewarden.*, the index privileges
auto_configure, create_doc, read, view_index_metadata and maintenance; who reads, read; who sets up, also
manage_index_templates, and manage on both for a rollover. Beside --store, $EDGEWARDEN_ELASTIC_API_KEY, or …_USERNAME
and …_PASSWORD, say who we are, …_CA (a PEM file) or …_FINGERPRINT whom we trust, …_NAMESPACE which streams.
Nothing is ever deleted there by edgewarden: give the streams a retention of yours, metrics-edgewarden.coverage at
least that of logs-edgewarden.violation, since what stands behind a violation is there."""


def add(commands: Any) -> None:
    parser = command(
        commands,
        "elastic",
        None,
        summary="the streams in Elasticsearch, where records of several machines meet",
        description="Makes the index templates of the streams, and says what there is and what waits to be shipped.",
        example="edgewarden elastic setup --store https://es01.contoso.net:9200\n"
        "edgewarden elastic status --config edgewarden.yaml",
    )
    groups = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    setup = command(
        groups,
        "setup",
        run_setup,
        summary="put the index templates there, once for each cluster",
        description="Puts the index templates of the streams there, or renews those of an older edgewarden; what is\n"
        f"as it should be stays. Run again, it changes nothing.\n\n{_RIGHTS}",
        example="edgewarden elastic setup --store https://es01.contoso.net:9200\n"
        "edgewarden elastic setup --config edgewarden.yaml --force",
    )
    setup.add_argument("--force", action="store_true", help="replace templates of somebody else or a newer edgewarden")
    status = command(
        groups,
        "status",
        run_status,
        summary="cluster, streams, what waits to be shipped, what was refused",
        description=f"Says what the cluster is and lacks, what the streams hold, and how far the record is shipped.\n\n"
        f"{_RIGHTS}",
        example="edgewarden elastic status --store https://es01.contoso.net:9200\n"
        "edgewarden elastic status --config edgewarden.yaml",
    )
    for one in (setup, status):
        named = one.add_mutually_exclusive_group()
        named.add_argument("--store", metavar="URL", help="the cluster: https://HOST:9200; else $EDGEWARDEN_STORE")
        named.add_argument("--config", metavar="FILE", help="settings of the service, whose cluster is meant")
        add_output(one)


def _target(arguments: argparse.Namespace) -> tuple[Target, str]:
    """The cluster, and the file that is shipped there from here. Raises OperatorMistake."""
    from monitor.elastic import spool
    from monitor.elastic.cluster import from_settings, from_url, is_cluster

    if arguments.config is not None:
        settings = load_settings(arguments.config)
        if settings.elasticsearch is None:
            raise OperatorMistake(f"{arguments.config}: names no cluster: the key `elasticsearch` would")
        return from_settings(settings.elasticsearch), settings.store or default_path()
    url = arguments.store if arguments.store is not None else os.environ.get(VARIABLE, "")
    if not is_cluster(url):
        raise OperatorMistake("no cluster: name one with --store https://HOST:9200 or --config FILE")
    target = from_url(url)
    return target, spool.path_of(target)


def run_setup(arguments: argparse.Namespace, messages: Messages) -> int:
    from monitor.elastic import templates
    from monitor.elastic.cluster import connect, told

    target, _ = _target(arguments)
    with told(target):
        client = connect(target)
        changes, replaced = templates.setup(client, target, force=arguments.force)
        client.close()
    lines = [f"{change.name}: {change.action}" for change in changes]
    lines += [
        f"type {name} is missing in this cluster: {instead} takes its place" for name, instead in replaced.items()
    ]
    with Output(arguments.output) as out:
        out.write_text("".join(visible(line) + "\n" for line in lines))
    return DONE


def run_status(arguments: argparse.Namespace, messages: Messages) -> int:
    from monitor.elastic import status

    target, path = _target(arguments)
    lines = [*status.of_cluster(target), "", *status.of_outbox(path)]
    with Output(arguments.output) as out:
        out.write_text("".join(visible(line) + "\n" for line in lines))
    return DONE
