"""Signed tokens, made by hand: a test also needs those that no library would make (RFC 7515, RFC 7518).

``none`` and a public key taken as an HMAC secret are attacks that a receiver must refuse.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey

_HASHES: dict[str, hashes.HashAlgorithm] = {"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}
_DIGESTS = {"256": hashlib.sha256, "384": hashlib.sha384, "512": hashlib.sha512}
#: Algorithms that :func:`sign` knows.
ALGORITHMS = (*(kind + size for kind in ("RS", "PS", "HS") for size in _HASHES), "none")


class BadToken(Exception):
    """It is no token, or its signature does not fit; the text says which."""


def encode(data: bytes) -> str:
    """Base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decode(text: str) -> bytes:
    """Undo :func:`encode`.

    Raises:
        BadToken: it is not base64url.
    """
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadToken("not base64url") from error


def sign(header: dict[str, Any], claims: dict[str, Any], key: RSAPrivateKey | bytes, algorithm: str) -> str:
    """A compact token; ``algorithm`` is how it is signed, whatever ``alg`` the header says.

    Raises:
        ValueError: no such algorithm, or the key does not fit it.
    """
    first, second = (encode(json.dumps(part, separators=(",", ":")).encode()) for part in (header, claims))
    message = f"{first}.{second}".encode()
    return f"{first}.{second}.{encode(_signature(message, key, algorithm))}"


def _signature(message: bytes, key: RSAPrivateKey | bytes, algorithm: str) -> bytes:
    if algorithm == "none":
        return b""
    if algorithm not in ALGORITHMS:
        raise ValueError(f"alg: one of {', '.join(ALGORITHMS)}")
    kind, size = algorithm[:2], algorithm[2:]
    if kind == "HS":
        if not isinstance(key, bytes):
            raise ValueError(f"{algorithm} needs a secret")
        return hmac.new(key, message, _DIGESTS[size]).digest()
    if isinstance(key, bytes):
        raise ValueError(f"{algorithm} needs an RSA key")
    return key.sign(message, _padding(kind, size), _HASHES[size])


def _padding(kind: str, size: str) -> padding.AsymmetricPadding:
    if kind == "RS":
        return padding.PKCS1v15()
    return padding.PSS(mgf=padding.MGF1(_HASHES[size]), salt_length=padding.PSS.DIGEST_LENGTH)


def parts(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims, unchecked.

    Raises:
        BadToken: it is no compact token of two JSON objects.
    """
    pieces = token.split(".")
    if len(pieces) != 3:
        raise BadToken("not of three parts")
    try:
        header, claims = (json.loads(decode(piece)) for piece in pieces[:2])
    except ValueError as error:
        raise BadToken("not JSON") from error
    if not isinstance(header, dict) or not isinstance(claims, dict):
        raise BadToken("not JSON objects")
    return header, claims


def verify(token: str, key: RSAPublicKey, algorithms: tuple[str, ...]) -> dict[str, Any]:
    """Claims of a token whose RSA signature fits; times and audience are the caller's to check.

    Raises:
        BadToken: it is malformed, of another algorithm, or signed by another key.
    """
    header, claims = parts(token)
    algorithm = header.get("alg")
    if algorithm not in algorithms:
        raise BadToken("algorithm not allowed")
    message, _, signature = token.rpartition(".")
    try:
        key.verify(decode(signature), message.encode(), _padding(algorithm[:2], algorithm[2:]), _HASHES[algorithm[2:]])
    except InvalidSignature as error:
        raise BadToken("signature does not fit") from error
    return claims
