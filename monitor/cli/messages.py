"""What the operator is told besides the result: on standard error, as lines or as JSON; a bar on a terminal only."""

from __future__ import annotations

import json
import os
import sys
import time
from datetime import UTC, datetime
from typing import Final, TextIO

from reports.visible import visible

_COLOURS: Final = {"error": "\x1b[31m", "warning": "\x1b[33m"}
_REDRAW_SECONDS: Final = 0.1  # faster than the eye, slow enough to cost nothing
_BAR_WIDTH: Final = 30


class Messages:
    """level: "errors" shows these alone, "quiet" warnings too, "normal" notes too, "verbose" details too."""

    def __init__(self, level: str = "normal", log_format: str = "text", stream: TextIO | None = None) -> None:
        self._stream = stream if stream is not None else sys.stderr
        self._bar_shown = False
        self.settle(level, log_format)

    def settle(self, level: str, log_format: str) -> None:
        """Speak like that from now on."""
        self._level = level
        self._json = log_format == "json"
        terminal = self._stream.isatty()
        self._coloured = terminal and not self._json and not os.environ.get("NO_COLOR")
        self._bar = terminal and not self._json and level in ("normal", "verbose")

    def error(self, text: str) -> None:
        self._say("error", text)

    def warning(self, text: str) -> None:
        if self._level != "errors":
            self._say("warning", text)

    def note(self, text: str) -> None:
        if self._level in ("normal", "verbose"):
            self._say("info", text)

    def detail(self, text: str) -> None:
        if self._level == "verbose":
            self._say("debug", text)

    def progress(self, total: int) -> Progress:
        """total: octets that will be read; 0 = not known."""
        return Progress(self, total)

    def _say(self, level: str, text: str) -> None:
        text = "\n".join(visible(line) for line in text.split("\n"))
        if self._json:
            now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
            line = json.dumps({"time": now, "level": level, "message": text}, ensure_ascii=False)
        else:
            label = "" if level in ("info", "debug") else f"{level}: "
            if self._coloured and level in _COLOURS:
                label = f"{_COLOURS[level]}{label}\x1b[0m"
            line = f"edgewarden: {label}{text}"
        self._draw(("\r\x1b[K" if self._bar_shown else "") + line + "\n")
        self._bar_shown = False

    def draw_bar(self, text: str) -> None:
        if self._bar:
            self._draw(f"\r\x1b[K{text}")
            self._bar_shown = bool(text)

    def _draw(self, text: str) -> None:
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError):  # nobody listens; the result does not depend on it
            pass


class Progress:
    """A bar of octets read. Call it with what was read since."""

    def __init__(self, messages: Messages, total: int) -> None:
        self._messages = messages
        self._total = total
        self._read = 0
        self._drawn = 0.0

    def __call__(self, octets: int) -> None:
        self._read += octets
        now = time.monotonic()
        if now - self._drawn < _REDRAW_SECONDS:
            return
        self._drawn = now
        read = f"{self._read / 1e6:,.0f} MB"
        if self._total:
            share = min(1.0, self._read / self._total)
            filled = int(share * _BAR_WIDTH)
            self._messages.draw_bar(f"[{'#' * filled}{'.' * (_BAR_WIDTH - filled)}] {share:4.0%} {read}")
        else:
            self._messages.draw_bar(f"{read} read")

    def done(self) -> None:
        self._messages.draw_bar("")
