"""The first line about everything: is there a token, and whose?"""

from __future__ import annotations

from typing import Protocol

from connectors.azure_monitor.settings import SignIn
from connectors.microsoft.check_lines import CheckLines
from connectors.microsoft.claims import Claims
from connectors.secure_score.settings import ScoreSignIn
from shared.core.errors import SourceError

#: Entra's number for a client secret that has expired. Source: Microsoft Learn, "Microsoft Entra authentication and
#: authorization error codes"; so are those below.
_EXPIRED = "AADSTS7000222"
_WRONG_SECRET = "AADSTS7000215"  # noqa: S105 - a number of Entra's, no secret
_NO_APPLICATION = "AADSTS700016"
_NO_TENANT = "AADSTS90002"


class Signs(Protocol):
    """What can get a token."""

    async def sign_in(self) -> Claims: ...


async def signed_in(rest: Signs, who: SignIn | ScoreSignIn | None, lines: CheckLines) -> Claims | None:
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


def _fix(said: str, who: SignIn | ScoreSignIn | None) -> str:
    """What to do about a sign-in that failed; empty where the error says it itself."""
    if who is None:
        return (
            "On this machine: sign in with az login. In Azure: give the app a managed identity, and name a "
            "user-assigned one in the setting AZURE_CLIENT_ID"
        )
    proof = who.client_secret or (who.certificate if isinstance(who, ScoreSignIn) else None)
    secret = f"secret '{proof.secret}'" if proof is not None else "secret"
    if said.startswith("no secret for application"):
        return f"Give {secret} a value, or correct its name in this sign_in"
    if _EXPIRED in said or _WRONG_SECRET in said:
        return f"Make a new client secret for application {who.client_id}, and store it as {secret}"
    if _NO_APPLICATION in said or _NO_TENANT in said:
        return f"Correct tenant and client_id of this sign_in, or register application {who.client_id} in that tenant"
    return f"Check tenant, client_id and {secret} of this sign_in, and that this machine reaches Microsoft Entra"
