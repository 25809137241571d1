"""The first line about everything: is there a token, and whose?"""

from __future__ import annotations

from typing import Protocol

from connectors.microsoft.check_lines import CheckLines
from connectors.microsoft.claims import Claims
from connectors.microsoft.settings import SignIn
from shared.core.errors import SourceError

#: Entra's number for a client secret that has expired. Source: Microsoft Learn, "Microsoft Entra authentication and
#: authorization error codes"; so are those below.
_EXPIRED = "AADSTS7000222"
_WRONG_SECRET = "AADSTS7000215"  # noqa: S105 - a number of Entra's, no secret
_WRONG_CERTIFICATE = "AADSTS700027"
_NOT_FEDERATED = ("AADSTS70021", "AADSTS700211", "AADSTS700212", "AADSTS700213")
_NO_APPLICATION = "AADSTS700016"
_NO_TENANT = "AADSTS90002"


class Signs(Protocol):
    """What can get a token."""

    async def sign_in(self) -> Claims: ...


async def signed_in(rest: Signs, who: SignIn | None, lines: CheckLines) -> Claims | None:
    """Add the line; what the token says, None where there is none.

    Args:
        rest: signs in.
        who: of the configuration; None for the app's own identity.
        lines: takes it.
    """
    try:
        claims = await rest.sign_in()
    except SourceError as error:
        lines.error("sign-in", error, _fix(str(error), who))
        return None
    if claims.user:
        lines.warning(
            "sign-in",
            "signed in as a person (az login), not as the app: what follows tells of that person's rights",
            "Nothing has to be done; give the app's identity the same rights.",
        )
    elif claims.application:
        lines.ok("sign-in", f"signed in as application {claims.application}")
    else:
        lines.ok("sign-in", "there is a token; it does not tell whose")
    return claims


def _fix(said: str, who: SignIn | None) -> str:
    """What to do about a sign-in that failed; empty where the error says it itself."""
    if who is None:
        return (
            "On this machine: sign in with az login. In Azure: give the app a managed identity, and name a "
            "user-assigned one in the setting AZURE_CLIENT_ID"
        )
    if _NO_APPLICATION in said or _NO_TENANT in said:
        return f"Correct tenant and client_id of this sign_in, or register application {who.client_id} in that tenant"
    reference = who.client_secret or who.certificate
    if reference is None:
        return _fix_federated(said, who)
    secret = f"secret '{reference.secret}'"
    if said.startswith("no secret for application"):
        return f"Give {secret} a value, or correct its name in this sign_in"
    if _EXPIRED in said or _WRONG_SECRET in said:
        return f"Make a new client secret for application {who.client_id}, and store it as {secret}"
    if _WRONG_CERTIFICATE in said:
        return (
            f"Upload the certificate that is stored as {secret} (without its key) to application {who.client_id}, or "
            f"store the one that is registered there as {secret}"
        )
    return f"Check tenant, client_id and {secret} of this sign_in, and that this machine reaches Microsoft Entra"


def _fix_federated(said: str, who: SignIn) -> str:
    """The same for an application that trusts a managed identity."""
    if said.startswith("no token of the managed identity"):
        return (
            "Give the app the managed identity of this sign_in, and correct its client_id. On another machine this "
            "cannot be checked: there is no managed identity"
        )
    if any(code in said for code in _NOT_FEDERATED):
        return (
            f"Add a federated credential to application {who.client_id} (Certificates & secrets, Federated "
            "credentials, Managed identity), and choose the app's managed identity"
        )
    return "Check tenant, client_id and managed_identity of this sign_in, and that this machine reaches Microsoft Entra"
