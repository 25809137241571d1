"""What the check of Microsoft's services reads from tokens and permissions."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import httpx
from azure.core.credentials import AccessToken

from connectors.microsoft.check_lines import CheckLines
from connectors.microsoft.claims import UNREADABLE, read_claims
from connectors.microsoft.clients import MicrosoftClients
from connectors.microsoft.permissions import Permission, lacking
from connectors.secure_score.api import SecureScores
from connectors.secure_score.check import ScoreChecks
from connectors.secure_score.settings import ScoreTenant, SecureScoreSettings
from connectors.secure_score.tenants import ScoreTenants
from local.azure.entra.jws import encode
from shared.core.errors import SourceUnavailable
from shared.core.secrets import SettingSecrets
from shared.core.ticket_system import CheckLine, CheckStatus

SETTINGS = SecureScoreSettings(connection="desk")
OK, WARNING = CheckStatus.OK, CheckStatus.WARNING


def test_a_token_is_read_and_never_trusted() -> None:
    person = '{"appid": "a", "scp": "SecurityEvents.Read.All user_impersonation"}'
    claims = read_claims(f"e30.{encode(person.encode())}.x")
    assert (claims.application, claims.user) == ("a", True)
    assert claims.permissions == frozenset({"SecurityEvents.Read.All", "user_impersonation"})
    application = read_claims(f"e30.{encode(b'{}')}.x")
    assert (application.user, application.permissions) == (False, frozenset())
    for opaque in ("", "EwBwA8l6BAAU", "a.b.c", f"e30.{encode(b'[]')}.x", "a.b.c.d.e"):
        assert read_claims(opaque) == UNREADABLE


def test_wildcards_of_actions_stand_for_any_text() -> None:
    read, write = "Microsoft.Security/assessments/read", "Microsoft.Security/assessments/write"
    assert lacking([Permission(("*/read",))], [read, write]) == [write]
    assert lacking([Permission(("microsoft.security/*",), ("*/WRITE",))], [read, write]) == [write]
    assert lacking([Permission(("*",), ("*/write",)), Permission((write,))], [read, write]) == []
    assert lacking([Permission(("MicrosoftXSecurity/assessments/read",))], [read]) == [read]
    assert lacking([], [read]) == [read]


class Fixed:
    """A credential that always gives the same token."""

    def __init__(self, token: str) -> None:
        self._token = token

    async def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        return AccessToken(self._token, 4_000_000_000)

    async def close(self) -> None:
        """Nothing to close."""

    async def __aenter__(self) -> Fixed:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


class Tenants(ScoreTenants):
    """Tenants whose Graph answers every list with an empty one."""

    def __init__(self, token: str) -> None:
        super().__init__(SETTINGS, MicrosoftClients(SettingSecrets({})))
        self._token = token

    def open(self, tenant: str) -> SecureScores:
        answer = httpx.MockTransport(lambda _: httpx.Response(200, json={"value": []}))
        return SecureScores(Fixed(self._token), transport=answer)


async def checked(token: str) -> dict[str, CheckLine]:
    """What is said of Secure Score with a token."""
    lines = CheckLines("own")
    await ScoreChecks(SETTINGS, Tenants(token), lambda: datetime.now(UTC)).tenant(ScoreTenant(), lines)
    return {line.name: line for line in lines.findings}


async def test_what_an_opaque_token_allows_could_not_be_told() -> None:
    found = await checked("EwBwA8l6BAAU")
    assert {name: line.verdict for name, line in found.items()} == {
        "own: sign-in": OK,
        "own: controls": WARNING,
        "own: score": WARNING,
        "own: write back": WARNING,
    }
    assert "could not be told" in found["own: write back"].detail


async def test_a_persons_own_rights_are_not_taken_for_the_apps() -> None:
    person = '{"appid": "a", "scp": "User.Read", "idtyp": "user"}'
    found = await checked(f"e30.{encode(person.encode())}.x")
    assert {name: line.verdict for name, line in found.items()} == {
        "own: sign-in": WARNING,
        "own: permissions": WARNING,
    }
    assert "az login" in found["own: sign-in"].detail


def test_an_error_without_a_fix_gets_one() -> None:
    lines = CheckLines("own")
    lines.error("alerts", SourceUnavailable("Azure did not answer"))
    assert "network" in lines.findings[0].fix
