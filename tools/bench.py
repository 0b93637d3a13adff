"""What a packet, a flow and a live flow cost: `edgewarden flows` beside a bare packet walk, in the same run.

Two generated loads, both from the shipped captures and fixed numbers, so that two machines measure the same bytes:

- *mixed*: the conversations of the clean captures cloned under other addresses, with long media (RTP) and bulk TLS
  phases between them, as an edge sees them;
- *flood*: SYNs of as many sources as there are packets, the worst case for the flow table.

CPU time is user + system of the whole child process, start-up included, the median of several runs taken in turn.
Compare ratios, not single times: the walk runs on the same machine in the same minute.
"""

from __future__ import annotations

import argparse
import os
import statistics
import struct
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
BAR = 1_000_000  # packets per CPU-second that `flows` must reach on the mixed load
ETHERNET = bytes.fromhex("020000000001020000000002 0800".replace(" ", ""))
Frame = tuple[int, bytes]  # microseconds, octets


def shipped() -> list[Frame]:
    """Frames of the shipped clean captures, times from 0."""
    from scapy.utils import RawPcapNgReader

    frames: list[Frame] = []
    for path in sorted((ROOT / "pcaps").glob("clean-*.pcapng")):
        with RawPcapNgReader(str(path)) as reader:
            for octets, meta in reader:
                ticks = (meta.tshigh << 32) | meta.tslow
                frames.append((ticks * 1_000_000 // meta.tsresol, octets))
    first = min(time for time, _ in frames)
    return sorted(((time - first) % 600_000_000, octets) for time, octets in frames)


def moved(octets: bytes, clone: int) -> bytes:
    """The same Ethernet/IPv4 frame between other addresses: both ends change alike, so that flows stay flows."""
    if octets[12:14] != b"\x08\x00":
        return octets
    mask = struct.pack("!HH", 0, clone & 0xFFFF)
    out = bytearray(octets)
    for start in (26, 30):
        for index in range(4):
            out[start + index] ^= mask[index]
    return bytes(out)


def ipv4(source: int, destination: int, protocol: int, ident: int, payload: bytes) -> bytes:
    head = struct.pack(
        "!BBHHHBBHII", 0x45, 0, 20 + len(payload), ident & 0xFFFF, 0x4000, 64, protocol, 0, source, destination
    )
    return ETHERNET + head + payload


def media(flow: int, packets: int) -> Iterator[Frame]:
    """One direction of G.711: 20 ms a packet."""
    client, edge = 0xC6120000 + flow, 0xCB00711E
    for number in range(packets):
        rtp = struct.pack("!BBHII", 0x80, 0, number & 0xFFFF, number * 160, 0xABCD0000 + flow) + bytes(160)
        udp = struct.pack("!HHHH", 20_000 + flow % 40_000, 3478, 8 + len(rtp), 0) + rtp
        yield flow * 70_000 + number * 20_000, ipv4(client, edge, 17, number, udp)


def bulk(flow: int, packets: int) -> Iterator[Frame]:
    """A TLS session joined late: application data in full segments, every second one acknowledged."""
    client, proxy = 0xC6130000 + flow, 0xCB007128
    port = 20_000 + flow % 40_000
    record = b"\x17\x03\x03\x05\xaf" + bytes(1455)
    time = flow * 90_000
    for number in range(packets):
        seq = (number * 1460) & 0xFFFFFFFF
        tcp = struct.pack("!HHIIBBHHH", 443, port, seq, 1, 0x50, 0x10, 4096, 0, 0)
        yield time, ipv4(proxy, client, 6, number, tcp + record)
        time += 400
        if number % 2:
            ack = struct.pack("!HHIIBBHHH", port, 443, 1, (seq + 1460) & 0xFFFFFFFF, 0x50, 0x10, 4096, 0, 0)
            yield time, ipv4(client, proxy, 6, number, ack)
            time += 100


def write(path: Path, frames: Iterator[Frame] | list[Frame]) -> int:
    """A classic pcap; returns the number of packets."""
    count = 0
    base = 1_763_798_400  # 2025-11-22T08:00:00Z
    with path.open("wb", buffering=1 << 20) as out:
        out.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262_144, 1))
        for time, octets in frames:
            seconds, micros = divmod(time, 1_000_000)
            out.write(struct.pack("<IIII", base + seconds, micros, len(octets), len(octets)) + octets)
            count += 1
    return count


