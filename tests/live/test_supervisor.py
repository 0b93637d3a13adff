"""The service keeps each worker alive on its own, rests between short lives, and ends when all have drained."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from monitor.cli.messages import Messages
from monitor.live.supervisor import LONGEST_PAUSE, SHORTEST_PAUSE, Job, _again, _Place
from tests.live.wire import FAR, command, connect, wait_for

ROOT = Path(__file__).parents[2]

SERVICE = """
import os, sys, time
from monitor.live import supervisor
from monitor.cli.messages import Messages
from monitor.exit_status import OperatorMistake
from monitor.live.launcher import Signals
from monitor.live.supervisor import Job, supervise
supervisor.SHORTEST_PAUSE = 0.05
folder, *names = sys.argv[1:]

def work(name, sockets, signals):
    from monitor.live.sensor import Stop
    stop = Stop()
    signals.release()
    lives = len(os.listdir(folder))
    with open(f"{folder}/{name}.{os.getpid()}", "w") as file:
        file.write(f"{len(sockets)}")
    if name == "mistaken" or (name == "late" and lives):
        return 2
    while not stop.asked:
        time.sleep(0.01)
    if name == "broken":
        return 4
    os.rename(f"{folder}/{name}.{os.getpid()}", f"{folder}/{name}.drained")
    return 3

def job(name):
    return Job(name, lambda sockets, signals: work(name, sockets, signals), ("far",) if name == "listening" else ())

try:
    status = supervise([job(name) for name in names], None, Signals(), Messages())
except OperatorMistake as error:
    print(error, file=sys.stderr)
    status = 2
sys.exit(status)
"""


class Service:
    def __init__(self, folder: Path, *names: str) -> None:
        self.folder = folder
        self.log = folder.parent / f"{folder.name}.log"
        folder.mkdir()
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", SERVICE, str(folder), *names],
                cwd=ROOT,
                stderr=log,
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # tests may run as a background job
            )
        self.names = names

    def workers(self, name: str) -> list[int]:
        """Processes that have taken up a job, the dead ones too."""
        return sorted(int(path.suffix[1:]) for path in self.folder.glob(f"{name}.[0-9]*"))

    def up(self, *names: str) -> None:
        wait_for(lambda: all(self.workers(name) for name in names))

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(20)

    def told(self) -> str:
        return self.log.read_text()


@pytest.fixture
def services(tmp_path: Path) -> Path:
    return tmp_path / "service"


def test_each_worker_that_is_killed_comes_back_and_the_others_stay(services: Path) -> None:
    service = Service(services, "one", "two")
    service.up("one", "two")
    [one], [two] = service.workers("one"), service.workers("two")
    os.kill(one, signal.SIGKILL)
    wait_for(lambda: len(service.workers("one")) == 2)
    os.kill(two, signal.SIGKILL)
    wait_for(lambda: len(service.workers("two")) == 2)
    assert len(service.workers("one")) == 2
    assert "error: one was killed by SIGKILL; it is started again in" in service.told()
    assert service.end() == 0
    assert {path.name for path in services.glob("*.drained")} == {"one.drained", "two.drained"}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_end_is_0_when_all_have_drained(services: Path, number: signal.Signals) -> None:
    service = Service(services, "one", "two")
    service.up("one", "two")
    assert service.end(number) == 0
    assert len(list(services.glob("*.drained"))) == 2
    assert service.told() == ""


def test_pauses_grow_while_lives_are_short(services: Path) -> None:
    service = Service(services, "one")
    for lives in range(1, 5):
        wait_for(lambda lives=lives: len(service.workers("one")) == lives)  # type: ignore[misc]
        newest = max(services.iterdir(), key=lambda path: path.stat().st_mtime_ns)
        os.kill(int(newest.suffix[1:]), signal.SIGKILL)
    wait_for(lambda: service.told().count("\n") == 4)
    assert service.end() == 0
    assert [line.split()[-2] for line in service.told().splitlines()] == ["0.05", "0.1", "0.2", "0.4"]


def test_settings_are_not_read_again(services: Path) -> None:
    service = Service(services, "one")
    service.up("one")
    service.process.send_signal(signal.SIGHUP)
    wait_for(lambda: "restart it to change them" in service.told())
    assert service.end() == 0
    assert len(service.workers("one")) == 0


def test_a_mistake_at_the_start_ends_the_service(services: Path) -> None:
    service = Service(services, "mistaken", "one")
    assert service.process.wait(20) == 2
    wait_for(lambda: not service.workers("one"))


def test_a_mistake_of_a_later_life_does_not(services: Path) -> None:
    service = Service(services, "late")
    service.up("late")
    os.kill(service.workers("late")[0], signal.SIGKILL)
    wait_for(lambda: "late ended with status 2; it is started again" in service.told())
    assert service.end() == 0


def test_a_worker_that_does_not_drain_is_a_failure_of_ours(services: Path) -> None:
    service = Service(services, "broken", "one")
    service.up("broken", "one")
    assert service.end() == 4
    assert "broken ended with status 4 instead of draining" in service.told()


def test_a_long_life_makes_the_next_pause_the_shortest() -> None:
    place = _Place(Job("one", lambda sockets, signals: 0), pause=32.0, born=time.monotonic() - LONGEST_PAUSE, due=None)
    _again(place, "died", Messages("errors", stream=io.StringIO()))
    assert place.due is not None
    assert place.due - time.monotonic() <= SHORTEST_PAUSE
    assert place.pause == 2 * SHORTEST_PAUSE


@pytest.mark.usefixtures("wire")
def test_a_new_life_has_new_sockets_as_soon_as_they_can_be_had(services: Path) -> None:
    service = Service(services, "listening", "one")
    service.up("listening", "one")
    command("ip", "link", "delete", FAR)
    os.kill(service.workers("listening")[0], signal.SIGKILL)
    wait_for(lambda: "listening cannot go on: far: no such interface" in service.told())
    connect()
    wait_for(lambda: len(service.workers("listening")) == 2)
    assert service.end() == 0
    assert len(service.workers("one")) == 0


@pytest.mark.usefixtures("wire")
def test_an_interface_that_is_missing_at_the_start_is_a_mistake(services: Path) -> None:
    command("ip", "link", "delete", FAR)
    service = Service(services, "one", "listening")
    assert service.process.wait(20) == 2
    assert "far: no such interface on this machine (there are: lo)" in service.told()
