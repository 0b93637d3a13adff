"""What a record keeps is bounded, and what is summed over it loses nothing."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from monitor.aggregate import OTHER, SUBJECTS
from monitor.rows import compact
from monitor.store.entry import AttemptDelta, Capture, Entry, FindingDelta
from monitor.store.questions import Filter, listing
from monitor.store.sqlite import open_record, reading
from monitor.sums import Ports, Sums

SECOND = 1_000_000_000


@given(st.sets(st.integers(0, 65_535) | st.integers(1, 40)))
def test_ports_survive_as_text(numbers: set[int]) -> None:
    ports = Ports()
    for number in numbers:
        ports.add(number)
    text = ports.ranges()
    named = set()
    for part in filter(None, text.split(",")):
        first, _, last = part.partition("-")
        named |= set(range(int(first), int(last or first) + 1))
    assert named == numbers
    assert Ports.of(text).ranges() == text
    assert Ports.of(text).summary() == ports.summary()


def test_a_run_of_ports_is_one_range() -> None:
    ports = Ports()
    for number in (0, 1, 2, 389, 65_534, 65_535):
        ports.add(number)
    assert ports.ranges() == "0-2,389,65534-65535"


def sums(number: int) -> Sums:
    made = Sums()
    made.add(1, 2, 100, number * SECOND, number * SECOND + 1)
    return made


def finding(number: int, subject: str) -> FindingDelta:
    wording = {
        "rule": "xmpp-domain-not-allowed",
        "severity": "high",
        "position": "external",
        "source": {"zone": "external", "role": None, "component": None},
        "destination": {"zone": "perimeter-ext", "role": "xmpp-gw", "component": "edge01.contoso.net"},
        "transport": "tcp",
        "service": "xmpp",
        "reason": f"flow {number}",
        "at_port": "",
        "nearest_path": None,
        "controls": {},
    }
    ports = Ports()
    ports.add(5269)
    return FindingDelta(
        finding=f"{number:016x}",
        rule="xmpp-domain-not-allowed",
        position="external",
        source=None,
        destination="edge01.contoso.net",
        subject=subject,
        sensor="external",
        wording=compact({**wording, "subject": subject}),
        sums=sums(number),
        ports=ports,
        samples=(),
        instead=("f" * 16, compact({**wording, "subject": OTHER})),
    )


def capture(name: str, position: str = "external") -> Capture:
    return Capture(
        sha256=name,
        sensor=position,
        position=position,
        side=None,
        interface=None,
        path=name,
        size=1,
        window=(None, None),
        complete=True,
        first=0,
        last=1,
        packets=1,
        octets=1,
        accounting="{}",
        quality="{}",
    )


def entry(
    captures: tuple[Capture, ...],
    findings: tuple[FindingDelta, ...] = (),
    attempts: tuple[AttemptDelta, ...] = (),
) -> Entry:
    return Entry("0", "Contoso", "t", "p", "violations", "why", captures, findings, attempts, (), (), (), ())


def test_a_hundred_subjects_of_a_rule_and_the_rest_together(tmp_path: Path) -> None:
    """A peer may name a new domain in every connection, in every capture."""
    path = str(tmp_path / "record.db")
    record = open_record(path, writing=True)
    for part in range(3):
        numbers = range(part * 60, part * 60 + 60)
        deltas = tuple(finding(number + 1, f"{number}.example") for number in numbers)
        assert record.add(entry((capture(str(part)),), deltas), 0) == []
    again = tuple(finding(number + 1, f"{number}.example") for number in (7, 170))
    assert record.add(entry((capture("again"),), again), 0) == []
    record.close()
    with reading(path) as connection:
        found = {f["subject"]: f for f in listing(connection, Filter())["findings"]}
    assert set(found) == {OTHER, *(f"{number}.example" for number in range(SUBJECTS))}
    assert found["7.example"]["flows"] == 2
    assert found[OTHER]["flows"] == 180 - SUBJECTS + 1
    assert sum(f["packets"] for f in found.values()) == 2 * 182


def test_sources_of_attempts_are_counted_together(tmp_path: Path) -> None:
    """An address seen by two sensors, or in two captures, is one source."""
    path = str(tmp_path / "record.db")
    record = open_record(path, writing=True)
    for number, addresses in enumerate(({"198.51.100.1", "198.51.100.2"}, {"198.51.100.2", "198.51.100.3"})):
        attempt = AttemptDelta("sip-udp", "high", "external", "external", None, "edge01.contoso.net", sums(number))
        attempt.addresses = addresses
        record.add(entry((capture(str(number)),), attempts=(attempt,)), 0)
    record.close()
    with reading(path) as connection:
        [attempt_seen] = listing(connection, Filter())["attempts"]
        assert (attempt_seen["sources"], attempt_seen["flows"]) == (3, 2)
        [first] = listing(connection, Filter(time_to=SECOND))["attempts"]
        assert (first["sources"], first["flows"]) == (2, 1)


def test_what_is_known_is_named_and_nothing_is_written(tmp_path: Path) -> None:
    record = open_record(str(tmp_path / "record.db"), writing=True)
    assert record.add(entry((capture("a"), capture("b"), capture("a", "internal"))), 0) == []
    assert record.add(entry((capture("c"), capture("b"), capture("c"))), 0) == [1, 2]
    assert record.connection.execute("SELECT count(*) FROM runs").fetchone() == (1,)
    assert record.add(entry((capture("c"),)), 0) == []
    record.close()
