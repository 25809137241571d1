"""Client assertions: an application proves itself with a token that the key of its certificate signed, or with a token
of an identity that it trusts (federated credential).

Source: Microsoft identity platform docs, "Application authentication certificate credentials" and "Configure an
application to trust a managed identity"; error codes from "Microsoft Entra authentication and authorization error
codes".
"""

from __future__ import annotations

from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from local.azure.demo.identities import EXCHANGE_API
from local.azure.directory import Application
from local.azure.entra.jws import BadToken, decode, parts, verify
from local.azure.entra.keys import SigningKeys

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_REAL_HOSTS = frozenset({"login.microsoftonline.com", "sts.windows.net", "login.windows.net"})


class BadAssertion(Exception):
    """The assertion does not prove anything; ``code`` is the number of the AADSTS error."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


def check_assertion(assertion: str, application: Application, tenant: str, base_url: str, now: float) -> None:
    """Verify signature, times, audience and names.

    Args:
        tenant: id of the tenant asked.
        base_url: scheme and host as the client addressed them; the audience may be there or at the real hosts.
        now: Unix seconds.

    Raises:
        BadAssertion: it does not hold.
    """
    try:
        header, _ = parts(assertion)
    except BadToken as error:
        raise BadAssertion(50027, "JWT token is invalid or malformed.") from error
    # Some clients pad the thumbprint, some do not.
    thumbprint = str(header.get("x5t#S256") or header.get("x5t") or header.get("kid") or "").rstrip("=")
    certificate = application.certificate(thumbprint)
    key = certificate.public_key() if certificate else None
    if not isinstance(key, RSAPublicKey):
        raise BadAssertion(
            700027,
            "The certificate with identifier used to sign the client assertion is not registered on application. "
            f"[Reason - The key was not found., Thumbprint of key used by client: '{_hexadecimal(thumbprint)}'].",
        )
    try:
        claims = verify(assertion, key, ("RS256", "PS256"))
    except BadToken as error:
        raise BadAssertion(
            700027,
            "Client assertion contains an invalid signature. [Reason - The key was found, but use of the key to verify "
            "the signature failed.].",
        ) from error
    for name in ("iss", "sub"):
        if str(claims.get(name)).lower() != application.client_id:
            raise BadAssertion(700021, "Client assertion application identifier doesn't match 'client_id' parameter.")
    starts, ends = claims.get("nbf", now), claims.get("exp")
    if not isinstance(ends, (int, float)) or not isinstance(starts, (int, float)) or ends <= now or starts > now + 300:
        raise BadAssertion(
            700024, "Client assertion is not within its valid time range. Check the client's clock and 'exp'."
        )
    audience = urlsplit(str(claims.get("aud")))
    ours = audience.netloc == urlsplit(base_url).netloc or audience.netloc in _REAL_HOSTS
    if not ours or audience.path.strip("/").partition("/")[0].lower() != tenant:
        raise BadAssertion(
            700023, f"Client assertion audience claim '{claims.get('aud')}' does not match Realm issuer."
        )


def is_federated(assertion: str) -> bool:
    """Is it a token of another issuer? Those that an application signs itself name the application."""
    try:
        _, claims = parts(assertion)
    except BadToken:
        return False
    return str(claims.get("iss")).startswith("https://")


def check_federated(assertion: str, application: Application, keys: SigningKeys, now: float) -> None:
    """Verify signature, times, audience, and that the application trusts whose token it is.

    Args:
        keys: of Entra, which signed the tokens of managed identities.
        now: Unix seconds.

    Raises:
        BadAssertion: it does not hold.
    """
    try:
        header, _ = parts(assertion)
        claims = verify(assertion, keys.find(str(header.get("kid"))).private.public_key(), ("RS256",))
    except (BadToken, KeyError) as error:
        raise BadAssertion(50027, "JWT token is invalid or malformed.") from error
    ends = claims.get("exp")
    if not isinstance(ends, (int, float)) or ends <= now:
        raise BadAssertion(700024, "Client assertion is not within its valid time range.")
    issuer, subject, audience = (str(claims.get(name)) for name in ("iss", "sub", "aud"))
    if audience != EXCHANGE_API:
        raise BadAssertion(
            700212, f"No matching federated identity record found for presented assertion audience '{audience}'."
        )
    if not any((one.issuer, one.subject) == (issuer, subject) for one in application.federated):
        raise BadAssertion(
            700213, f"No matching federated identity record found for presented assertion subject '{subject}'."
        )


def _hexadecimal(thumbprint: str) -> str:
    try:
        return decode(thumbprint).hex().upper()
    except BadToken:
        return thumbprint
