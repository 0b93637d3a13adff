"""A real browser, told what to do over the DevTools protocol on two pipes: no driver, no port.

Chromium reads commands from descriptor 3 and answers on 4, JSON messages that end in a zero octet
(`--remote-debugging-pipe`). What the page asked for and what its console said comes as events.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PATIENCE = 60.0
"""Seconds for an answer; a browser on a busy machine starts in ten."""


class Browser:
    def __init__(self, commands: int, answers: int) -> None:
        self._commands = commands
        self._answers = answers
        self._rest = b""
        self._number = 0
        self.events: list[dict[str, Any]] = []
        self._session: str | None = None

    def attach(self) -> None:
        """To a page of its own, all that it asks for and says in view."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                result: dict[str, Any] = answer["result"]
                return result
            self.events.append(answer)

    def open(self, page: Path) -> None:
        self.events.clear()
        self.call("Page.navigate", url=page.as_uri())
        while not any(event.get("method") == "Page.loadEventFired" for event in self.events):
            self.events.append(self._read())

    def ask(self, expression: str) -> Any:
        """The value of an expression in the page; what its own policy forbids to it is not forbidden to us."""
        return self.call("Runtime.evaluate", expression=expression, returnByValue=True)["result"].get("value")

    def said(self, method: str) -> list[dict[str, Any]]:
        return [event["params"] for event in self.events if event.get("method") == method]

    def _read(self) -> dict[str, Any]:
        until = time.monotonic() + PATIENCE
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self._answers], [], [], max(until - time.monotonic(), 0))
            assert ready, "the browser did not answer"
            data = os.read(self._answers, 1 << 16)
            assert data, "the browser went away"
            self._rest += data
        message, _, self._rest = self._rest.partition(b"\0")
        answer: dict[str, Any] = json.loads(message)
        return answer


@contextmanager
def browser(profile: Path) -> Iterator[Browser]:
    """Chromium without a window, with an empty profile."""
    program = shutil.which("chromium") or shutil.which("google-chrome")
    assert program, "the page is tested in a browser: apt-get install chromium (tools/setup --dev does)"
    to_read, commands = os.pipe()
    answers, to_write = os.pipe()
    options = (
        *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"),
        *("--disable-component-update", "--disable-sync", "--remote-debugging-pipe", f"--user-data-dir={profile}"),
    )
    process = subprocess.Popen(
        ["bash", "-c", f'exec "$@" 3<&{to_read} 4>&{to_write}', "bash", program, *options],
        pass_fds=(to_read, to_write),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    os.close(to_read)
    os.close(to_write)
    try:
        driven = Browser(commands, answers)
        driven.attach()
        yield driven
    finally:
        os.close(commands)  # it ends when nobody can tell it anything
        os.close(answers)
        try:
            process.wait(PATIENCE)
        finally:
            process.kill()