def mixed(path: Path, clones: int, media_flows: int, bulk_flows: int) -> int:
    frames = [(time + clone * 250_000, moved(octets, clone)) for clone in range(clones) for time, octets in shipped()]
    for flow in range(media_flows):
        frames += media(flow, 500)
    for flow in range(bulk_flows):
        frames += bulk(flow, 1000)
    frames.sort(key=lambda frame: frame[0])
    return write(path, frames)


def flood(path: Path, packets: int) -> int:
    def syns() -> Iterator[Frame]:
        for number in range(packets):
            tcp = struct.pack("!HHIIBBHHH", 1024 + number % 60_000, 443, number, 0, 0x50, 0x02, 4096, 0, 0)
            yield number * 10, ipv4(0x0B000000 + number, 0xCB00710A, 6, number, tcp)

    return write(path, syns())


def made(make: Callable[[], int]) -> int:
    """Runs `make` in a child, so that its memory is not inherited by the processes measured later."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(writing, str(make()).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as answer:
        count = answer.read()
    os.waitpid(pid, 0)
    return int(count)


def cost(command: list[str]) -> tuple[float, int]:
    """CPU seconds and peak memory in octets of one child process."""
    pid = os.fork()
    if pid == 0:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.execv(command[0], command)
    _, status, usage = os.wait4(pid, 0)
    if status:
        sys.exit(f"bench: {' '.join(command)} failed with status {os.waitstatus_to_exitcode(status)}")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024


def compare(name: str, path: Path, packets: int, runs: int) -> tuple[float, int]:
    """Runs both in turn; prints and returns CPU seconds and memory of `flows`."""
    python = sys.executable
    flows = [python, "-m", "monitor.cli", "flows", "--quiet", "--format", "jsonl", str(path)]
    walk = [python, "-c", f"import parsers; parsers.walk(open({str(path)!r}, 'rb').read())"]
    ours, bare, memory = [], [], 0
    for _ in range(runs):
        bare.append(cost(walk)[0])
        seconds, peak = cost(flows)
        ours.append(seconds)
        memory = max(memory, peak)
    median, reference = statistics.median(ours), statistics.median(bare)
    print(
        f"{name}: {packets:,} packets, {path.stat().st_size / 1e6:.0f} MB; flows {median:.2f} CPU-s "
        f"({packets / median:,.0f} packets/CPU-s, {median / packets * 1e9:.0f} ns each), walk {reference:.2f} CPU-s, "
        f"ratio {median / reference:.2f}; peak {memory / 1e6:.0f} MB"
    )
    return median, memory


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3, help="runs of each command (default 3)")
    parser.add_argument("--scale", type=float, default=1.0, help="size of the loads (default 1)")
    options = parser.parse_args()
    os.chdir(ROOT)
    with tempfile.TemporaryDirectory(prefix="edgewarden-bench-") as folder:
        path = Path(folder, "mixed.pcap")
        scale = options.scale
        packets = made(lambda: mixed(path, int(200 * scale), int(800 * scale), int(300 * scale)))
        median, _ = compare("mixed", path, packets, options.runs)
        path.unlink()
        small, large = Path(folder, "small.pcap"), Path(folder, "flood.pcap")
        few = made(lambda: flood(small, 1_000))
        many = made(lambda: flood(large, int(500_000 * scale)))
        little, empty = compare("few flows", small, few, options.runs)
        much, full = compare("flood", large, many, options.runs)
        print(
            f"a flow more: {(much - little) / (many - few) * 1e6:.1f} µs CPU, "
            f"{(full - empty) / (many - few):.0f} octets at the peak (kept, sorted and written)"
        )
    rate = packets / median
    verdict = "reached" if rate >= BAR else "MISSED"
    print(f"bar of {BAR:,} packets per CPU-second on the mixed load: {verdict} ({rate:,.0f})")
    return 0 if rate >= BAR else 1


if __name__ == "__main__":
    sys.exit(main())
