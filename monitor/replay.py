"""Captures of several sensors through the core, side by side: blocks in, judged batches out.

Strategy: one thread, one engine and one judge a sensor; they share nothing, and the core releases the GIL while it
works on a block. The engine says which capture it needs next, so that several captures of one sensor are merged in
packet time while each is read front to back. Every batch goes to a sink at once, with the verdict of each of its
observations already known; nothing here keeps flows.

What went wrong is kept in words: `mistakes` are inputs that cannot be read or are no captures (the rest is still
judged), `broken` are captures damaged in the middle. Losses and quality stand in each capture's figures.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import pyarrow as pa

import parsers
from monitor.capture_arguments import CaptureArgument, SensorName
from monitor.capture_files import LONG_SERIES, CaptureReader, DescriptorPool
from monitor.learned import Judging, Learned
from monitor.packet_filter import Program

BATCH_ROWS: Final = 8192
"""Rows worked on at once. A batch costs some 2 ms whatever its size, so smaller ones are gathered up to this; larger
ones are cut, as the text of a row and what it is made of take some 3 KiB for a moment."""


class Sink(Protocol):
    """Takes the batches of one sensor, in that sensor's thread."""

    def rows(self, batch: Any, replay: Replay) -> None:
        """batch: a pyarrow record batch of at most BATCH_ROWS rows, columns of `Engine.take()`."""


class Stopped(Exception):
    """Another sensor failed, or the run was told to end."""


@dataclass(slots=True)
class CaptureFigures:
    """What one capture was: the member of `captures` in the result of an audit."""

    argument: CaptureArgument
    sha256: str = ""
    size: int = 0
    first: int | None = None
    last: int | None = None
    complete: bool = True
    packets: int = 0
    octets: int = 0
    accounting: dict[str, int] = field(default_factory=dict)
    quality: dict[str, int] = field(default_factory=dict)

    @property
    def path(self) -> str:
        return self.argument.shown

    @property
    def sensor(self) -> SensorName:
        return self.argument.sensor


@dataclass(slots=True)
class Settings:
    """What holds for every sensor of a run. Times in nanoseconds; `positions`: packets of each flow to remember;
    `digests`: whether the SHA-256 of each capture is wanted; `programs`: a filter by link type, none = all packets;
    `joins`: whether batches have the columns by which flows of several sensors are joined."""

    time_from: int | None = None
    time_to: int | None = None
    positions: int = 0
    digests: bool = True
    joins: bool = False
    programs: Mapping[int, Program] = field(default_factory=dict)


