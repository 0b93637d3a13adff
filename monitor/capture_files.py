"""Captures as stored on disk, read once, front to back: bytes, digest, and what was wrong with their container.

Strategy: three layers that only pull. `StoredBytes` reads the file (or pipe) as it is, hashing on the way; a decoder
undoes gzip or zstd; `CaptureReader` hands out blocks of bounded size for the core. Nothing is mapped, as a mapped file
that shrinks kills the process, and nothing is read twice but the first few KiB of files in a long series.

A rotated series may have thousands of files that must be merged by packet time, so a regular file holds no descriptor
between two reads beyond `DescriptorPool.LIMIT`, and no decoder between its first block and the time its turn comes.

Errors are values: a reader never raises for bad bytes. `complete` turns false when a compressed stream ends early;
`error` says what was broken in the middle, or that the file shrank. Only opening can raise (`OSError`).
"""

from __future__ import annotations

import hashlib
import os
import stat
import zlib
from collections import OrderedDict
from typing import Final, Protocol

import zstandard

BLOCK: Final = 1024 * 1024
"""Octets handed to the core at once: large enough that the call costs nothing, small enough that a thousand engines
would not matter. tcpdump reads 32 KiB at a time; the core works on ranges, so it gains from more."""

FIRST_BLOCK: Final = 16 * 1024
"""Octets of the first block of a file in a long series: enough for its first packet time, since the core keeps one
such block of every announced file while it merges."""

LONG_SERIES: Final = 16
"""From this many captures at one sensor on, first blocks are small and decoders are dropped between."""

STORED_READ: Final = 256 * 1024
"""Octets read from the file at once on behalf of a decoder."""

ZSTD_WINDOW: Final = 128 * 1024 * 1024
"""Largest window a zstd frame may ask for: what the zstd command itself decodes without being told to take more."""

GZIP_MAGIC: Final = b"\x1f\x8b"
ZSTD_MAGIC: Final = 0xFD2FB528  # RFC 8878, 3.1.1
ZSTD_SKIPPABLE: Final = 0x184D2A5  # RFC 8878, 3.1.2: the upper 28 bits


class DescriptorPool:
    """The open descriptors of one sensor's regular files: the least recently read is closed first."""

    LIMIT: Final = 64  # a process may usually have 1,024; several sensors, pipes and outputs share them

    def __init__(self) -> None:
        self._open: OrderedDict[StoredBytes, int] = OrderedDict()

    def descriptor(self, source: StoredBytes) -> int:
        """The source's descriptor, positioned where it stopped. Raises OSError when it cannot be opened (again)."""
        fd = self._open.pop(source, None)
        if fd is None:
            while len(self._open) >= self.LIMIT:
                os.close(self._open.popitem(last=False)[1])
            fd = source.open_at_offset()
        self._open[source] = fd
        return fd

    def close(self, source: StoredBytes) -> None:
        fd = self._open.pop(source, None)
        if fd is not None:
            os.close(fd)

    def close_all(self) -> None:
        while self._open:
            os.close(self._open.popitem()[1])


