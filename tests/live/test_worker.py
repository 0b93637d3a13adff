"""A worker gives its session every packet, the time, and a last word."""

from __future__ import annotations

import io
import os
import signal
import threading
from collections.abc import Sequence

import pytest

from monitor.cli.messages import Messages
from monitor.live.ring import KernelCounters, Ring, open_socket
from monitor.live.sensor import Stop, watch
from tests.live.wire import FAR, NEAR, command, frame, frames, speaker, wait_for


class Counting:
    """A session that keeps what it was told."""

    def __init__(self) -> None:
        self.heard: dict[int, list[bytes]] = {0: [], 1: []}
        self.ticks: list[tuple[int, list[KernelCounters]]] = []
        self.closed: list[KernelCounters] = []
        self.first_tick = threading.Event()
        self.trouble: str | None = None

    def feed(self, interface: int, block: bytes) -> None:
        assert not self.closed
        self.heard[interface] += frames(block)

    def tick(self, now: int, kernel: Sequence[KernelCounters]) -> None:
        self.ticks.append((now, list(kernel)))
        self.first_tick.set()

    def close(self, now: int, kernel: Sequence[KernelCounters]) -> None:
        self.closed = list(kernel)


class Watching:
    """A worker's loop in a thread of the test's namespace."""

    def __init__(self, interfaces: Sequence[str], seconds: float | None = None) -> None:
        self.session = Counting()
        self.told = io.StringIO()
        self.stop = Stop()
        self.rings = [Ring(interface, open_socket(interface)) for interface in interfaces]
        self._thread = threading.Thread(
            target=watch, args=(self.session, self.rings, self.stop, seconds, Messages(stream=self.told))
        )

    def __enter__(self) -> Watching:
        self._thread.start()
        assert self.session.first_tick.wait(20)
        return self

    def __exit__(self, *error: object) -> None:
        self.stop.asked = True
        self.join()
        for ring in self.rings:
            ring.close()

    def join(self) -> None:
        self._thread.join(20)
        assert not self._thread.is_alive()


@pytest.fixture(autouse=True)
def restored() -> object:
    """`Stop` takes the signals of this process."""
    kept = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
    yield None
    for number, handler in kept.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("wire")
def test_all_that_was_sent_before_the_end_is_heard() -> None:
    with Watching([FAR, NEAR]) as watching, speaker() as mouth:
        for number in range(20_000):
            mouth.send(frame(number))
        os.kill(os.getpid(), signal.SIGTERM)
        watching.join()
        session = watching.session
        assert session.heard == {number: [frame(n) for n in range(20_000)] for number in (0, 1)}
        assert [counters.received for counters in session.closed] == [20_000, 20_000]
        assert [now for now, _ in session.ticks] == sorted(now for now, _ in session.ticks)


@pytest.mark.usefixtures("wire")
def test_the_end_of_the_time() -> None:
    with Watching([FAR], seconds=0.01) as watching:
        watching.join()
        assert watching.session.closed == [KernelCounters(0, 0, 0, 0)]


@pytest.mark.usefixtures("wire")
def test_trouble_is_told_once_and_its_end_too() -> None:
    with Watching([FAR]) as watching:
        watching.session.trouble = "the disk is full"
        wait_for(lambda: "the disk is full" in watching.told.getvalue())
        before = len(watching.session.ticks)
        wait_for(lambda: len(watching.session.ticks) > before + 1)
        watching.session.trouble = None
        wait_for(lambda: "the record is written again" in watching.told.getvalue())
        assert watching.told.getvalue().count("\n") == 2


@pytest.mark.usefixtures("wire")
def test_an_interface_that_goes_and_comes_is_told_and_its_absence_counted() -> None:
    with Watching([FAR]) as watching:
        command("ip", "link", "set", FAR, "down")
        wait_for(lambda: "far: the interface is down" in watching.told.getvalue())
        command("ip", "link", "set", FAR, "up")
        wait_for(lambda: "far: the interface is back" in watching.told.getvalue())
        watching.stop.asked = True
        watching.join()
        assert watching.session.closed[0].down > 0
