"""What the operator typed: sensors, folders, interfaces, and what cannot be read."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import pytest

from monitor.capture_arguments import ArgumentFault, SensorName, expand, parse

XF = SensorName("xf-out", "external", "outside")
LAN = SensorName("if-lan", "internal", "inside")
EXTERNAL = SensorName("external", "external")
PCAP = bytes.fromhex("d4c3b2a1020004000000000000000000ffff000001000000")


def probe(head: bytes) -> str | None:
    """Stands for the core's: these tests are about files, not formats."""
    return "pcap" if head.startswith(PCAP[:4]) else None


@pytest.mark.parametrize(
    ("text", "sensor", "path", "interface"),
    [
        ("external=a.pcap", EXTERNAL, "a.pcap", None),
        ("xf-out=a.pcap", XF, "a.pcap", None),
        ("vpn=x=y.pcap", SensorName("vpn", "vpn"), "x=y.pcap", None),
        ("internal=a.pcapng#0", SensorName("internal", "internal"), "a.pcapng", 0),
        ("if-lan=dir/a#12", LAN, "dir/a", 12),
        ("external=-", EXTERNAL, "-", None),
        ("external=a#b.pcap", EXTERNAL, "a#b.pcap", None),
    ],
)
def test_arguments_with_a_sensor(text: str, sensor: SensorName, path: str, interface: int | None) -> None:
    argument = parse(text, [XF, LAN], sensor_needed=True, exists=lambda _: False)
    assert (argument.sensor, argument.path, argument.interface) == (sensor, path, interface)


def test_the_only_declared_sensor_is_meant() -> None:
    assert parse("a.pcap", [XF], sensor_needed=True).sensor == XF


@pytest.mark.parametrize("sensors", [[], [XF, LAN]])
def test_without_a_sensor_both_forms_are_shown(sensors: list[SensorName]) -> None:
    with pytest.raises(ArgumentFault, match=r"POSITION=CAPTURE .*NAME=CAPTURE"):
        parse("a.pcap", sensors, sensor_needed=True)


def test_a_name_that_is_no_sensor_is_named() -> None:
    with pytest.raises(ArgumentFault, match=r"'outer' is no sensor .*external, internal, lan, vpn, xf-out"):
        parse("outer=a.pcap", [XF], sensor_needed=True, exists=lambda _: False)


def test_flows_alone_need_no_sensor_and_take_an_equals_sign_in_a_name() -> None:
    argument = parse("odd=name.pcap", [], sensor_needed=False)
    assert (argument.sensor, argument.path) == (SensorName(), "odd=name.pcap")


def test_a_file_whose_name_ends_like_an_interface_is_that_file(tmp_path: Path) -> None:
    path = tmp_path / "a#3"
    path.write_bytes(PCAP)
    argument = parse(f"external={path}", [], sensor_needed=True)
    assert (argument.path, argument.interface) == (str(path), None)


def test_nothing_after_the_equals_sign() -> None:
    with pytest.raises(ArgumentFault, match="no capture is named"):
        parse("external=", [], sensor_needed=True)


def test_folders_are_walked_in_name_order_and_others_are_counted(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "a.pcap").write_bytes(PCAP)
    (tmp_path / "c.gz").write_bytes(gzip.compress(PCAP))
    (tmp_path / "b" / "z.cap").write_bytes(PCAP)
    (tmp_path / "b" / "notes.txt").write_text("no capture")
    (tmp_path / "empty.pcap").write_bytes(b"")
    (tmp_path / "broken.gz").write_bytes(b"\x1f\x8bnot gzip")
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "loop").symlink_to(tmp_path)
    result = expand([parse(f"external={tmp_path}", [], sensor_needed=True)], probe)
    names = [os.path.relpath(capture.path, tmp_path) for capture in result.captures]
    assert names == ["a.pcap", "b/z.cap", "c.gz"]
    assert all(capture.sensor == EXTERNAL for capture in result.captures)
    assert (result.skipped, result.faults) == (4, [])


def test_a_file_named_twice_is_one_capture(tmp_path: Path) -> None:
    path = tmp_path / "a.pcap"
    path.write_bytes(PCAP)
    texts = [f"external={tmp_path}", f"external={path}", f"internal={path}", f"external={path}#0"]
    result = expand([parse(text, [], sensor_needed=True) for text in texts], probe)
    assert [(c.sensor.name, c.interface) for c in result.captures] == [
        ("external", None),
        ("internal", None),
        ("external", 0),
    ]


def test_what_cannot_be_read_is_told_and_the_rest_stays(tmp_path: Path) -> None:
    good = tmp_path / "a.pcap"
    good.write_bytes(PCAP)
    (tmp_path / "hollow").mkdir()
    texts = [f"external={tmp_path}/none.pcap", f"external={good}", f"external={tmp_path}/hollow", "external=-"]
    result = expand([parse(text, [], sensor_needed=True) for text in [*texts, "internal=-"]], probe)
    assert [capture.path for capture in result.captures] == [str(good), "-"]
    assert result.faults == [
        f"{tmp_path}/none.pcap: cannot be read: No such file or directory",
        f"{tmp_path}/hollow: the folder holds no capture",
        "-: standard input can be read only once",
    ]


def test_folders_and_files_share_one_order(tmp_path: Path) -> None:
    """As `sort` would list the paths: a folder stands where its name does, not behind the files beside it."""
    for name in ("b/2", "c", "a/9", "a/b/1"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(PCAP)
    found = expand([parse(str(tmp_path), [XF], sensor_needed=True)], probe)
    assert [os.path.relpath(capture.path, tmp_path) for capture in found.captures] == ["a/9", "a/b/1", "b/2", "c"]


def test_names_of_files_cannot_forge_a_message(tmp_path: Path) -> None:
    (tmp_path / "x\nedgewarden: all is well\x1b[2K").symlink_to("nowhere")
    found = expand([parse(str(tmp_path), [XF], sensor_needed=True)], probe)
    assert all("\n" not in fault and "\x1b" not in fault for fault in found.faults)
    assert any("\\u{000a}edgewarden: all is well\\u{001b}[2K" in fault for fault in found.faults)
