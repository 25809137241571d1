"""Secure score and control profiles of one tenant, read and written.

Sources: Microsoft Graph v1.0, "List secureScores" (one a day, the newest first), "List secureScoreControlProfiles",
"Get secureScoreControlProfile", "Update secureScoreControlProfile" (vendorInformation with provider and vendor is
required; national clouds: not in the one operated by 21Vianet), "Microsoft Graph security API: error codes" (206 with
a Warning header when one of the providers behind a list did not answer), "National cloud deployments" (endpoints).
That controls of Defender for Endpoint (``scid_*``) refuse updates is not documented; reference/payloads.md section 10.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import httpx

from connectors.microsoft import Endpoint, RestClient
from connectors.microsoft.claims import Claims
from connectors.microsoft.graph import GRAPH
from connectors.microsoft.pace import Sleep
from shared.core.errors import SourceRefused, SourceUnavailable

if TYPE_CHECKING:
    import ssl

    from azure.core.credentials_async import AsyncTokenCredential

_PROFILES = "/v1.0/security/secureScoreControlProfiles"
_SCORES = "/v1.0/security/secureScores"

#: There are some hundred controls; a list of more pages is going in circles.
_MOST_PAGES = 500

#: Microsoft lets nobody but Defender itself say what is done about these.
_DEFENDER_ONLY = "scid_"

_GRANT = (
    "Fix: give the app's identity the application permission SecurityEvents.Read.All of Microsoft Graph "
    "(SecurityEvents.ReadWrite.All where tickets are written back), with admin consent; see docs/secure-score.md"
)
_FIXES = {401: f"The token is not accepted, or has no such permission. {_GRANT}", 403: _GRANT}


def is_settable(control_id: str) -> bool:
    """Whether Microsoft Graph lets anybody set the state of a control."""
    return not control_id.strip().lower().startswith(_DEFENDER_ONLY)


class SecureScores:
    """The secure score of one tenant.

    ``partial`` says what Graph warned of when an answer was not whole, so that what is missing is not taken for gone;
    empty while all answers were.

    Args:
        credential: gives tokens for the tenant; closed by whoever made it.
        endpoint: of Graph.
        trust: certificate authorities, the public ones when None.
        transport: takes the place of the network.
        sleep: waits so many seconds.
    """

    def __init__(
        self,
        credential: AsyncTokenCredential,
        endpoint: Endpoint = GRAPH["public"],
        *,
        trust: ssl.SSLContext | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self.partial = ""
        self._rest = RestClient(
            "Microsoft Graph", credential, endpoint, _FIXES, trust=trust, transport=transport, sleep=sleep
        )

    @property
    def calls(self) -> int:
        """Requests that left so far."""
        return self._rest.calls

    async def sign_in(self) -> Claims:
        """Get a token, to see that there is one; what it says of the permissions. Raises SourceError."""
        return await self._rest.sign_in()

    async def profiles(self) -> AsyncGenerator[dict[str, Any], None]:
        """Every control profile of the tenant (``secureScoreControlProfile``), page by page.

        Raises SourceUnavailable and SourceRefused, also in the midst; SourceUnavailable for a list that goes in
        circles.
        """
        address, seen = _PROFILES, set[str]()
        for _ in range(_MOST_PAGES):
            items, link = await self._page(address, {})
            for item in items:
                yield item
            if not link:
                return
            if link in seen:
                break
            seen.add(link)
            address = link
        raise SourceUnavailable("Microsoft Graph's list of control profiles goes in circles; it is read again later")

    async def profile(self, control_id: str) -> dict[str, Any] | None:
        """One control profile, None when the tenant has none of that id. Raises SourceUnavailable, SourceRefused."""
        try:
            return (await self._rest.request("GET", _address(control_id))).body
        except SourceRefused as error:
            if error.status == 404:
                return None
            raise

    async def latest_score(self) -> dict[str, Any] | None:
        """The newest ``secureScore``, None when the tenant has none yet. Raises SourceUnavailable, SourceRefused."""
        items, _ = await self._page(_SCORES, {"$top": "1"})
        return items[0] if items else None

    async def update(
        self,
        control_id: str,
        state: str,
        comment: str,
        assigned_to: str,
        vendor_information: Mapping[str, Any],
    ) -> None:
        """Say what is done about a control; Graph adds that to its ``controlStateUpdates``.

        Args:
            control_id: id of its profile.
            state: Default, Ignored, ThirdParty or Reviewed.
            comment: free text; empty clears it.
            assigned_to: to whom it is assigned; empty leaves that as it is.
            vendor_information: that of its profile, which Graph wants to see again.

        Raises:
            SourceRefused: ``status`` 404 for a control that is not there, None for one that nobody may set.
            SourceUnavailable: it may pass.
        """
        if not is_settable(control_id):
            raise SourceRefused(
                f"the state of control {control_id} cannot be set: controls whose id begins with {_DEFENDER_ONLY} "
                "belong to Defender for Endpoint, and Microsoft Graph refuses to update them. Make an exception for "
                "the recommendation in Defender Vulnerability Management instead"
            )
        provider, vendor = vendor_information.get("provider"), vendor_information.get("vendor")
        if not provider or not vendor:
            raise SourceRefused(
                f"control {control_id} has no vendorInformation with provider and vendor, without which Microsoft "
                "Graph takes no update; set its state in the portal"
            )
        body: dict[str, Any] = {"state": state, "comment": comment, "vendorInformation": dict(vendor_information)}
        if assigned_to:
            body["assignedTo"] = assigned_to
        await self._rest.request("PATCH", _address(control_id), body=body)

    async def aclose(self) -> None:
        """Close connections."""
        await self._rest.aclose()

    async def _page(self, address: str, params: Mapping[str, str]) -> tuple[list[dict[str, Any]], str]:
        reply = await self._rest.request("GET", address, params)
        found, link = reply.body.get("value"), reply.body.get("@odata.nextLink") or ""
        if not isinstance(found, list) or not isinstance(link, str):
            raise SourceRefused("the answer has no list 'value': something else answers in Microsoft Graph's place")
        if reply.status == 206:
            self.partial = reply.headers.get("Warning", "")[:300] or "206 Partial Content"
        return [item for item in found if isinstance(item, dict)], link


def _address(control_id: str) -> str:
    return f"{_PROFILES}/{quote(control_id, safe='')}"
