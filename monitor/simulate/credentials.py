"""Certificates of an imagined organisation: one public and one private issuer, and a leaf for each listener.

Names follow the vendor's certificate summaries (Edge, reverse proxy, Director, internal servers): which subject and
which alternative names a listener shows. Keys are made when first asked for and kept for the run, since a key takes
longer than all the rest of a scenario. Validity is stated by the caller (packet time), never taken from a clock.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

RSA_BITS = 2048  # the product's guides ask for 1024, 2048 or 4096 and recommend 2048 or more
LIFE_BEFORE = datetime.timedelta(days=200)
LIFE_AFTER = datetime.timedelta(days=530)


@dataclass(frozen=True, slots=True)
class Name:
    """What a certificate says: subject, alternative names, whether a public issuer signs it, whether it is over, and
    whether it names where its revocation list is."""

    common_name: str
    alternative_names: tuple[str, ...]
    public: bool
    expired: bool = False
    revocable: bool = True


@dataclass(frozen=True, slots=True)
class Credential:
    """A leaf with its key, both PEM; `chain` is leaf, then issuer."""

    name: Name
    chain: bytes
    key: bytes
    leaf: x509.Certificate


@dataclass(slots=True)
class _Issuer:
    key: rsa.RSAPrivateKey
    certificate: x509.Certificate


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


@dataclass(slots=True)
class Vault:
    """Issues and remembers credentials. `now`: the packet time around which certificates are valid."""

    organization: str
    now: datetime.datetime
    _issuers: dict[bool, _Issuer] = field(default_factory=dict)
    _issued: dict[Name, Credential] = field(default_factory=dict)

    def issuer(self, public: bool) -> _Issuer:
        if public not in self._issuers:
            key = rsa.generate_private_key(public_exponent=65537, key_size=RSA_BITS)
            title = f"{self.organization} {'public' if public else 'private'} CA"
            subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, title)])
            certificate = (
                x509.CertificateBuilder()
                .subject_name(subject)
                .issuer_name(subject)
                .public_key(key.public_key())
                .serial_number(x509.random_serial_number())
                .not_valid_before(self.now - LIFE_BEFORE * 3)
                .not_valid_after(self.now + LIFE_AFTER * 3)
                .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
                .add_extension(_usage(signs_certificates=True), critical=True)
                .sign(key, hashes.SHA256())
            )
            self._issuers[public] = _Issuer(key, certificate)
        return self._issuers[public]

    def trusted(self) -> str:
        """Both issuers, PEM: what every imagined server trusts."""
        return (_pem(self.issuer(True).certificate) + _pem(self.issuer(False).certificate)).decode("ascii")

    def revocation_list(self, public: bool) -> bytes:
        """An issuer's empty revocation list, DER, as its distribution point serves it."""
        issuer = self.issuer(public)
        return (
            x509.CertificateRevocationListBuilder()
            .issuer_name(issuer.certificate.subject)
            .last_update(self.now - datetime.timedelta(days=1))
            .next_update(self.now + datetime.timedelta(days=6))
            .sign(issuer.key, hashes.SHA256())
            .public_bytes(serialization.Encoding.DER)
        )

    def credential(self, name: Name) -> Credential:
        if name not in self._issued:
            self._issued[name] = self._issue(name)
        return self._issued[name]

    def _issue(self, name: Name) -> Credential:
        issuer = self.issuer(name.public)
        key = rsa.generate_private_key(public_exponent=65537, key_size=RSA_BITS)
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name.common_name)]))
            .issuer_name(issuer.certificate.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(self.now - LIFE_BEFORE)
            .not_valid_after(self.now - datetime.timedelta(days=1) if name.expired else self.now + LIFE_AFTER)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(
                x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]),
                critical=False,
            )
            .add_extension(
                x509.SubjectAlternativeName([x509.DNSName(each) for each in name.alternative_names]), critical=False
            )
        )
        if name.revocable:  # as every certificate of the product must be
            url = f"http://crl.{'public' if name.public else 'private'}-ca.example/issuer.crl"
            point = x509.DistributionPoint([x509.UniformResourceIdentifier(url)], None, None, None)
            builder = builder.add_extension(x509.CRLDistributionPoints([point]), critical=False)
        leaf = builder.sign(issuer.key, hashes.SHA256())
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return Credential(name, _pem(leaf) + _pem(issuer.certificate), private, leaf)


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=not signs_certificates,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )
