"""Live sessions of some sensors up to a moment, which then wait to be killed: `RECORD SECONDS SENSOR...`."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.live.conversations import Live
from tests.live.joined_traffic import translated
from tests.live.test_live_session import topology

record, seconds, *names = sys.argv[1:]
seen = {sensor: packets for sensor, packets in translated(20, 1, port=1024).items() if sensor.name in names}
Live(Path(record), topology(), seen).until(float(seconds))
print("there", flush=True)
sys.stdin.read()
