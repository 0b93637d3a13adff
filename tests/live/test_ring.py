"""The ring gives every packet of an interface once and whole, counts what it cannot give, outlives the interface."""

from __future__ import annotations

import select
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from monitor.exit_status import OperatorMistake
from monitor.live import ring
from monitor.live.ring import Program, Ring, open_socket
from tests.live.wire import FAR, NEAR, OURS, command, connect, frame, frames, speaker, wait_for

pytestmark = pytest.mark.usefixtures("wire")


@pytest.fixture
def opened() -> Iterator[Callable[..., Ring]]:
    """Makes rings, closed at the end."""
    made: list[Ring] = []

    def make(interface: str = FAR, program: Program = ()) -> Ring:
        made.append(Ring(interface, open_socket(interface, program)))
        return made[-1]

    yield make
    for one in made:
        one.close()


def drain(one: Ring) -> list[bytes]:
    """All that came in until now."""
    one.stop()
    found: list[bytes] = []
    while not one.drained:
        assert select.select([one], [], [], 10)[0], "the kernel keeps a block"
        for block in one.blocks():
            found += frames(block)
    return found


def test_every_packet_once_in_order_and_whole(wire: str, opened: Callable[..., Ring]) -> None:
    """Of sizes from the smallest on; more octets than the ring holds, so that it turns."""
    one = opened()
    got = []
    sent = [frame(number, 60 + number * 7 % 1400) for number in range(150_000)]
    with speaker() as mouth:
        for number, packet in enumerate(sent):
            mouth.send(packet)
            if number % 500 == 0:
                for block in one.blocks():
                    got += frames(block)
    got += drain(one)
    assert sum(map(len, sent)) > ring.BLOCK * ring.BLOCKS
    assert got == sent
    counted = one.counters()
    assert (counted.received, counted.dropped) == (len(sent), 0)


def test_both_directions_are_heard(opened: Callable[..., Ring]) -> None:
    one = opened(NEAR)
    with speaker() as mouth:
        mouth.send(frame(1))
    assert drain(one) == [frame(1)]


def test_what_is_for_others_is_heard_too(opened: Callable[..., Ring]) -> None:
    """A tap is nobody's destination; the interface must be promiscuous as long as we listen."""
    one = opened()
    assert "promiscuity 1" in shown(FAR)
    one.close()
    assert "promiscuity 0" in shown(FAR)


def shown(interface: str) -> str:
    return subprocess.run(["ip", "-d", "link", "show", interface], capture_output=True, text=True, check=True).stdout


def test_what_finds_no_room_is_counted(opened: Callable[..., Ring], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ring, "BLOCKS", 2)
    one = opened()
    with speaker() as mouth:
        for number in range(5000):
            mouth.send(frame(number, 1000))
    got = drain(one)
    counted = one.counters()
    assert counted.dropped > 0
    assert counted.received == len(got)
    assert counted.received + counted.dropped == 5000


def test_a_filter_is_in_force_before_the_first_packet(opened: Callable[..., Ring]) -> None:
    """`ether proto 0x88b6` by hand: load the half word at 12, compare, all or nothing (the BPF paper, McCanne 1993)."""
    other = OURS + 1
    with speaker() as mouth:
        one = opened(FAR, [(0x28, 0, 0, 12), (0x15, 0, 1, other), (0x06, 0, 0, 0x40000), (0x06, 0, 0, 0)])
        for number in range(100):
            mouth.send(frame(number, kind=OURS + number % 2))
        got = drain(one)
    assert got == [frame(number, kind=other) for number in range(1, 100, 2)]
    assert one.counters().received == 50


def test_nothing_comes_in_after_stop(opened: Callable[..., Ring]) -> None:
    one = opened()
    with speaker() as mouth:
        mouth.send(frame(1))
        one.stop()
        mouth.send(frame(2))
        assert drain(one) == [frame(1)]


def test_an_interface_that_was_down(opened: Callable[..., Ring]) -> None:
    one = opened()
    assert one.tend() is None
    command("ip", "link", "set", FAR, "down")
    assert one.tend() == "far: the interface is down; listening goes on when it is back"
    assert one.tend() is None
    command("ip", "link", "set", FAR, "up")
    assert one.tend() == "far: the interface is back"
    assert one.counters().down > 0
    assert heard_again(one)


def test_an_interface_that_was_made_anew(opened: Callable[..., Ring]) -> None:
    one = opened()
    command("ip", "link", "delete", FAR)
    assert one.tend() == "far: the interface is gone; listening goes on when it is back"
    assert select.select([one], [], [], 0)[0] == [], "a loop that waits for packets would not rest"
    before = one.counters().down
    assert one.counters().down > before
    connect()
    assert one.tend() == "far: the interface is back"
    after = one.counters().down
    assert one.counters().down == after
    assert heard_again(one)


def heard_again(one: Ring) -> bool:
    """A veth pair passes nothing on until both ends have a carrier."""
    got: list[bytes] = []
    with speaker() as mouth:

        def spoken() -> bool:
            mouth.send(frame(7))
            for block in one.blocks():
                got.extend(frames(block))
            return bool(got)

        wait_for(spoken)
    return got[0] == frame(7)


def test_an_interface_that_is_down_at_first(opened: Callable[..., Ring]) -> None:
    command("ip", "link", "set", FAR, "down")
    one = opened()
    assert one.absence == "far: the interface is down"
    assert one.tend() is None
    command("ip", "link", "set", FAR, "up")
    assert one.tend() == "far: the interface is back"


def test_loopback_is_heard_once(opened: Callable[..., Ring]) -> None:
    command("ip", "link", "set", "lo", "up")
    one = opened("lo")
    subprocess.run(
        [sys.executable, "-c", "import socket; socket.socket(2, 2).sendto(b'once', ('127.0.0.1', 9))"], check=True
    )
    assert sum(b"once" in packet and packet[23] == 17 for packet in drain(one)) == 1


@pytest.mark.parametrize("name", ["missing0", "", "much-too-long-for-one", "a\0b", "\x1b[2J"])
def test_an_interface_that_is_not_there(name: str) -> None:
    with pytest.raises(
        OperatorMistake, match=r"no such interface on this machine \(there are: far, lo, near\)"
    ) as told:
        open_socket(name)
    assert "\x1b" not in str(told.value)