class Replay(Learned):
    """One sensor's captures through one engine."""

    def __init__(
        self,
        sensor: SensorName,
        captures: Sequence[CaptureArgument],
        judge: Judging | None = None,
        settings: Settings | None = None,
    ) -> None:
        super().__init__(sensor, judge)
        settings = settings or Settings()
        self.arguments = list(captures)
        self.mistakes: list[str] = []
        self.broken: list[str] = []
        self.captures: list[CaptureFigures] = []
        self._gathered: list[Any] = []
        self._gathered_rows = 0
        self._digests = settings.digests
        self._engine = parsers.Engine(
            parsers.Tables(**judge.tables) if judge is not None else None,
            positions=settings.positions,
            time_from=settings.time_from,
            time_to=settings.time_to,
            joins=settings.joins,
        )
        for link_type, program in settings.programs.items():
            self._engine.filter(link_type, program)

    def run(
        self,
        sink: Sink,
        progress: Callable[[int], None] = lambda octets: None,
        stopped: Callable[[], bool] = lambda: False,
    ) -> None:
        """Read everything. progress: called with octets read (as stored) since the last call. Raises Stopped."""
        pool = DescriptorPool()
        readers: list[CaptureReader] = []
        try:
            self._open(pool, readers)
            self._read(readers, sink, progress, stopped)
        finally:
            for reader in readers:
                reader.close()
            pool.close_all()
        self._settle(readers)

    def _open(self, pool: DescriptorPool, readers: list[CaptureReader]) -> None:
        long_series = len(self.arguments) > LONG_SERIES
        opened = []
        for argument in self.arguments:
            try:
                readers.append(CaptureReader(argument.path, pool, long_series=long_series, digest=self._digests))
            except (OSError, ValueError) as error:
                reason = getattr(error, "strerror", None) or error
                self.mistakes.append(f"{argument.shown}: cannot be read: {reason}")
                continue
            opened.append(argument)
            number = self._engine.add_capture(argument.interface)
            assert number == len(readers) - 1
        self.arguments = opened
        self.origin.captures = [argument.shown for argument in opened]

    def _read(
        self,
        readers: Sequence[CaptureReader],
        sink: Sink,
        progress: Callable[[int], None],
        stopped: Callable[[], bool],
    ) -> None:
        engine = self._engine
        while (number := engine.wants()) is not None:
            if stopped():
                raise Stopped
            reader = readers[number]
            before = reader.size
            block = reader.read()
            progress(max(0, reader.size - before))
            if block:
                engine.feed(number, block)
            else:
                engine.finish(number)
            self._hand_out(sink)
        for reader in readers:  # behind the place where a capture broke: for the digest
            while reader.read():
                if stopped():
                    raise Stopped
        engine.close()
        self._hand_out(sink)
        self._pass_on(sink)
        self.totals = dict(engine.totals())

    def _hand_out(self, sink: Sink) -> None:
        while len(taken := self._engine.take()):
            self.learn(self._engine)
            batch = self.numbered(pa.record_batch(taken))
            self._gathered.append(batch)
            self._gathered_rows += batch.num_rows
            if self._gathered_rows >= BATCH_ROWS:
                self._pass_on(sink)

    def _pass_on(self, sink: Sink) -> None:
        """Give the gathered rows to the sink."""
        gathered, self._gathered, self._gathered_rows = self._gathered, [], 0
        if not gathered:
            return
        whole = gathered[0] if len(gathered) == 1 else pa.concat_batches(gathered)
        for start in range(0, whole.num_rows, BATCH_ROWS):
            sink.rows(whole.slice(start, BATCH_ROWS), self)

    def _settle(self, readers: Sequence[CaptureReader]) -> None:
        for number, (argument, reader) in enumerate(zip(self.arguments, readers, strict=True)):
            info: Any = self._engine.capture_info(number)
            path = argument.shown
            if info["kind"] is None:
                nothing = (
                    "it holds no bytes" if reader.complete else "its compressed stream ends before the first octet"
                )
                why = reader.error or ("neither pcap nor pcapng" if reader.decoded else nothing)
                self.mistakes.append(f"{path}: is no capture: {why}")
                continue
            error = info["error"] or reader.error
            if error:
                self.broken.append(f"{path}: {error}")
            elif argument.interface is not None and argument.interface >= info["interfaces"]:
                self.mistakes.append(
                    f"{path}: has no interface {argument.interface}: it describes {info['interfaces']}, numbered from 0"
                )
            self.captures.append(
                CaptureFigures(
                    argument=argument,
                    sha256=reader.sha256,
                    size=reader.size,
                    first=info["first"],
                    last=info["last"],
                    complete=bool(info["complete"]) and reader.complete and not error,
                    packets=info["packets"],
                    octets=info["bytes"],
                    accounting=dict(info["accounting"]),
                    quality=dict(info["quality"]),
                )
            )


def run_side_by_side(
    replays: Sequence[Replay], sinks: Sequence[Sink], progress: Callable[[int], None] = lambda octets: None
) -> None:
    """Run each replay in a thread of its own and wait for all. The first failure stops the others and is raised."""
    failures: list[BaseException] = []
    stop = threading.Event()
    lock = threading.Lock()

    def report(octets: int) -> None:
        with lock:
            progress(octets)

    def work(replay: Replay, sink: Sink) -> None:
        try:
            replay.run(sink, report, stop.is_set)
        except Stopped:
            pass
        except BaseException as error:  # carried to the caller's thread
            failures.append(error)
            stop.set()

    # Daemons: a thread that waits for a pipe cannot be woken, and must not keep an interrupted process.
    threads = [
        threading.Thread(target=work, args=pair, name=f"sensor-{number}", daemon=True)
        for number, pair in enumerate(zip(replays, sinks, strict=True))
    ]
    for thread in threads:
        thread.start()
    try:
        for thread in threads:
            thread.join()
    except BaseException:
        stop.set()
        raise
    if failures:
        raise failures[0]


def by_sensor(captures: Sequence[CaptureArgument]) -> dict[SensorName, list[CaptureArgument]]:
    """Captures of each sensor, sensors in the order of their names so that a run does not depend on the typing."""
    groups: dict[SensorName, list[CaptureArgument]] = {}
    for capture in captures:
        groups.setdefault(capture.sensor, []).append(capture)
    return dict(sorted(groups.items(), key=lambda item: (item[0].name or "", item[0].position or "")))
