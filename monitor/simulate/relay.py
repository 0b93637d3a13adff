"""A client and an A/V Edge talking MS-TURN: allocation with its challenge, first packets, locked-on media.

The order of messages and attributes follows [MS-TURN] and what clients send; on TCP every unit is framed, and data
after Set Active Destination travel as frames of type 3, on UDP bare.
"""

from __future__ import annotations

import datetime
import random
from dataclasses import dataclass

from monitor.simulate import messages, msturn
from monitor.simulate.exchange import Turn, destination, source
from monitor.simulate.msturn import Address, Attribute, message

LIFETIME = 600  # s, what servers usually grant
TOKEN_LIFE = datetime.timedelta(hours=8)  # the media relay service's default of 480 minutes
FILETIME_EPOCH = datetime.datetime(1601, 1, 1, tzinfo=datetime.UTC)
MEDIA_PACKETS = 12
PEER: Address = ("198.51.100.9", 50020)  # the far candidate: only ever inside messages
PASSWORD = b"media relay pass"


@dataclass(slots=True)
class Relay:
    chance: random.Random
    client: Address
    server: Address
    now: datetime.datetime

    def hellos(self) -> tuple[Turn, Turn]:
        moment = int(self.now.timestamp())
        return (
            source(msturn.pseudo_client_hello(moment, self.chance.randbytes(28))),
            destination(
                msturn.pseudo_server_hello(moment, self.chance.randbytes(28), self.chance.randbytes(20) + bytes(12))
            ),
        )

    def dialogue(self, *, media: bool, framed: bool) -> list[Turn]:
        """Allocate, 401, Allocate, success, Send, Data Indication; with `media` Set Active Destination and SRTP."""
        wrap = msturn.frame if framed else bytes
        version: Attribute = (msturn.MS_VERSION, msturn.number(2))
        quality: Attribute = (msturn.SERVICE_QUALITY, bytes.fromhex("00010001"))
        nonce: Attribute = (msturn.NONCE, self.chance.randbytes(20))
        realm: Attribute = (msturn.REALM, msturn.QUOTED_REALM)
        login = self._login()
        username: Attribute = (msturn.USERNAME, login.username)
        connection = self.chance.randbytes(20)
        relay: Address = (self.server[0], 50000 + self.chance.randrange(10000))
        peer = PEER if ":" not in self.server[0] else ("2001:db8:51::9", PEER[1])

        def counted(number: int) -> Attribute:
            return msturn.SEQUENCE_NUMBER, msturn.sequence_number(connection, number)

        first, second, third, fourth = (bytes.fromhex("2112a442") + self.chance.randbytes(12) for _ in range(4))
        challenge = [
            version,
            (msturn.ERROR_CODE, msturn.error(401, "Unauthorized")),
            (msturn.ALTERNATE_SERVER, msturn.address(self.server)),
            nonce,
            realm,
        ]
        granted = [
            (msturn.LIFETIME, msturn.number(LIFETIME)),
            (msturn.MAPPED_ADDRESS, msturn.address(relay)),
            version,
            (msturn.XOR_MAPPED_ADDRESS, msturn.address(self.client, second)),
            counted(0),
            (msturn.BANDWIDTH, msturn.number(750)),
        ]
        check = messages.ice_check(self.chance.randbytes(12), "a1b2:c3d4", PASSWORD)
        sent = [version, username, (msturn.DESTINATION_ADDRESS, msturn.address(peer)), counted(1), (msturn.DATA, check)]
        back = messages.ice_check(self.chance.randbytes(12), "c3d4:a1b2", PASSWORD)
        arrived = [(msturn.REMOTE_ADDRESS, msturn.address(peer)), (msturn.DATA, back)]
        turns = [
            source(wrap(message(msturn.ALLOCATE, first, [version, quality]))),
            destination(wrap(message(msturn.ALLOCATE_ERROR, first, challenge))),
            source(wrap(message(msturn.ALLOCATE, second, [version, quality, nonce, realm, username], login))),
            destination(wrap(message(msturn.ALLOCATE_OK, second, granted, login))),
            source(wrap(message(msturn.SEND, third, sent, login))),
            destination(wrap(message(msturn.DATA_INDICATION, self.chance.randbytes(16), arrived)), 0.03),
        ]
        if media:
            active = [username, counted(2), (msturn.DESTINATION_ADDRESS, msturn.address(peer))]
            turns.append(source(wrap(message(msturn.SET_ACTIVE, fourth, active, login))))
            turns.append(destination(wrap(message(msturn.SET_ACTIVE_OK, fourth, [counted(2)], login))))
            turns += self._media(framed)
        return turns

    def _media(self, framed: bool) -> list[Turn]:
        streams = self.chance.getrandbits(32), self.chance.getrandbits(32)
        start = self.chance.getrandbits(15)
        turns = []
        for number in range(MEDIA_PACKETS):
            for speaker, stream in zip((source, destination), streams, strict=True):
                packet = messages.srtp(stream, start + number, marker=number == 0)
                turns.append(speaker(msturn.frame(packet, msturn.FRAME_DATA) if framed else packet, 0.01))
        return turns

    def _login(self) -> msturn.Login:
        expires = (self.now + TOKEN_LIFE - FILETIME_EPOCH) // datetime.timedelta(microseconds=1) * 10
        username = msturn.token(expires, self.chance.randbytes(20), self.chance.randbytes(20))
        return msturn.Login(username, PASSWORD)
