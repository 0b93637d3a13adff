"""Captures as stored: every container, every way to end, and the digest of what is really on disk."""

from __future__ import annotations

import gzip
import hashlib
import os
import subprocess
import threading
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor import capture_files
from monitor.capture_files import CaptureReader, DescriptorPool, StoredBytes, ZstdFrames, head

PCAP = bytes.fromhex("d4c3b2a1020004000000000000000000ffff000001000000")


def drain(reader: CaptureReader) -> bytes:
    blocks = []
    while block := reader.read():
        assert len(block) <= capture_files.BLOCK
        blocks.append(block)
    assert reader.read() == b""
    return b"".join(blocks)


def zst(data: bytes, *, checksum: bool = True, size: bool = True) -> bytes:
    return zstandard.ZstdCompressor(write_checksum=checksum, write_content_size=size).compress(data)


BODY = PCAP + os.urandom(3000) * 700  # over one read of 256 KiB, compressible


@pytest.mark.parametrize(
    ("name", "stored"),
    [
        ("plain", BODY),
        ("gzip", gzip.compress(BODY)),
        ("gzip members", gzip.compress(BODY[:1000]) + gzip.compress(b"") + gzip.compress(BODY[1000:])),
        ("gzip padded", gzip.compress(BODY) + bytes(512)),
        ("zstd", zst(BODY)),
        ("zstd frames", zst(BODY[:1000], checksum=False) + zst(b"") + zst(BODY[1000:], size=False)),
        ("zstd skippable", b"\x50\x2a\x4d\x18\x03\0\0\0abc" + zst(BODY) + b"\x5f\x2a\x4d\x18\0\0\0\0"),
    ],
)
@pytest.mark.parametrize("long_series", [False, True])
def test_every_container_gives_the_same_bytes(tmp_path: Path, name: str, stored: bytes, long_series: bool) -> None:
    path = tmp_path / "capture"
    path.write_bytes(stored)
    reader = CaptureReader(str(path), DescriptorPool(), long_series=long_series)
    assert drain(reader) == BODY
    assert (reader.complete, reader.error) == (True, None)
    assert reader.size == len(stored)
    assert reader.sha256 == hashlib.sha256(stored).hexdigest()
    assert head(str(path)) == BODY[:24]


@pytest.mark.parametrize("pack", [gzip.compress, zst])
@pytest.mark.parametrize("lost", [1, 5, 2000])
def test_a_stream_that_ends_early_is_incomplete_and_no_error(tmp_path: Path, pack: object, lost: int) -> None:
    stored = pack(BODY)[:-lost]  # type: ignore[operator]
    (tmp_path / "c").write_bytes(stored)
    reader = CaptureReader(str(tmp_path / "c"), DescriptorPool())
    assert BODY.startswith(drain(reader))
    assert (reader.complete, reader.error) == (False, None)
    assert reader.sha256 == hashlib.sha256(stored).hexdigest()


@pytest.mark.parametrize("pack", [gzip.compress, zst])
def test_a_stream_broken_in_the_middle_says_so_and_is_hashed_whole(tmp_path: Path, pack: object) -> None:
    body = PCAP + os.urandom(2_000_000)
    stored = bytearray(pack(body))  # type: ignore[operator]
    stored[1_000_000:1_000_400] = bytes(400)
    stored[1_500_000:1_500_004] = b"\xff\xff\xff\xff"
    (tmp_path / "c").write_bytes(stored)
    reader = CaptureReader(str(tmp_path / "c"), DescriptorPool())
    drain(reader)
    assert reader.error is not None
    assert "broken near octet" in reader.error
    assert reader.size == len(stored)
    assert reader.sha256 == hashlib.sha256(stored).hexdigest()


def test_damage_in_a_gzip_stream_costs_no_octet_before_it(tmp_path: Path) -> None:
    body = PCAP + os.urandom(100_000)
    stored = bytearray(gzip.compress(body, compresslevel=0))
    length = int.from_bytes(stored[11:13], "little")  # RFC 1951 3.2.4: of the first stored block, behind its kind
    assert 1_000 < length < len(body)
    stored[15 + length + 3] ^= 0xFF  # the second block's length no longer fits its complement
    (tmp_path / "c").write_bytes(stored)
    reader = CaptureReader(str(tmp_path / "c"), DescriptorPool())
    assert drain(reader) == body[:length]
    assert reader.error is not None


@pytest.mark.parametrize("stored", [gzip.compress(BODY) + b"what is this", zst(BODY) + b"what is this"])
def test_bytes_behind_the_last_member_are_an_error(tmp_path: Path, stored: bytes) -> None:
    (tmp_path / "c").write_bytes(stored)
    reader = CaptureReader(str(tmp_path / "c"), DescriptorPool())
    assert drain(reader) == BODY
    assert reader.error is not None


def test_a_file_that_shrinks_is_named(tmp_path: Path) -> None:
    path = tmp_path / "c"
    path.write_bytes(PCAP + bytes(9_000_000))
    reader = CaptureReader(str(path), DescriptorPool())
    assert len(reader.read()) == capture_files.BLOCK
    os.truncate(path, capture_files.BLOCK + 10)
    assert len(drain(reader)) == 10
    assert not reader.complete
    assert reader.error == f"the file shrank while it was read: it ended at octet {capture_files.BLOCK + 10}"


def test_a_file_replaced_between_two_reads_is_an_error_not_a_mixture(tmp_path: Path) -> None:
    path = tmp_path / "c"
    path.write_bytes(PCAP + bytes(9_000_000))
    pool = DescriptorPool()
    reader = CaptureReader(str(path), pool)
    reader.read()
    pool.close_all()  # as when many others were read in between
    path.rename(tmp_path / "old")
    path.write_bytes(b"x" * 9_000_024)
    assert reader.read() == b""
    assert reader.error is not None
    assert "replaced" in reader.error


