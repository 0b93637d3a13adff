"""The seam between the Rust core and Python: every name that `parsers._native` exports, with its shape.

Strategy: bytes go in as blocks, facts come out as whole batches; no call per packet and none per flow. Times are
nanoseconds since 1970 UTC, all lengths octets. Numbers of tables (endpoints, names, ports) mean nothing to the core:
the caller chose them. The GIL is released while a block is worked on, so one thread per engine is real parallelism.
"""

from collections.abc import Sequence

VERSION: str
"""Version of the native core; equal to the distribution's."""

SERVICES: tuple[str, ...]
"""Service names by number: `network.protocol`, `edgewarden.services`; bit *n* of the observation's `services` is
service *n*. SERVICES[0] is "" (no payload seen), SERVICES[1] is "unknown" (payload seen, not recognised)."""

FLOW_COLUMNS: tuple[str, ...]
"""Names of the columns of `Engine.take()`, in order."""

LIVE_COLUMNS: tuple[str, ...]
"""Names of the columns that `take()` has behind those when the engine is live, see `Engine.take`."""

JOIN_COLUMNS: tuple[str, ...]
"""Names of the columns behind those when `joins` is asked for: what a firewall, relay or balancer leaves unchanged, so
that two legs of one conversation can be joined; null where there is none (yet). `join.isn.source`,
`join.isn.destination`: initial TCP sequence numbers, also as the other side's SYN-ACK implies them.
`join.client_random`: 16 hex digits of the SHA-256 of the first ClientHello's random. `join.first_payload`: FNV-1a (64
bits) of the first 512 octets of payload in the first packet with payload that the source sent; some protocols begin
alike. `join.rtp_ssrc`: SSRC of the first RTP source recognised, inside of TURN too. Lists with an entry for each minute
in which something was counted, 256 at most, the quietest left out: `join.minutes` (since 1970),
`join.records.source`, `join.records.destination`: TLS application data records of 128 octets and more;
`join.allocates`: TURN Allocate requests in datagrams without credentials, unless their challenge was taken up."""

OBSERVATION: tuple[str, ...]
"""Names of the numbers in one observation tuple, in order (see `rules/observation.py`)."""

OBSERVATION_LIMIT: int
"""Observations an engine tells apart; this number itself stands for all further ones, with a tuple of zeros."""

INITIATORS: tuple[str, ...]  # ("syn", "handshake", "listener", "first", "first"): see observation `initiator`
ANSWERED: tuple[str, ...]  # ("no", "refused", "yes")
ACCOUNTING: tuple[str, ...]  # in_flows non_ip duplicate fragment_incomplete undecodable table_full filtered
QUALITY: tuple[str, ...]  # snaplen_cut stream_gap clock_backward buffer_evicted

class Tables:
    """What the core may look things up in. All optional; without tables every number is 0."""

    def __init__(
        self,
        *,
        prefixes: Sequence[tuple[str, int]] = (),
        names: Sequence[tuple[str, bool, int]] = (),
        ports: Sequence[int] = (),
        listeners: Sequence[tuple[int, int, int]] = (),
        instants: Sequence[int] = (),
        media_packets: int = 0,
    ) -> None:
        """
        prefixes: (CIDR, endpoint number ≥ 1); the longest wins; addresses in none get 0.
        names: (lower-case name, also its sub-domains?, name number ≥ 2); 0 = no name seen, 1 = a name in no entry.
        ports: 65,536 numbers, the class of each port; empty = each port is its own class.
        listeners: (endpoint number, IP protocol, port): who answers there, for initiator `listener`.
        instants: ascending times in ns; the observation says how many had passed at the flow's start.
        media_packets: RTP packets of one source before the observation says that its payload is in clear.
        Raises ValueError for a bad prefix, a table of the wrong length or numbers out of range.
        """

class Batch:
    """One Arrow record batch; give it to `pyarrow.record_batch()`."""

    def __arrow_c_array__(self, requested_schema: object = None) -> tuple[object, object]: ...
    def __len__(self) -> int: ...

