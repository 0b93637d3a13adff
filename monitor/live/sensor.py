"""The worker of a sensor: blocks of its rings go to the session that judges, until somebody says that it is enough.

Strategy: one thread and one `poll`. Each round takes a few blocks of every ring, and every `TICK` the session takes
what is due, with the kernel's figures. A signal only sets a mark. At the end the rings are closed to what is new, what
they hold is taken to the last packet, and the session ends all flows.
"""

from __future__ import annotations

import gc
import select
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import FrameType
from typing import TYPE_CHECKING, Final, Protocol

from monitor.exit_status import DONE, INCONCLUSIVE
from monitor.live.ring import KernelCounters, Program, Ring
from reports.visible import visible

if TYPE_CHECKING:
    import socket

    from monitor.capture_arguments import SensorName
    from monitor.cli.messages import Messages
    from monitor.live.launcher import Signals
    from monitor.settings.config import EvidenceSettings
    from rules.topology import Topology

TICK: Final = 0.25
"""Seconds between two looks at what is due: what a finding waits at most, beside the ring's own delay."""

TELLING: Final = 10.0
"""Seconds between two lines of figures, for who asked for details."""

DRAIN: Final = 5.0
"""Seconds in which the kernel must hand over the last block, which takes it a tenth of one."""


@dataclass(frozen=True, slots=True)
class Task:
    """What a worker is to do. programs: a filter by link type, where the kernel cannot apply it; beside: positions of
    the sensors that run with it; seconds: for how long, None = until told."""

    topology: Topology
    sensor: SensorName
    interfaces: tuple[str, ...]
    record: str
    evidence: EvidenceSettings | None = None
    programs: Mapping[int, Program] = field(default_factory=dict)
    beside: tuple[str, ...] = ()
    seconds: float | None = None


class Session(Protocol):
    """What the worker needs of `monitor.live.session.LiveSession`."""

    def feed(self, interface: int, block: bytes) -> None: ...

    def tick(self, now: int, kernel: Sequence[KernelCounters]) -> None: ...

    def close(self, now: int, kernel: Sequence[KernelCounters]) -> None: ...

    @property
    def trouble(self) -> str | None: ...


class Stop:
    """Set by the signals that end a worker; asking twice changes nothing."""

    def __init__(self) -> None:
        self.asked = False

        def ask(number: int, frame: FrameType | None) -> None:
            self.asked = True

        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            if signal.getsignal(number) is not signal.SIG_IGN:  # nohup, background jobs
                signal.signal(number, ask)


def watch(
    session: Session, rings: Sequence[Ring], stop: Stop, seconds: float | None, messages: Messages
) -> list[KernelCounters]:
    """Feed the session until `stop` is asked or the time is over, then drain; the last figures of each ring."""
    poll = select.poll()
    for ring in rings:
        poll.register(ring, select.POLLIN)
    end = float("inf") if seconds is None else time.monotonic() + seconds
    due = telling = time.monotonic()
    trouble: str | None = None
    while not stop.asked and time.monotonic() < end:
        events = poll.poll(max(0.0, min(due, end) - time.monotonic()) * 1000)
        now = time.time_ns()  # before: what comes while a full ring is fed must not be overtaken by the clock
        _feed(session, rings)
        if time.monotonic() >= due or any(event != select.POLLIN for _, event in events):
            for news in filter(None, [ring.tend() for ring in rings]):
                messages.warning(news)
            kernel = [ring.counters() for ring in rings]
            session.tick(now, kernel)
            if session.trouble != trouble:
                trouble = session.trouble
                messages.warning(trouble or "the record is written again")
            due = time.monotonic() + TICK
            if due >= telling:
                telling = due + TELLING
                for ring, counters in zip(rings, kernel, strict=True):
                    messages.detail(f"{ring.interface}: {counters.received:,} packets, {counters.dropped:,} lost")

    for ring in rings:
        ring.stop()
    late = time.monotonic() + DRAIN
    while not all(ring.drained for ring in rings) and time.monotonic() < late:
        poll.poll(TICK * 1000)
        _feed(session, rings)
    kernel = [ring.counters() for ring in rings]
    session.close(time.time_ns(), kernel)
    return kernel


def _feed(session: Session, rings: Sequence[Ring]) -> None:
    for number, ring in enumerate(rings):
        for block in ring.blocks():
            session.feed(number, block)


def work(task: Task, sockets: Sequence[socket.socket], signals: Signals, messages: Messages) -> int:
    """A worker's life, from the moment on at which it has no rights; the exit status."""
    stop = Stop()
    signals.release()
    from monitor.store.sqlite import check_writable

    check_writable(task.record)
    from monitor.live.session import LiveSession

    session = LiveSession(
        task.topology,
        task.sensor,
        task.interfaces,
        task.record,
        evidence=task.evidence,
        programs=task.programs,
        beside=task.beside,
    )
    gc.freeze()  # what is loaded by now is none: looking through it time and again keeps us from the rings
    if session.has_twin:
        messages.warning(
            f"another process records as {task.sensor.label} ({task.sensor.position}) in {visible(task.record)}: "
            "what both see counts twice, so end one of them"
        )
    rings = [Ring(interface, opened) for interface, opened in zip(task.interfaces, sockets, strict=True)]
    for ring in rings:
        if ring.absence:
            messages.warning(f"{ring.absence}; listening begins when it is there")
    messages.note(f"listening to {', '.join(task.interfaces)} as {task.sensor.label} ({task.sensor.position})")
    kernel = watch(session, rings, stop, task.seconds, messages)
    for ring in rings:
        ring.close()
    lost = sum(counters.dropped + counters.nic for counters in kernel)
    messages.note(f"{task.sensor.label}: {session.figures}, {lost:,} packets lost by the kernel or an interface")
    if session.loss <= task.topology.policy.coverage.max_loss:
        return DONE
    messages.warning(
        f"{session.loss:.2%} of the packets were lost, more than `policy.coverage` allows "
        f"({task.topology.policy.coverage.max_loss:.2%})"
    )
    return INCONCLUSIVE
