"""Real TLS: two endpoints of the standard library joined in memory, every octet between them written down.

Strategy: each side is an `ssl.SSLObject` over two `MemoryBIO`s; whatever one side wants to send becomes a turn of the
exchange and is then given to the other side. Nothing is imitated, so messages, alerts and encrypted records are what
an implementation really sends. Expiry is not checked (packet time is not the machine's time); trust is.
"""

from __future__ import annotations

import os
import ssl
import tempfile
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field

from monitor.simulate.credentials import Credential, Vault
from monitor.simulate.exchange import Speaker, Turn

NO_CHECK_TIME = 0x200000
"""OpenSSL's X509_V_FLAG_NO_CHECK_TIME; the standard library has no name for it."""

VERSIONS = {
    "1.0": ssl.TLSVersion.TLSv1,
    "1.1": ssl.TLSVersion.TLSv1_1,
    "1.2": ssl.TLSVersion.TLSv1_2,
    "1.3": ssl.TLSVersion.TLSv1_3,
}

MAX_ROUNDS = 40
"""A handshake with two certificate chains takes four rounds; one that needs ten times that is stuck."""


@dataclass(frozen=True, slots=True)
class Wish:
    """How one TLS connection shall go.

    asks: does the server ask for a client certificate: `no`, `optional` (an empty answer is accepted), `required`.
    resumed: a full connection is made first, off the record, and the recorded one resumes its session.
    """

    server: Credential
    client: Credential | None = None
    asks: str = "no"
    version: str = "1.2"
    name: str | None = None
    resumed: bool = False


@dataclass(slots=True)
class _Side:
    speaker: Speaker
    incoming: ssl.MemoryBIO
    outgoing: ssl.MemoryBIO
    tls: ssl.SSLObject
    shaken: bool = False
    failed: str | None = None

    def step(self) -> None:
        if self.shaken or self.failed:
            return
        try:
            self.tls.do_handshake()
            self.shaken = True
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError as refusal:
            self.failed = str(refusal.reason)


@dataclass(slots=True)
class Session:
    """A TLS connection as it is made: `turns` grows with all that crosses the wire."""

    source: _Side
    destination: _Side
    turns: list[Turn] = field(default_factory=list)

    @property
    def established(self) -> bool:
        return self.source.shaken and self.destination.shaken and not (self.source.failed or self.destination.failed)

    def handshake(self) -> None:
        for _ in range(MAX_ROUNDS):
            moved = False
            for side in (self.source, self.destination):
                side.step()
                moved = self._carry(side) or moved
            if not moved and (self.established or self.source.failed or self.destination.failed):
                return
        raise RuntimeError("handshake does not end")

    def say(self, speaker: Speaker, text: bytes, pause: float = 0.01) -> None:
        """Send application data and let the other side read it. Raises RuntimeError when it arrives changed."""
        side = self.source if speaker is Speaker.SOURCE else self.destination
        side.tls.write(text)
        self._carry(side, pause)
        other = self.destination if side is self.source else self.source
        heard = b""
        while len(heard) < len(text):
            heard += other.tls.read(65536)
        if heard != text:
            raise RuntimeError("application data changed on its way")

    def close(self) -> None:
        """close_notify from the source, then from the destination."""
        for side in (self.source, self.destination):
            try:
                side.tls.unwrap()
            except ssl.SSLError:  # "want read": the other side's close_notify has not come yet, ours is out
                pass
            self._carry(side)

    def _carry(self, side: _Side, pause: float = 0.003) -> bool:
        octets = side.outgoing.read()
        if not octets:
            return False
        self.turns.append(Turn(side.speaker, octets, pause))
        (self.destination if side is self.source else self.source).incoming.write(octets)
        return True


def _load(context: ssl.SSLContext, credential: Credential) -> None:
    # `load_cert_chain` reads files only; this one lives for the call and is readable by us alone.
    handle, path = tempfile.mkstemp(suffix=".pem")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(credential.key + credential.chain)
        context.load_cert_chain(path)
    finally:
        os.unlink(path)


def _contexts(vault: Vault, wish: Wish) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_mode = ssl.CERT_NONE
    version = VERSIONS[wish.version]
    for context in (server, client):
        if version < ssl.TLSVersion.TLSv1_2:
            context.set_ciphers("ALL:@SECLEVEL=0")  # OpenSSL 3 refuses older versions above level 0
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # the old versions are what some scenarios are about
            context.minimum_version = version
            context.maximum_version = version
    server.num_tickets = 1
    _load(server, wish.server)
    if wish.asks != "no":
        server.verify_mode = ssl.CERT_OPTIONAL if wish.asks == "optional" else ssl.CERT_REQUIRED
        server.load_verify_locations(cadata=vault.trusted())
        server.verify_flags |= ssl.VerifyFlags(NO_CHECK_TIME)
    if wish.client is not None:
        _load(client, wish.client)
    return client, server


def _join(contexts: tuple[ssl.SSLContext, ssl.SSLContext], name: str | None, session: ssl.SSLSession | None) -> Session:
    bios = [ssl.MemoryBIO() for _ in range(4)]
    client = contexts[0].wrap_bio(bios[0], bios[1], server_side=False, server_hostname=name, session=session)
    server = contexts[1].wrap_bio(bios[2], bios[3], server_side=True)
    return Session(
        _Side(Speaker.SOURCE, bios[0], bios[1], client), _Side(Speaker.DESTINATION, bios[2], bios[3], server)
    )


def connect(vault: Vault, wish: Wish, talk: Sequence[tuple[Speaker, bytes]] = (), *, close: bool = True) -> Session:
    """Make a TLS connection and speak `talk` in it; the result's `turns` are what crossed the wire.

    A handshake that one side refuses gives a session that is not `established`: its turns end with the alert.
    Raises RuntimeError when a session that shall be resumed was not.
    """
    contexts = _contexts(vault, wish)
    previous = None
    if wish.resumed:
        first = _join(contexts, wish.name, None)
        first.handshake()
        first.say(Speaker.SOURCE, b"x")
        first.say(Speaker.DESTINATION, b"x")  # a TLS 1.3 ticket is only read along with data
        previous = first.source.tls.session
    session = _join(contexts, wish.name, previous)
    session.handshake()
    if wish.resumed and not session.source.tls.session_reused:
        raise RuntimeError("the session was not resumed")
    if session.established:
        for speaker, text in talk:
            session.say(speaker, text)
        if close:
            session.close()
    return session
