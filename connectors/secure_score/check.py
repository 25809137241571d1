"""Section ``secure_score``: can a tenant's score be read, and may its controls be written?"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import aclosing
from datetime import datetime, timedelta

from connectors.microsoft.check_lines import CheckLines
from connectors.microsoft.check_sign_in import signed_in
from connectors.microsoft.claims import Claims
from connectors.secure_score.api import SecureScores
from connectors.secure_score.settings import ScoreTenant, SecureScoreSettings
from connectors.secure_score.tenants import ScoreTenants
from shared.core.errors import SourceError
from shared.payloads.values import in_words, moment

WRITE = "SecurityEvents.ReadWrite.All"

#: Microsoft computes the score once a day; one that is older stands still.
OLDEST = timedelta(days=3)

_GRANT = (
    f"Give the identity the application permission {WRITE} of Microsoft Graph, with admin consent (a token that is at "
    "hand may be a day old); see docs/secure-score.md. Or set secure_score.write_back: false."
)


class ScoreChecks:
    """The tenants of a configuration, one by one.

    Args:
        settings: section ``secure_score``.
        tenants: opens Microsoft Graph.
        now: the clock.
    """

    def __init__(self, settings: SecureScoreSettings, tenants: ScoreTenants, now: Callable[[], datetime]) -> None:
        self._settings = settings
        self._tenants = tenants
        self._now = now

    async def tenant(self, entry: ScoreTenant, lines: CheckLines) -> None:
        """What the section needs of a tenant. Raises SourceError only for what is not foreseen."""
        async with aclosing(self._tenants.open(entry.id)) as graph:
            claims = await signed_in(graph, entry.sign_in, lines)
            if claims is None:
                return
            if claims.user and not _events(claims):
                lines.warning(
                    "permissions",
                    "could not be told: the token of az login never holds those of Secure Score, whatever the app has",
                    f"See in the portal, under Enterprise applications, that the app's identity has {WRITE} "
                    "(SecurityEvents.Read.All where nothing is written back).",
                )
                return
            await self._profiles(graph, lines)
            await self._score(graph, lines)
            if self._settings.write_back:
                _writable(claims, lines)

    async def _profiles(self, graph: SecureScores, lines: CheckLines) -> None:
        try:
            async with aclosing(graph.profiles()) as profiles:
                first = await anext(profiles, None)
        except SourceError as error:
            lines.error("controls", error)
            return
        if graph.partial:
            lines.warning("controls", f"can be read, but the answer was not whole: {graph.partial}")
        elif first is None:
            lines.warning(
                "controls", "can be read, and there are none: has the tenant Microsoft 365 or Defender plans?"
            )
        else:
            lines.ok("controls", "can be read")

    async def _score(self, graph: SecureScores, lines: CheckLines) -> None:
        try:
            score = await graph.latest_score()
        except SourceError as error:
            lines.error("score", error)
            return
        made = moment(score.get("createdDateTime")) if score is not None else None
        if made is None:
            lines.warning("score", "can be read, and there is none yet: Microsoft computes it once a day")
            return
        age = max(self._now() - made, timedelta())
        hours = age // timedelta(hours=1)
        text = f"the newest is of {made:%Y-%m-%d} ({in_words(hours * 3600) if hours else 'less than an hour'} old)"
        if age > OLDEST:
            lines.warning("score", f"{text}: Microsoft computes one a day", "Look at Secure Score in the portal.")
        else:
            lines.ok("score", text)


def _writable(claims: Claims, lines: CheckLines) -> None:
    if claims.permissions is None:
        lines.warning(
            "write back",
            "could not be told: the token cannot be read here",
            f"See in the portal that the identity has {WRITE}.",
        )
    elif WRITE in claims.permissions:
        lines.ok("write back", f"the identity has {WRITE}")
    else:
        has = ", ".join(_events(claims)) or "none of them"
        lines.failed("write back", f"the identity lacks {WRITE} (it has {has})", _GRANT)


def _events(claims: Claims) -> list[str]:
    """Permissions for Secure Score that a token holds."""
    return sorted(one for one in claims.permissions or () if one.startswith("SecurityEvents."))
