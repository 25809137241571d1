"""Entra's signing keys: one signs, several are published, and all can be rotated.

Source: Microsoft identity platform docs, "Signing key rollover": keys roll without notice, clients read the JWKS again
when they meet an unknown ``kid``.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.x509.oid import NameOID

from local.azure.entra.jws import encode


def self_signed(key: RSAPrivateKey, name: str) -> x509.Certificate:
    """A certificate of a name on a key, for ten years around now."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=365))
        .not_valid_after(now + timedelta(days=3650))
        .sign(key, hashes.SHA256())
    )


@dataclass(slots=True)
class SigningKey:
    """A key pair with its certificate. ``kid`` is the certificate's SHA-1 thumbprint, as Entra's are."""

    private: RSAPrivateKey
    certificate: x509.Certificate
    kid: str
    published: bool = True

    @classmethod
    def make(cls) -> SigningKey:
        """A new one."""
        private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        certificate = self_signed(private, "accounts.accesscontrol.windows.net")
        return cls(private, certificate, encode(certificate.fingerprint(hashes.SHA1())))  # the name of x5t, not trust

    def as_jwk(self, issuer: str) -> dict[str, Any]:
        """The public half as the JWKS document shows it; the v1 document has no issuer (pass an empty one)."""
        numbers = self.private.public_key().public_numbers()
        der = self.certificate.public_bytes(serialization.Encoding.DER)
        return {
            "kty": "RSA",
            "use": "sig",
            "kid": self.kid,
            "x5t": self.kid,
            "n": encode(numbers.n.to_bytes((numbers.n.bit_length() + 7) // 8, "big")),
            "e": encode(numbers.e.to_bytes((numbers.e.bit_length() + 7) // 8, "big")),
            "x5c": [base64.b64encode(der).decode()],
            **({"issuer": issuer} if issuer else {}),
        }

    def public_pem(self) -> bytes:
        """The public half as PEM: what an algorithm-confusion attack takes for an HMAC secret."""
        return self.private.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )


def thumbprints(certificate: x509.Certificate) -> tuple[str, str]:
    """``x5t`` and ``x5t#S256`` of a certificate."""
    der = certificate.public_bytes(serialization.Encoding.DER)
    return encode(hashlib.sha1(der, usedforsecurity=False).digest()), encode(hashlib.sha256(der).digest())


class SigningKeys:
    """All keys, the one that signs last. Making a key takes a tenth of a second: the first survives a reset."""

    def __init__(self) -> None:
        self._first = SigningKey.make()
        self._stranger: SigningKey | None = None
        self._keys = [self._first]

    def reset(self) -> None:
        """Back to the first key."""
        self._first.published = True
        self._keys = [self._first]

    @property
    def current(self) -> SigningKey:
        """The one that signs."""
        return self._keys[-1]

    @property
    def stranger(self) -> SigningKey:
        """One that Entra never had."""
        if self._stranger is None:
            self._stranger = SigningKey.make()
        return self._stranger

    def rotate(self, keep_old: bool, publish: bool) -> SigningKey:
        """A new key signs from now; the old ones stay published or not, the new one is published or not yet."""
        for key in self._keys:
            key.published = key.published and keep_old
        new = SigningKey.make()
        new.published = publish
        self._keys.append(new)
        return new

    def find(self, kid: str) -> SigningKey:
        """The key of an id, published or not.

        Raises:
            KeyError: there is none.
        """
        for key in self._keys:
            if key.kid == kid:
                return key
        raise KeyError(kid)

    def published(self) -> list[SigningKey]:
        """Keys that the JWKS document shows."""
        return [key for key in self._keys if key.published]

    def listed(self) -> list[dict[str, Any]]:
        """For the control API."""
        return [{"kid": key.kid, "published": key.published, "signs": key is self.current} for key in self._keys]