def test_a_bomb_comes_in_bounded_blocks(tmp_path: Path) -> None:
    (tmp_path / "z").write_bytes(zst(bytes(200_000_000)))
    (tmp_path / "g").write_bytes(gzip.compress(bytes(50_000_000)))
    for name, size in (("z", 200_000_000), ("g", 50_000_000)):
        assert (tmp_path / name).stat().st_size < 100_000
        reader = CaptureReader(str(tmp_path / name), DescriptorPool())
        total = 0
        while block := reader.read():
            assert len(block) <= capture_files.BLOCK
            total += len(block)
        assert total == size


def test_a_thousand_files_hold_few_descriptors(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    pool = DescriptorPool()
    readers = []
    for number in range(1000):
        path = tmp_path / f"{number:04}.pcap"
        path.write_bytes(PCAP + number.to_bytes(4, "big") * 10_000)
        readers.append(CaptureReader(str(path), pool, long_series=True))
    firsts = [reader.read() for reader in readers]
    assert {len(block) for block in firsts} == {capture_files.FIRST_BLOCK}
    assert len(os.listdir("/proc/self/fd")) - before <= DescriptorPool.LIMIT + 1
    for number, reader in enumerate(readers):
        rest = drain(reader)
        assert firsts[number] + rest == PCAP + number.to_bytes(4, "big") * 10_000
    assert len(os.listdir("/proc/self/fd")) <= before + 1


def test_a_pipe_is_read_as_it_comes(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    stored = gzip.compress(BODY)

    def write() -> None:
        with open(fifo, "wb") as out:
            out.write(stored[:3])
            out.flush()
            out.write(stored[3:])

    writer = threading.Thread(target=write)
    writer.start()
    reader = CaptureReader(str(fifo), DescriptorPool(), long_series=True)
    assert drain(reader) == BODY
    writer.join()
    assert reader.sha256 == hashlib.sha256(stored).hexdigest()


def test_folders_and_missing_files_raise_when_opened(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError):
        StoredBytes(str(tmp_path), DescriptorPool())
    with pytest.raises(FileNotFoundError):
        CaptureReader(str(tmp_path / "none"), DescriptorPool())


def test_the_zstd_command_agrees(tmp_path: Path) -> None:
    """Files of the reference implementation."""
    (tmp_path / "raw").write_bytes(BODY)
    subprocess.run(["zstd", "-q", "--long=27", "-T1", str(tmp_path / "raw"), "-o", str(tmp_path / "c")], check=True)
    assert drain(CaptureReader(str(tmp_path / "c"), DescriptorPool())) == BODY


@settings(max_examples=60, deadline=None)
@given(
    parts=st.lists(st.binary(max_size=400), min_size=1, max_size=4),
    checksum=st.booleans(),
    size=st.booleans(),
    chunk=st.integers(1, 97),
    cut=st.integers(0, 10_000),
)
def test_frame_headers_know_the_boundary(parts: list[bytes], checksum: bool, size: bool, chunk: int, cut: int) -> None:
    """At a boundary exactly where whole frames end, in any chunking."""
    frames = [zst(part, checksum=checksum, size=size) for part in parts]
    ends = {0}
    for frame in frames:
        ends.add(max(ends) + len(frame))
    stream = b"".join(frames)
    cut = min(cut, len(stream))
    follower = ZstdFrames()
    for start in range(0, cut, chunk):
        piece, position = stream[start : min(start + chunk, cut)], 0
        while position < len(piece):
            position = follower.follow(piece, position)
    assert not follower.foreign
    assert follower.at_boundary == (cut in ends)


@settings(max_examples=80, deadline=None)
@given(data=st.binary(max_size=300), prefix=st.sampled_from([b"", b"\x1f\x8b\x08\0", b"\x28\xb5\x2f\xfd"]))
def test_no_bytes_raise(tmp_path_factory: pytest.TempPathFactory, data: bytes, prefix: bytes) -> None:
    path = tmp_path_factory.mktemp("any") / "c"
    path.write_bytes(prefix + data)
    reader = CaptureReader(str(path), DescriptorPool())
    drain(reader)
    assert reader.size == len(prefix + data)
    assert zlib.crc32(head(str(path))) >= 0


@pytest.mark.parametrize("pack", [gzip.compress, zst])
def test_what_precedes_a_fault_is_read(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    """gzip -dc and zstd -dc write what they have before they say that the sum is wrong."""
    stored = bytearray(pack(BODY))
    place = -8 if stored.startswith(b"\x1f\x8b") else -4  # CRC-32 of RFC 1952 2.3.1, Content_Checksum of RFC 8878 3.1.1
    stored[place] ^= 0x55
    (tmp_path / "c").write_bytes(stored)
    pool = DescriptorPool()
    reader = CaptureReader(str(tmp_path / "c"), pool)
    body = b"".join(iter(reader.read, b""))
    assert body == BODY
    assert reader.error is not None
    assert "is broken near octet" in reader.error


def test_gzip_is_read_up_to_the_octet_that_is_wrong(tmp_path: Path) -> None:
    stored = gzip.compress(BODY[:5000]) + gzip.compress(BODY[5000:])[:20] + b"\xff" * 400
    (tmp_path / "c").write_bytes(stored)
    reader = CaptureReader(str(tmp_path / "c"), DescriptorPool())
    body = b"".join(iter(reader.read, b""))
    assert body[:5000] == BODY[:5000]
    assert BODY.startswith(body[:5000])
    assert reader.error is not None
