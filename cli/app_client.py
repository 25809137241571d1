"""Calls the deployed app: its address and key come from settings, or from a running ``local up``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn
from urllib.parse import parse_qsl, urlsplit, urlunsplit

import httpx

from cli.runtime import fail, settings

#: Settings: the address of the app, and a function key that opens its endpoints.
URL = "BRIDGE_APP_URL"
KEY = "BRIDGE_APP_KEY"

#: Azure ends a request of an HTTP function after 230 seconds. Source: Microsoft Learn, "Azure Functions scale and
#: hosting" (function app timeout duration).
_TIMEOUT = 235.0


class AppClient:
    """The endpoints of one app. Every failure ends the command with one line that says what to do."""

    def __init__(self, url: str, key: str) -> None:
        """
        Args:
            url: of the app, or of one of its endpoints; a ``code`` in its query is the key.
            key: function key, unless the URL has one.
        """
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            fail(f"'{parts.scheme or ''}://{parts.hostname or ''}' is not the address of an app. Fix: give https://APP")
        given = dict(parse_qsl(parts.query)).get("code", "")
        self.path = parts.path
        self._base = urlunsplit((parts.scheme, parts.netloc, "", "", ""))
        # In a header, because addresses are logged on the way.
        headers = {"x-functions-key": given or key} if given or key else {}
        self._http = httpx.AsyncClient(base_url=self._base, headers=headers, timeout=_TIMEOUT)

    async def call(self, method: str, path: str, body: Any = None) -> Mapping[str, Any]:
        """The answer of an endpoint to a request; ends the command when it is not a success.

        Args:
            method: GET or POST.
            path: below the app's address, ``/api/...``.
            body: sent as JSON; nothing when None.
        """
        try:
            answer = await self._http.request(method, path, json=body)
            shown: Any = answer.json() if answer.content else {}
        except httpx.HTTPError as error:
            fail(f"{self._base} does not answer: {type(error).__name__}. Fix: check {URL} and the network", 1)
        except ValueError:
            shown = {}
        if not (answer.is_success and isinstance(shown, dict)):
            self._fail(f"{method} {self._base}{path}", answer.status_code, shown)
        return shown

    def _fail(self, request: str, status: int, shown: Any) -> NoReturn:
        detail = shown.get("detail", "") if isinstance(shown, dict) else ""
        fix = {401: f"Fix: set {KEY} to a key of this function, or to a host key", 404: "Fix: deploy this release"}
        fail(f"{request} answered {status}. {detail or fix.get(status, '')}".rstrip(), 1)

    async def aclose(self) -> None:
        """Close the connection."""
        await self._http.aclose()


def configured_app() -> AppClient:
    """The app that the settings name. Ends the command when they name none."""
    url = settings().get(URL, "")
    if not url:
        fail(f"no app is known. Fix: set {URL} to its address and {KEY} to a function key, or use --session")
    return AppClient(url, settings().get(KEY, ""))
