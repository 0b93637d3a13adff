"""What a rule may see of a flow: one frozen tuple of small numbers, equal for all flows that must be judged equally.

The core counts packets and interns these tuples (`Engine.observations`); the judge sees each once. So a flood of a
million flows costs one verdict. Names of fields equal `parsers.OBSERVATION`, in the same order; a test keeps it so.
Ports are class representatives (lowest port of the class), endpoints are numbers of `rules.endpoints`, names are
numbers of the name table. Everything time-dependent is already resolved against packet time.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, IntFlag


class Initiator(IntEnum):
    """How sure it is who opened the flow, surest first."""

    SYN = 0
    HANDSHAKE = 1
    LISTENER = 2
    FIRST = 3
    # `first`, but one-way UDP or ICMP, or two-way and begun over 120 s after the sensor's first packet. A sensor that
    # saw no packet for ten minutes begins anew: what ran on meanwhile has lost its beginning.
    FIRST_SURE = 4


class Answered(IntEnum):
    NO = 0
    REFUSED = 1
    YES = 2


class Payload(IntFlag):
    """Who sent payload, as seen or as proved by the other end's acknowledgements, and of whom packets were captured."""

    SOURCE = 1
    DESTINATION = 2
    DESTINATION_BEYOND_ALERT = 4  # the destination sent something other than a TLS alert
    BOTH_DIRECTIONS_SEEN = 8  # packets (not only payload) of both directions were captured
    SOURCE_UNSEEN = 16  # of the source resets at most, and no payload of the destination over TCP: its word alone
    RESETS_ONLY = 32  # of a TCP connection nothing but resets, all of one end


class Evidence(IntEnum):
    """How far the bytes were readable: what can confirm a row, contradict it, or do neither."""

    NO_PAYLOAD = 0
    UNDETERMINED = 1  # payload, nothing recognised, but joined late, gap, cut, or under 64 bytes from the start
    UNRECOGNISED = 2  # seen from its first byte, 64 bytes or more, and no service: contradicts every row
    RECOGNISED = 3  # a service, seen from its first byte
    RECOGNISED_LATE = 4  # a service, but the stream was joined late or has a gap before it


class Mutual(IntEnum):
    NONE = 0  # no TLS
    NO = 1  # full handshake ≤ 1.2 without CertificateRequest, or the client's Certificate was empty
    YES = 2
    UNKNOWN = 3  # resumed, TLS 1.3, or the handshake was not seen whole


class Tls(IntFlag):
    CLIENT_HELLO = 1
    SERVER_HELLO = 2
    ESTABLISHED = 4
    RESUMED = 8
    SERVER_BROKE_OFF = 16  # the listener sent a fatal alert, FIN or RST before its ChangeCipherSpec
    RECORDS_ONLY = 32  # records of a session joined late: recognised as tls, confirms nothing
    SERVER_CERTIFICATE = 64
    BEGUN_HELLO = 128  # a hello began whose rest was cut off, was lost or is still to come: tells no more than that


class Stun(IntFlag):
    REQUEST = 1
    ANSWERED = 2  # a STUN or MS-TURN request was answered
    MS_TURN = 4
    CHECK_ONLY = 8  # nothing but STUN Binding requests
    RTP_10 = 16  # 10 RTP packets or more in one direction
    PSEUDO_HELLO = 32
    PSEUDO_REPLY = 64
    TURN_FRAME = 128
    CLEAR_MEDIA = 256  # the payload of an RTP source is not encrypted, as its octets prove; inside of TURN too, by UDP


class XmppNamespace(IntEnum):
    NONE = 0
    SERVER = 1
    CLIENT = 2
    OTHER = 3


class StartTls(IntEnum):
    NONE = 0
    NO = 1
    OFFERED = 2
    PROCEEDED = 3


class XmppClear(IntFlag):
    """What of a stream went before TLS or without it."""

    STANZA = 1  # message, presence or iq
    SASL = 2


class Validity(IntEnum):
    NONE = 0
    VALID = 1
    EXPIRED = 2
    NOT_YET = 3


@dataclass(frozen=True, slots=True)
class Observation:
    transport: int  # IP protocol number
    source: int  # endpoint number, 0 = in no prefix
    destination: int
    source_port: int  # class representative, 0 where the protocol has none
    destination_port: int
    initiator: int  # Initiator
    answered: int  # Answered
    payload: int  # Payload bits
    service: int  # number of network.protocol in parsers.SERVICES (0 = no payload, 1 = unknown)
    services: int  # bit n = parsers.SERVICES[n] was recognised
    evidence: int  # Evidence
    tls: int  # Tls bits
    tls_version: int  # 0 none, 2 = SSL 2.0, 0x0300 … 0x0304, as on the wire
    mutual: int  # Mutual
    server_validity: int  # Validity of the server's leaf certificate at packet time
    client_validity: int
    server_name: int  # name number of SNI (0 none, 1 not in the table)
    stun: int  # Stun bits
    xmpp_namespace: int  # XmppNamespace
    xmpp_starttls: int  # StartTls
    xmpp_clear: int  # XmppClear bits
    xmpp_from: int  # name number of the opener's stream header `from`
    xmpp_to: int
    host: int  # name number of the HTTP Host
    era: int  # how many of Tables.instants had passed at the flow's start
    icmp_type: int  # of ICMP flows: the type, else 0
