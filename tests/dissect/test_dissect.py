"""The process that asks tshark: it says what tshark says, whatever the packets do it ends, and it can do no harm.

The packets are written here by RFC 791, 768 and 3261; what tshark must call them stands in its own documentation.
"""

from __future__ import annotations

import shutil
import stat
import struct
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pyshark
import pytest

from monitor.dissect import Limits, NoDissection, dissect
from monitor.evidence import Packet, slice_file

SIP = (
    b"OPTIONS sip:fe01.contoso.net SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK1\r\n"
    b"From: <sip:a@contoso.net>;tag=1\r\nTo: <sip:b@contoso.net>\r\nCall-ID: \x1b[31mred\r\nCSeq: 1 OPTIONS\r\n"
    b"Content-Length: 0\r\n\r\n"
)


def udp(payload: bytes, number: int = 0) -> Packet:
    """From 192.0.2.1:40000 to 192.0.2.2:5060 in a raw IPv4 packet (LINKTYPE_RAW, 101)."""
    header = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 28 + len(payload), 1, 0, 64, 17, 0, b"\xc0\0\2\1", b"\xc0\0\2\2")
    data = header + struct.pack(">HHHH", 40000, 5060, 8 + len(payload), 0) + payload
    return Packet(1_795_338_000_000_000_000 + number, 101, len(data), data)


