"""The connections of one client: no cookies, bounded answers, closed when their last request has ended."""

from __future__ import annotations

from http.cookiejar import CookieJar, DefaultCookiePolicy

import httpx

from connectors.servicenow.wire import ServiceNowReply

#: Bytes of an answer that are read at most. No answer that the bridge asks for comes near this.
MAX_ANSWER = 16 * 1024 * 1024


class AnswerTooLarge(httpx.ReadError):
    """The answer went on beyond ``MAX_ANSWER``."""


class ConnectionPool:
    """An HTTP client that can be retired: closed as soon as its last request has ended."""

    def __init__(
        self,
        base_url: str,
        transport: httpx.AsyncBaseTransport,
        *,
        timeout: httpx.Timeout,
        headers: dict[str, str],
        certificate: tuple[str, str] | None = None,
    ) -> None:
        self.certificate = certificate
        self._transport = transport
        # Calls that share a cookie are run one after the other by the instance, and those that queue too long are
        # answered 202 and dropped (ServiceNow docs, "Inbound REST integrations"): the jar accepts nothing.
        jar = CookieJar(policy=DefaultCookiePolicy(allowed_domains=[]))
        self._http = httpx.AsyncClient(
            base_url=base_url,
            transport=transport,
            timeout=timeout,
            headers=headers,
            cookies=jar,
            follow_redirects=False,
            trust_env=False,
        )
        self._users = 0
        self._retired = False

    def request(
        self,
        method: str,
        path: str,
        *,
        params: dict[str, str] | None = None,
        content: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> httpx.Request:
        """A request to the instance."""
        return self._http.build_request(method, path, params=params or None, content=content, headers=headers)

    async def send(self, request: httpx.Request, *, logged: bool = True) -> ServiceNowReply:
        """Send and read the whole answer.

        Args:
            request: made by :meth:`request`.
            logged: False for a URL that must not be logged; httpx's client logs every URL that it sends, its
                transport none.

        Raises httpx.HTTPError.
        """
        self._users += 1
        try:
            if logged:
                response = await self._http.send(request, stream=True)
            else:
                response = await self._transport.handle_async_request(request)
                response.request = request
            try:
                return await _read(response)
            finally:
                await response.aclose()
        finally:
            self._users -= 1
            if self._retired and not self._users:
                await self._http.aclose()

    async def retire(self) -> None:
        """Close now, or when the last request under way has ended."""
        self._retired = True
        if not self._users:
            await self._http.aclose()

    async def aclose(self) -> None:
        """Close now."""
        await self._http.aclose()


async def _read(response: httpx.Response) -> ServiceNowReply:
    body = bytearray()
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > MAX_ANSWER:
            raise AnswerTooLarge("the answer is too large", request=response.request)
    return ServiceNowReply(
        response.status_code, {name.lower(): value for name, value in response.headers.items()}, bytes(body)
    )