class StoredBytes:
    """The bytes as stored, in order, with their SHA-256 and count. A pipe or "-" keeps one descriptor to the end."""

    def __init__(self, path: str, pool: DescriptorPool, *, digest: bool = True) -> None:
        """`digest`: whether the SHA-256 is wanted; it costs as much as half the reading. Raises OSError when there is
        nothing to read at `path`."""
        self.path = path
        self._digest = digest
        self.size = 0
        self.shrunk = False
        self._pool = pool
        self._hash = hashlib.sha256()
        self._held: int | None = None
        self._expected = 0
        self._identity: tuple[int, int] | None = None
        if path == "-":
            self._held = 0
            return
        status = os.stat(path)
        if stat.S_ISDIR(status.st_mode):
            raise IsADirectoryError(21, "Is a directory", path)
        if stat.S_ISREG(status.st_mode):
            self._expected = status.st_size
            self._identity = (status.st_dev, status.st_ino)
            pool.descriptor(self)  # says now, not in the middle, that it may not be read
        else:
            self._held = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    @property
    def seekable(self) -> bool:
        return self._held is None

    @property
    def sha256(self) -> str:
        """Hexadecimal digest of what was read so far; "" when none was wanted."""
        return self._hash.hexdigest() if self._digest else ""

    def open_at_offset(self) -> int:
        fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        status = os.fstat(fd)
        if (status.st_dev, status.st_ino) != self._identity:
            os.close(fd)
            raise OSError(5, "was replaced by another file while it was read", self.path)
        os.lseek(fd, self.size, os.SEEK_SET)
        return fd

    def read(self, count: int) -> bytes:
        """Up to `count` octets, at least one unless the end is reached. Raises OSError."""
        data = os.read(self._held if self._held is not None else self._pool.descriptor(self), count)
        if self._digest:
            self._hash.update(data)
        self.size += len(data)
        if not data and self.size < self._expected:
            self.shrunk = True
        return data

    def rewind(self) -> None:
        """Back to the first octet, digest and all, of a file that is `seekable`."""
        self._pool.close(self)
        self._hash = hashlib.sha256()
        self.size = 0

    def close(self) -> None:
        if self._held is None:
            self._pool.close(self)
        elif self._held != 0:
            os.close(self._held)
            self._held = 0


class Decoder(Protocol):
    """Undoes one container. `read` gives up to `count` octets, b"" at the end; the two fields say how that was."""

    complete: bool
    error: str | None

    def read(self, count: int) -> bytes: ...


class Plain:
    """No container: what was read ahead to look at it, then the file."""

    def __init__(self, source: StoredBytes, ahead: bytes) -> None:
        self.complete = True
        self.error: str | None = None
        self._source = source
        self._ahead = ahead

    def read(self, count: int) -> bytes:
        if self._ahead:
            data, self._ahead = self._ahead[:count], self._ahead[count:]
            return data
        return self._source.read(count)


class Gzip:
    """RFC 1952: one or more members, padding of zeros after the last allowed as gzip itself does."""

    def __init__(self, source: StoredBytes, ahead: bytes) -> None:
        self.complete = True
        self.error: str | None = None
        self._source = source
        self._pending = ahead
        self._member = zlib.decompressobj(wbits=31)
        self._in_member = True
        self._ended = False

    def read(self, count: int) -> bytes:
        while not self._ended:
            if not self._pending:
                self._pending = self._source.read(STORED_READ)
                if not self._pending:
                    self._ended = True
                    self.complete = not self._in_member
                    break
            if not self._in_member:
                self._next_member()
                continue
            before = self._member.copy()
            try:
                data = self._member.decompress(self._pending, count)
            except zlib.error as error:
                data = self._up_to_the_fault(before)
                self.error = f"the gzip stream is broken near octet {self._source.size - len(self._pending)} ({error})"
                self._ended = True
                return data
            if self._member.eof:
                self._pending = self._member.unused_data
                self._in_member = False
            else:
                self._pending = self._member.unconsumed_tail
            if data:
                return data
        return b""

    def _up_to_the_fault(self, member: zlib._Decompress) -> bytes:
        """What the pending octets give before the one that is wrong; the library keeps it to itself when it fails."""
        pieces = []
        position = 0
        try:
            for position in range(len(self._pending)):
                pieces.append(member.decompress(self._pending[position : position + 1]))
        except zlib.error:
            self._pending = self._pending[position:]
        return b"".join(pieces)

    def _next_member(self) -> None:
        self._pending = self._pending.lstrip(b"\0")
        if len(self._pending) == 1:
            self._pending += self._source.read(1)
        if not self._pending:
            return
        if GZIP_MAGIC.startswith(self._pending[:2]):
            self._member = zlib.decompressobj(wbits=31)
            self._in_member = True
        else:
            self.error = f"after octet {self._source.size - len(self._pending)} come bytes that are no gzip member"
            self._ended = True


