"""The command as a process in the test's namespace, and captures sent to it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

from tests.house.captures import ROOT
from tests.live.wire import NEAR, command, wait_for

EDGEWARDEN = [sys.executable, "-m", "monitor.cli"]


class Running:
    """A command in the test's namespace; what it says on standard error is in a file."""

    def __init__(self, folder: Path, *words: str, **options: Any) -> None:
        self.log = folder / "stderr"
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "XDG_STATE_HOME": str(folder / "state")}
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [*EDGEWARDEN, *words],
                stderr=log,
                env=environment,
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
                **options,
            )

    def told(self) -> str:
        return self.log.read_text()

    def says(self, words: str) -> None:
        def said() -> bool:
            assert self.process.poll() is None or words in self.told(), self.told()
            return words in self.told()

        wait_for(said, 60)

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(60)

    def workers(self) -> list[int]:
        parent = self.process.pid
        return [int(child) for child in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()]


def send(*captures: str, interface: str = NEAR) -> None:
    for capture in captures:
        command("tcpreplay", "-q", "-i", interface, "--pps", "5000", capture)


@cache
def lengths(capture: str) -> list[int]:
    """Of the packets in a capture, by tshark."""
    words = ["tshark", "-r", capture, "-T", "fields", "-e", "frame.len"]
    return [int(line) for line in subprocess.run(words, capture_output=True, check=True).stdout.split()]