ONE = slice_file([udp(SIP)], "")


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that everybody may enter and write, as the folders of the test run are not."""
    folder = Path(tempfile.mkdtemp(prefix="edgewarden-test-"))
    folder.chmod(0o777)
    yield folder
    shutil.rmtree(folder)


def shim(folder: Path, text: str) -> None:
    """A program called tshark that does something else, or something before."""
    path = folder / "tshark"
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    path.chmod(0o755)


def test_a_packet_in_its_words() -> None:
    dissection = dissect([ONE])
    assert dissection.version[0].isdigit()
    [[packet]] = [found.packets for found in dissection.slices]
    assert (packet.number, packet.time, packet.length) == (1, "1795338000.000000000", 28 + len(SIP))
    assert (packet.source, packet.source_port) == ("192.0.2.1", 40000)
    assert (packet.destination, packet.destination_port) == ("192.0.2.2", 5060)
    assert packet.spoken == ("sip",)
    [layer] = packet.layers
    assert layer.name == "sip"
    assert "Request-Line: OPTIONS sip:fe01.contoso.net SIP/2.0" in layer.lines
    assert any("Method: OPTIONS" in line for line in layer.lines)


def test_text_of_the_wire_is_made_visible() -> None:
    [found] = dissect([ONE]).slices
    words = " ".join(line for packet in found.packets for layer in packet.layers for line in layer.lines)
    assert words.isprintable()
    assert "[31mred" in words


def test_each_capture_is_told_apart() -> None:
    first, second, third = dissect([ONE, slice_file([], ""), slice_file([udp(b"\0" * 40), udp(SIP, 1)], "")]).slices
    assert len(first.packets) == 1
    assert (second.packets, second.fault) == ((), "no packet was found in it")
    assert [packet.number for packet in third.packets] == [1, 2]


def test_a_cut_capture_gives_what_it_has_and_a_foreign_one_its_fault() -> None:
    two = slice_file([udp(SIP), udp(SIP, 1)], "")
    cut, foreign, whole = dissect([two[:-20], b"no capture" * 50, ONE]).slices
    assert len(cut.packets) == 1
    assert foreign.packets == ()
    assert foreign.fault is not None
    assert (len(whole.packets), whole.fault) == (1, None)


def test_no_more_than_the_limits_let_through() -> None:
    many = slice_file([udp(SIP, number) for number in range(9)], "")
    [found] = dissect([many], Limits(packets=4, characters=500)).slices
    assert len(found.packets) == 4
    assert found.cut
    assert 0 < sum(len(line) for packet in found.packets for layer in packet.layers for line in layer.lines) <= 500


def test_what_is_written_is_bounded() -> None:
    """The answer on the second capture does not fit: the first is kept, the second has a fault."""
    many = slice_file([udp(SIP, number) for number in range(60)], "")
    first, second = dissect([ONE, many], Limits(output=20_000)).slices
    assert len(first.packets) == 1
    assert second.packets == ()
    assert second.fault is not None


def test_a_tshark_that_never_ends_is_ended(open_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shim(open_folder, 'if [ "$1" = -v ]; then echo "TShark (Wireshark) 4.0.17"; else exec sleep 1000; fi')
    monkeypatch.setenv("PATH", str(open_folder), prepend=":")
    [found] = dissect([ONE], Limits(seconds=3, seconds_each=0)).slices
    assert (found.packets, found.fault) == ((), "its time was up")


def test_a_tshark_that_fails_is_told(open_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shim(open_folder, "echo no version here; exit 1")
    monkeypatch.setenv("PATH", str(open_folder), prepend=":")
    with pytest.raises(NoDissection, match="tshark could not be asked: "):
        dissect([ONE])


def test_without_tshark_the_remedy_is_named(open_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(open_folder))
    with pytest.raises(NoDissection, match="apt install tshark"):
        dissect([ONE])


def test_it_runs_without_rights_names_and_scripts(
    open_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As tshark itself finds it: who it is, what it may do, where it is at home, what it was told."""
    real = shutil.which("tshark")
    assert real is not None, "this test needs tshark"
    spy = open_folder / "spy"
    shim(
        open_folder,
        f'{{ cat /proc/self/status; ulimit -t; ulimit -v; ulimit -c; echo "HOME=$HOME"; ls -A "$HOME" | wc -l; '
        f'env; echo "ARGUMENTS $*"; }} > {spy}; exec {real} "$@"',
    )
    monkeypatch.setenv("PATH", str(open_folder), prepend=":")
    monkeypatch.setenv("EW_SECRET", "s3cr3t")
    monkeypatch.setenv("HOME", str(tmp_path))
    [found] = dissect([ONE], Limits(cpu_seconds=7, memory=1024**3)).slices
    assert len(found.packets) == 1
    seen = spy.read_text(encoding="utf-8")
    status = {line.split(":")[0]: line.split()[1:] for line in seen.splitlines() if line.count(":")}
    assert status["NoNewPrivs"] == ["1"]
    assert status["CapEff"] == ["0000000000000000"]
    assert status["Uid"] == ["65534"] * 4, "this test must be run by root"
    assert status["Groups"] == []
    lines = seen.splitlines()
    assert [lines[lines.index("7") + place] for place in (0, 1, 2)] == ["7", "1048576", "0"]
    home = next(line for line in lines if line.startswith("HOME="))
    assert str(tmp_path) not in home
    assert lines[lines.index(home) + 1] == "0"  # nothing in it
    assert "EW_SECRET" not in seen
    [arguments] = [line for line in lines if line.startswith("ARGUMENTS")]
    assert " -n " in arguments


def test_it_runs_where_nobody_else_may_look() -> None:
    """As where edgewarden is installed below /root, which is root's alone."""
    place = Path(pyshark.__file__).parent
    mode = stat.S_IMODE(place.stat().st_mode)
    place.chmod(0o700)
    try:
        [found] = dissect([ONE]).slices
    finally:
        place.chmod(mode)
    assert (len(found.packets), found.fault) == (1, None)


def test_nothing_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of temporary files that only its owner may enter, as some machines have, is no obstacle either."""
    made: list[str] = []
    really = tempfile.mkdtemp

    def watched(*arguments: str | None, **options: str | None) -> str:
        made.append(really(*arguments, **options))
        return made[-1]

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(tempfile, "mkdtemp", watched)
    found, foreign = dissect([ONE, b"foreign"]).slices
    assert len(found.packets) == 1
    assert foreign.fault is not None
    assert len(made) == 1
    assert not Path(made[0]).exists()
