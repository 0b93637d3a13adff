"""A live session that says what it has done and then waits to be killed: `RECORD CAPTURE COMMITTED FED`, packets."""

from __future__ import annotations

import sys
from pathlib import Path

from monitor.live.ring import KernelCounters
from tests.house.captures import all_packets
from tests.live.blocks import block
from tests.live.test_live_session import SECOND, session

record, path, committed, fed = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
packets = all_packets(path)
live = session(Path(record), "internal", packets)
live.feed(0, block(packets[:committed]))
live.tick(packets[committed - 1].time + 10 * SECOND, [KernelCounters(received=committed, dropped=7)])
live.feed(0, block(packets[committed:fed]))
print("fed", flush=True)
sys.stdin.read()
