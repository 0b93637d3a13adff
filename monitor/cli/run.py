"""`edgewarden run`: the service, which keeps sensors and all that follows from them alive."""

from __future__ import annotations

import argparse
import os
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from monitor.cli.arguments import command, load_settings, warn_of_strays
from monitor.cli.messages import Messages
from monitor.store.location import default_path
from reports.visible import visible

if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence

    from monitor.elastic.cluster import Target
    from monitor.live.launcher import Signals
    from monitor.live.supervisor import Job
    from monitor.settings.config import Elasticsearch, Settings

_LEVELS: Final = {"debug": "verbose", "info": "normal", "warning": "quiet", "error": "errors"}


def add(commands: Any) -> None:
    parser = command(
        commands,
        "run",
        run,
        summary="the service: sensors, reports and shipping under one supervisor",
        description="Starts a worker for each sensor of the topology that names interfaces, one for reports and one\n"
        "that ships the record, as the settings say, and keeps them alive: one that dies is started again, after a\n"
        "second at first and a minute at last, and a sensor's gap stays on record. Workers have no rights; the\n"
        "supervisor reads no packet. Ends on SIGTERM or SIGINT, when all have drained.\n"
        "The settings are read once: SIGHUP says so and changes nothing, a restart does.",
        example="edgewarden run --config /etc/edgewarden/edgewarden.yaml",
    )
    parser.add_argument(
        "--config", required=True, metavar="FILE", help="the settings (edgewarden settings new writes some)"
    )


def run(arguments: argparse.Namespace, messages: Messages) -> int:
    from monitor.live.launcher import Signals, choose_user, make_folders
    from monitor.live.supervisor import supervise

    settings = load_settings(arguments.config)
    if not any(name in arguments for name in ("quiet", "verbose")):
        messages.settle(_LEVELS[settings.log.level], getattr(arguments, "log_format", settings.log.format))
    warn_of_strays(settings.topology, messages)
    record = settings.store or default_path()
    folders = [settings.evidence.dir] if settings.evidence is not None else []
    folders += [folder for report in settings.reports for folder in report.folders]
    user, warning = choose_user(settings.user, record, folders)
    for careless in (warning, *(secret.warning() for secret in settings.secrets)):
        if careless is not None:
            messages.warning(careless)
    make_folders(user, [os.path.dirname(record), *folders])
    return supervise(_jobs(settings, record, messages), user, Signals(), messages)


def _jobs(settings: Settings, record: str, messages: Messages) -> list[Job]:
    from monitor.capture_arguments import SensorName
    from monitor.live.sensor import Task, work
    from monitor.live.supervisor import Job

    jobs = []
    positions = tuple(sorted({sensor.position for sensor in settings.topology.sensors if sensor.interfaces}))
    for sensor in settings.topology.sensors:
        if sensor.interfaces:
            interfaces = tuple(dict.fromkeys(sensor.interfaces))
            name = SensorName(sensor.name, sensor.position, sensor.side, sensor.behind_lb)
            task = Task(settings.topology, name, interfaces, record, settings.evidence, beside=positions)
            jobs.append(Job(f"sensor {visible(sensor.name)}", partial(work, task, messages=messages), interfaces))
    if settings.reports:
        jobs.append(Job("the maker of reports", partial(_make_reports, settings, record, messages=messages)))
    if settings.elasticsearch is not None:
        outbox = _Outbox(settings.elasticsearch, record, messages)
        jobs.append(Job("the outbox", outbox.work, first=outbox.read_secrets))
    return jobs


# What works in a worker is imported there: the supervisor has one thread, and some of these libraries start more.


def _make_reports(
    settings: Settings, record: str, sockets: Sequence[socket.socket], signals: Signals, *, messages: Messages
) -> int:
    from monitor.calendar.scheduler import work

    return work(settings.reports, record, sockets, signals, messages=messages)


class _Outbox:
    """What it says to the cluster it reads while it has rights, so that a file for root alone will do, and no process
    that works on packets ever holds it."""

    def __init__(self, settings: Elasticsearch, record: str, messages: Messages) -> None:
        self._settings, self._record, self._messages = settings, record, messages
        self._target: Target | None = None

    def read_secrets(self) -> None:
        from monitor.elastic.cluster import from_settings

        self._target = from_settings(self._settings)

    def work(self, sockets: Sequence[socket.socket], signals: Signals) -> int:
        from monitor.elastic.outbox import serve

        assert self._target is not None
        self._messages.note(f"ships the record to {self._target.name}")
        return serve(self._record, self._target, signals, self._messages)
