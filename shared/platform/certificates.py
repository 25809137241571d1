"""When a certificate ends, and its thumbprint. ``cryptography``, which PyJWT brings, is imported when one is read.

Sources: RFC 5280, 4.1.2.5 (notAfter); RFC 7468 (textual form of certificates); "Azure Key Vault certificates: export"
(the secret behind a certificate is PEM with its key, or PKCS 12 in base64 without a password).
"""

from __future__ import annotations

import base64
import binascii
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

_BEGIN = "-----BEGIN CERTIFICATE-----"


def certificate_end(text: str) -> datetime | None:
    """When the first of the certificates in a text ends, UTC: a chain is good as long as all of it is.

    Args:
        text: PEM, among keys or not, its line ends perhaps written as ``\\n``; or PKCS 12 in base64. None: it holds a
            bare private key, of which no end is known.

    Raises ValueError for anything else; it never quotes the text, which may hold a private key.
    """
    found = _certificates(text)
    return min(one.not_valid_after_utc for one in found) if found else None


def certificate_thumbprints(text: str) -> frozenset[str]:
    """SHA-1 of each certificate in a text, in lower-case hexadecimal. Arguments, errors: :func:`certificate_end`."""
    from cryptography.hazmat.primitives.hashes import SHA1

    return frozenset(one.fingerprint(SHA1()).hex() for one in _certificates(text))  # noqa: S303 - a name, no protection


def _certificates(text: str) -> list[Certificate]:
    """All certificates; none for a bare private key. Raises ValueError for anything else."""
    if "\\n" in text and "\n" not in text.strip():
        text = text.replace("\\n", "\n")
    if "-----BEGIN" in text and _BEGIN not in text:
        return []
    found: list[Certificate] = []
    try:
        found = _of_pem(text) if _BEGIN in text else _of_pkcs12(text)
    except (ValueError, TypeError, binascii.Error):
        found = []
    if not found:  # outside of the handler: what the library says may quote the text
        raise ValueError("it holds no certificate that can be read")
    return found


def _of_pem(text: str) -> list[Certificate]:
    from cryptography.x509 import load_pem_x509_certificates

    return load_pem_x509_certificates(text.encode())


def _of_pkcs12(text: str) -> list[Certificate]:
    from cryptography.hazmat.primitives.serialization.pkcs12 import load_pkcs12

    bundle = load_pkcs12(base64.b64decode(text, validate=True), None)
    return [one.certificate for one in (bundle.cert, *bundle.additional_certs) if one is not None]
