"""Texts that are stored encrypted: AES-256-GCM with a key made of secrets that are kept elsewhere.

The key is derived anew each time, so that it is nowhere stored: who can read the storage and not the secrets reads
nothing, and a text that was sealed before a secret was rotated cannot be opened any more.

Sources: NIST SP 800-38D (GCM); RFC 5869 (the extract step of HKDF: the secrets are long and random, or as good as the
log-in that they are for).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os

_NONCE = 12


def seal(secrets: tuple[str, ...], about: str, text: str) -> str:
    """``text`` sealed for ``about``, as ASCII. ``secrets``: at least one that is not empty. Raises ValueError."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    nonce = os.urandom(_NONCE)
    sealed = AESGCM(_key(secrets)).encrypt(nonce, text.encode(), about.encode())
    return base64.b64encode(nonce + sealed).decode()


def unseal(secrets: tuple[str, ...], about: str, sealed: str) -> str | None:
    """The text; None when it was sealed with other secrets, for something else, or is damaged."""
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    try:
        data = base64.b64decode(sealed, validate=True)
        return AESGCM(_key(secrets)).decrypt(data[:_NONCE], data[_NONCE:], about.encode()).decode()
    except (InvalidTag, ValueError, binascii.Error):
        return None


def _key(secrets: tuple[str, ...]) -> bytes:
    if not any(secrets):
        raise ValueError("there is no secret to seal with")
    # Each with its length, so that no two tuples give the same bytes.
    joined = b"".join(len(data).to_bytes(4, "big") + data for data in (secret.encode() for secret in secrets))
    return hmac.new(b"azure-itsm-bridge sealing 1", joined, hashlib.sha256).digest()