class Engine:
    """One sensor: one flow table, fed by one or several captures merged in packet time. Not shared by threads."""

    def __init__(
        self,
        tables: Tables | None = None,
        *,
        max_flows: int = 1_000_000,
        stream_memory: int = 268_435_456,
        positions: int = 0,
        time_from: int | None = None,
        time_to: int | None = None,
        live: bool = False,
        part: int = 300_000_000_000,
        joins: bool = False,
    ) -> None:
        """positions: how many first packets of each flow are kept as places (0–16), for evidence.
        time_from inclusive, time_to exclusive: packets outside count as `filtered`.
        live: flows leave while they are still being read, in several rows, at the latest `part` ns after their first
        packet that no row has counted; see `take`.
        joins: batches have JOIN_COLUMNS."""

    def add_capture(self, interface: int | None = None) -> int:
        """Announce a capture; its number (0, 1, …). interface: the only pcapng interface to read."""

    def add_ring(self) -> int:
        """Announce a live interface: a capture of kind "ring" whose `feed` brings whole TPACKET_V3 blocks (one or more,
        from `tpacket_block_desc` on, `blk_len` octets each). A block that lies is a loss of its packets alone, which
        count as `undecodable`. Packets that a loopback device shows on their way out count as `duplicate`. Offsets in
        `edgewarden.packets` are those of a packet's `tpacket3_hdr` in the sum of all that was fed, modulo 2^48."""

    def filter(self, link_type: int, program: Sequence[tuple[int, int, int, int]]) -> None:
        """Look only at packets that this classic BPF program (code, jt, jf, k, as libpcap compiles them) wants; the
        others count as `filtered`. link_type: the LINKTYPE_ number of packets it is for. Once a program is set, packets
        of a link type without one are not wanted either, and `capture_info` has an error that says so. Set it before
        the first `feed`. Raises ValueError, naming the instruction, for a program that jumps backwards or outside, uses
        a scratch cell that is not there, divides by zero, asks what only the kernel knows of a packet (negative
        offsets), is longer than 4,096 instructions or does not end in a return."""

    def feed(self, capture: int, data: bytes) -> None:
        """Hand over the next block (any size) of a capture. Raises nothing for bad bytes: see `capture_info`."""

    def finish(self, capture: int) -> None:
        """No more bytes of this capture will come."""

    def advance(self, time: int) -> None:
        """It is `time` (ns): packets up to it are taken even where another capture has none (a quiet link delays
        nothing), and idle flows end. A packet that comes later and is older is taken all the same and counts as
        `clock_backward`. For live interfaces; an audit of files never calls it."""

    def wants(self) -> int | None:
        """The capture whose next block is needed before time can go on (merge order), None if none is."""

    def take(self) -> Batch:
        """Flows that ended since the last call, in the order (end, start, five-tuple); at most 131,072, so call again
        until it is empty.

        Live, a row leaves when the flow's observation is another than in its last row (or there is none yet), `part`
        after its first packet that no row has counted (by the time given to `advance`), and when the flow ends. Packets
        and bytes are what is new since the flow's last row, missed bytes come with its end, all else is the whole
        flow's so far. LIVE_COLUMNS: `edgewarden.flow_id` (unique in the engine), `edgewarden.part` (from 0), `ended`
        (its last row, perhaps without packets), `previous` (observation of its last row, null in part 0),
        `before.packets` and `before.bytes` (sums of its rows before, both directions), `part.start` (ns of the first
        packet since the last row). The observation of a row that is not `ended` claims only what is proved: `service`
        is "" and `evidence` never 2 while probes still look, `initiator` is not 4 because only one side has spoken so
        far, a listener has not broken off by a mere FIN or RST. What nobody did yet (`answered`, `mutual`, names) may
        still come."""

    def close(self) -> None:
        """The end of all captures: every flow ends as it is taken. Observations, certificates and totals are complete
        only once `take` returned an empty batch."""

    def observations(self, start: int = 0) -> list[tuple[int, ...]]:
        """The distinct observations from number `start` on; a flow's `observation` column is an index into this."""

    def certificates(self, start: int = 0) -> Batch:
        """The distinct certificates from number `start` on: number, sha256, subject_common_name, alternative_names,
        issuer_common_name, not_before, not_after (ns), serial_number, public_key_algorithm, public_key_size,
        revocation_list (names where one is; null: could not be read to the end)."""

    def capture_info(self, capture: int) -> dict[str, object]:
        """first, last (ns or None), packets, bytes (frames as on the wire), kind ("pcap", "pcapng", "ring", None =
        no capture), complete, error (None or a sentence with the file offset: broken in the middle), interfaces,
        accounting {ACCOUNTING: int}, quality {QUALITY: int}."""

    def totals(self) -> dict[str, int]:
        """flows, tcp_flows, tcp_one_way (TCP flows that lack one direction), live, ip_packets."""

def walk(data: bytes) -> tuple[int, int]:
    """Packets and bytes of a whole capture in memory, headers decoded, nothing tracked: the bench's reference."""

def probe_capture(head: bytes) -> str | None:
    """What the first 24 octets say: "pcap", "pcapng", None."""