class ZstdFrames:
    """Follows the frame and block headers of RFC 8878, 3.1, in the bytes that go to the decompressor.

    The library ends quietly where the bytes end, inside a block or not, gives nothing of what precedes an error in the
    same call, and turns four octets into 128 KiB. Fed block by block it is exact and bounded; these headers say where
    a block ends. The blocks' content is skipped.
    """

    def __init__(self) -> None:
        self.at_boundary = True  # between two frames
        self.foreign = False  # what follows is no frame
        self._state = "magic"
        self._need = 4
        self._have = b""
        self._skip = 0
        self._checksum = False

    @property
    def before_checksum(self) -> bool:
        """A frame's blocks are complete and nothing of its checksum was read: what they hold can be had now."""
        return self._state == "checksum" and not self._skip and not self._have

    def follow(self, data: bytes, position: int) -> int:
        """The position behind the block, header or frame that ends next in `data`, or its length."""
        if self._skip:
            step = min(self._skip, len(data) - position)
            self._skip -= step
            if self._skip == 0 and self._state == "skipped":
                self._expect("magic", 4)
                self.at_boundary = True
            return position + step
        take = data[position : position + self._need - len(self._have)]
        self._have += take
        self.at_boundary = False
        if len(self._have) == self._need:
            self._advance(self._have)
        return position + len(take)

    def _expect(self, state: str, need: int) -> None:
        self._state, self._need, self._have = state, need, b""

    def _advance(self, field: bytes) -> None:
        if self._state == "magic":
            magic = int.from_bytes(field, "little")
            if magic >> 4 == ZSTD_SKIPPABLE:
                self._expect("skippable size", 4)
            elif magic == ZSTD_MAGIC:
                self._expect("descriptor", 1)
            else:
                self.foreign = True
        elif self._state == "skippable size":
            self._end_frame_after(int.from_bytes(field, "little"))
        elif self._state == "descriptor":
            single_segment = field[0] >> 5 & 1
            self._checksum = bool(field[0] & 4)
            content_size = (single_segment, 2, 4, 8)[field[0] >> 6]
            rest = content_size + (0, 1, 2, 4)[field[0] & 3] + (0 if single_segment else 1)
            self._expect("frame header", rest) if rest else self._expect("block header", 3)
        elif self._state == "frame header":
            self._expect("block header", 3)
        elif self._state == "block header":
            header = int.from_bytes(field, "little")
            self._skip = 1 if header >> 1 & 3 == 1 else header >> 3  # a run of one octet stores that octet
            if not header & 1:
                self._expect("block header", 3)
            elif self._checksum:
                self._expect("checksum", 4)
            else:
                self._end_frame_after(self._skip)
        elif self._state == "checksum":
            self._end_frame_after(0)

    def _end_frame_after(self, octets: int) -> None:
        self._skip = octets
        self._expect("skipped", 0)
        if not octets:
            self._expect("magic", 4)
            self.at_boundary = True


class Zstd:
    """RFC 8878: one or more frames, skippable ones too."""

    _SMALL: Final = 1024  # octets below which several headers and blocks go to the library together …
    _TOGETHER: Final = 32  # … but no more than these, each at most 128 KiB decoded (RFC 8878, 3.1.1.2.4)

    def __init__(self, source: StoredBytes, ahead: bytes) -> None:
        self.complete = True
        self.error: str | None = None
        self._source = source
        self._stored = ahead
        self._position = 0
        self._frames = ZstdFrames()
        self._library = zstandard.ZstdDecompressor(max_window_size=ZSTD_WINDOW).decompressobj(read_across_frames=True)
        self._decoded = b""
        self._ended = False

    def read(self, count: int) -> bytes:
        while not self._decoded and not self._ended:
            self._decode_some()
        data, self._decoded = self._decoded[:count], self._decoded[count:]
        return data

    def _decode_some(self) -> None:
        if self._position == len(self._stored):
            self._stored, self._position = self._source.read(STORED_READ), 0
            if not self._stored:
                self._ended = True
                self.complete = self._frames.at_boundary
                return
        begin, steps = self._position, 0
        while self._position < len(self._stored) and steps < self._TOGETHER and self._position - begin < self._SMALL:
            before = self._position
            self._position = self._frames.follow(self._stored, before)
            if self._frames.foreign:
                self._break(f"what follows octet {self._source.size - len(self._stored) + before} is no zstd frame")
                self._position = before
                break
            steps += 1
            if self._frames.before_checksum:  # with a wrong one the library would keep the blocks to itself
                break
        try:
            self._decoded = self._library.decompress(self._stored[begin : self._position])
        except zstandard.ZstdError as error:
            self._break(
                f"the zstd stream is broken near octet {self._source.size - len(self._stored) + begin} ({error})"
            )

    def _break(self, sentence: str) -> None:
        self._ended = True
        if self.error is None:
            self.error = sentence


