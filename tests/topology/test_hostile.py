"""Whatever stands in a file, reading it gives a topology or its faults: no other exception, no endless work."""

from __future__ import annotations

import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rules.document import MAX_BYTES, Fault
from rules.load import TopologyFaults, read
from tests.topology.site import SITE

PIECES = st.sampled_from(
    ["\n", "  ", "- ", ": ", "? ", "[", "]", "{", "}", ", ", '"', "'", "|\n", ">\n", "&a ", "*a", "!!str ", "<<: ", "#",
     "%YAML 1.2\n", "---\n", "...\n", "\\x", "\\U00110000", "\ufeff", "\u2028", "edgewarden", "zones", "edge_pools",
     "fqdn", "members", "policy", "rules", "1", "10.0.0.1", "::", "0x", ".inf", "null", "~"]
)  # fmt: skip


def tried(data: bytes) -> None:
    faults: tuple[Fault, ...] | None = None
    try:
        read(data, "file", known_rules=())
    except TopologyFaults as error:
        faults = error.faults
    assert faults != ()
    for fault in faults or ():
        assert fault.line >= 1
        assert fault.column >= 1
        assert len(str(fault)) < 1000
        assert str(fault).isprintable(), repr(str(fault))


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200))
@example(b'a: "\\ud800"')
@example(b"? ? ? a")
@example(b"\xef\xbb\xbf\xef\xbb\xbf")
def test_arbitrary_octets(data: bytes) -> None:
    tried(data)


@settings(max_examples=300, deadline=None)
@given(st.lists(PIECES | st.text(max_size=4), max_size=40))
def test_arbitrary_yaml(pieces: list[str]) -> None:
    tried("".join(pieces).encode("utf-8", "surrogatepass"))


@settings(max_examples=150, deadline=None)
@given(st.integers(0, len(SITE)), st.integers(0, 30), st.lists(PIECES | st.text(max_size=3), max_size=3))
def test_a_site_with_a_hole_or_a_splinter(start: int, length: int, pieces: list[str]) -> None:
    text = SITE[:start] + "".join(pieces) + SITE[start + length :]
    tried(text.encode("utf-8", "surrogatepass"))


LARGEST = {
    "levels": b"[" * (MAX_BYTES - 1),
    "unknown keys": b"".join(b"k%d: 1\n" % number for number in range(10_000)),
    "items of the wrong kind": b"edge_pools:\n" + b"- x\n" * 10_000,
    "equal sites": b"sites: [" + b"{name: a}," * 5_000 + b"]",
    "equal networks": b"zones: {internal: [" + b"10.0.0.0/8," * 10_000 + b"]}",
    "dangling names": b"edge_pools: [{serves: [" + b"a.example," * 10_000 + b"]}]",
    "local paths": b"policy: {local_paths: [" + b"{id: a, from: zone, to: x, transport: tcp}," * 2_500 + b"]}",
    "one long word": b'organization: "' + b"a" * (MAX_BYTES - 20) + b'"\n',
    "long unknown names": b"policy: {rules: {"
    + b"".join(b"x%05d%s: off," % (n, b"y" * 180) for n in range(2_500))
    + b"}}",
    "blanks": b" " * MAX_BYTES,
}


@pytest.mark.parametrize("name", LARGEST)
def test_work_grows_with_the_file_and_no_faster(name: str) -> None:
    started = time.process_time()
    tried(LARGEST[name])
    # The largest take 3 s of one core; quadratic work on inputs of this size would take minutes.
    assert time.process_time() - started < 30
