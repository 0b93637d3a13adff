"""Filter expressions become the programs that they mean, or a sentence; the compiler is a process that may fail."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from monitor import packet_filter
from monitor.exit_status import OperatorMistake
from monitor.packet_filter import LINK_TYPES, compile_filter, compile_for_core, link_type_of

RET_ALL, RET_NONE = (0x06, 0, 0, 262_144), (0x06, 0, 0, 0)


def test_programs_are_those_of_the_paper() -> None:
    """`ip` on Ethernet as in McCanne and Jacobson, "The BSD Packet Filter", 1993: load the type, compare, return; on
    raw IP the version stands in the first four bits."""
    programs = compile_filter("ip")
    assert programs[1] == [(0x28, 0, 0, 12), (0x15, 0, 1, 0x0800), RET_ALL, RET_NONE]
    assert programs[101] == [(0x30, 0, 0, 0), (0x54, 0, 0, 0xF0), (0x15, 0, 1, 0x40), RET_ALL, RET_NONE]


def test_no_expression_lets_all_through() -> None:
    assert compile_filter("") == {link_type: [RET_ALL] for link_type in LINK_TYPES}


def test_a_link_type_without_that_meaning_has_no_program() -> None:
    assert set(compile_filter("ether host 02:00:00:00:00:01")) == {1}


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("tcp prot 443", "syntax error"),
        ("port 99999", "illegal port"),
        ("\x1b[31mtcp", r"'\\u\{001b\}\[31mtcp'"),
        ("tcp\0", "none of them 0"),
        ("(" * 70_000, "65536 octets"),
        ("(" * 60_000, "."),
        ("--help", "syntax error"),
    ],
)
def test_what_means_nothing_is_told(expression: str, said: str) -> None:
    with pytest.raises(OperatorMistake, match=said) as told:
        compile_filter(expression)
    assert "\x1b" not in str(told.value)


def test_a_compiler_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packet_filter, "PATIENCE", 0.0)
    with pytest.raises(OperatorMistake, match="not compiled within 0 seconds"):
        compile_filter("tcp")


def test_nothing_in_the_working_folder_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever listens is often root, and the folder may be anybody's."""
    (tmp_path / "json.py").write_text("open('run', 'w')")
    (tmp_path / "scapy.py").write_text("open('run', 'w')")
    monkeypatch.chdir(tmp_path)
    assert compile_filter("tcp")
    assert sorted(os.listdir(tmp_path)) == ["json.py", "scapy.py"]


def test_what_only_the_kernel_knows_is_not_asked_of_octets() -> None:
    """Which way a packet went stands in cooked captures (LINKTYPE_LINUX_SLL, 113), and beside Ethernet in no file."""
    assert 1 in compile_filter("inbound")
    programs = compile_for_core("inbound")
    assert 1 not in programs
    assert 113 in programs
    with pytest.raises(OperatorMistake, match="only the kernel knows"):
        compile_for_core("inbound and ether host 02:00:00:00:00:01")


@pytest.mark.parametrize(("hardware", "link_type"), [(1, 1), (772, 1), (65534, 101), (801, None)])
def test_link_types_of_interfaces(hardware: int, link_type: int | None) -> None:
    """Ethernet, loopback, a tun device; IEEE 802.11 is none that we can read (linux/if_arp.h)."""
    assert link_type_of(hardware) == link_type