def decoder_for(source: StoredBytes) -> Decoder:
    """The decoder that the first four octets ask for; the octets read to see them are given to it. Raises OSError."""
    ahead = b""
    while len(ahead) < 4 and (more := source.read(4 - len(ahead))):
        ahead += more
    if ahead.startswith(GZIP_MAGIC):
        return Gzip(source, ahead)
    number = int.from_bytes(ahead, "little") if len(ahead) == 4 else 0
    if number == ZSTD_MAGIC or number >> 4 == ZSTD_SKIPPABLE:
        return Zstd(source, ahead)
    return Plain(source, ahead)


class CaptureReader:
    """One capture argument's bytes, decoded, in blocks. Used by one thread."""

    def __init__(self, path: str, pool: DescriptorPool, *, long_series: bool = False, digest: bool = True) -> None:
        """`digest`: whether the SHA-256 is wanted. Raises OSError when the file cannot be opened."""
        self.path = path
        self._source = StoredBytes(path, pool, digest=digest)
        self._long_series = long_series and self._source.seekable
        self._decoder: Decoder | None = None
        self._handed_out = 0
        self._failure: str | None = None
        self._ended = False

    @property
    def sha256(self) -> str:
        return self._source.sha256

    @property
    def size(self) -> int:
        """Octets as stored; of the whole file once `read` has returned b""."""
        return self._source.size

    @property
    def decoded(self) -> int:
        """Octets handed out so far."""
        return self._handed_out

    @property
    def complete(self) -> bool:
        """False when a compressed stream ended early, or the file shrank or could not be read on."""
        whole = self._decoder is None or self._decoder.complete
        return whole and not self._source.shrunk and self._failure is None

    @property
    def error(self) -> str | None:
        """One sentence when the bytes were broken in the middle or the file shrank while it was read."""
        if self._failure is not None:
            return self._failure
        if self._source.shrunk:
            return f"the file shrank while it was read: it ended at octet {self._source.size}"
        return self._decoder.error if self._decoder is not None else None

    def read(self) -> bytes:
        """The next block, at most `BLOCK` octets; b"" at the end, and again after it."""
        if self._ended:
            return b""
        try:
            if self._decoder is None:
                self._decoder = decoder_for(self._source)
                if self._handed_out:  # the first block of a long series was handed out before
                    self._read_exactly(self._handed_out)
            data = self._read_up_to(FIRST_BLOCK if self._long_series and not self._handed_out else BLOCK)
            if data and self._long_series and not self._handed_out:
                self._decoder = None
                self._source.rewind()
            self._handed_out += len(data)
            if not data:
                self._read_rest()
        except OSError as error:
            self._failure = f"reading failed: {error.strerror or error}"
            data = b""
        if not data:
            self._ended = True
            self._source.close()
        return data

    def close(self) -> None:
        self._ended = True
        self._source.close()

    def _read_up_to(self, count: int) -> bytes:
        """Gathers what decoders and pipes give in small pieces, without waiting for a pipe to fill a block."""
        assert self._decoder is not None
        pieces = []
        while count > 0:
            piece = self._decoder.read(count)
            if not piece:
                break
            pieces.append(piece)
            count -= len(piece)
            if not self._source.seekable:
                break
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _read_exactly(self, count: int) -> None:
        while count > 0 and (piece := self._read_up_to(min(count, BLOCK))):
            count -= len(piece)

    def _read_rest(self) -> None:
        """The digest is that of the whole file, also behind the place where decoding had to stop."""
        while self._source.read(STORED_READ):
            pass


def head(path: str, count: int = 24) -> bytes:
    """The first decoded octets of a regular file, to see what it is. Raises OSError."""
    pool = DescriptorPool()
    try:
        decoder = decoder_for(StoredBytes(path, pool))
        data = b""
        while len(data) < count and (more := decoder.read(count - len(data))):
            data += more
        return data
    finally:
        pool.close_all()
