"""Issued OAuth tokens and authorisation codes.

Source: ServiceNow docs, "OAuth 2.0"; KB0791140, "Managing OAuth Tokens". A password grant while the previous access
token still lives returns that one; a refresh returns the same refresh token, whose end is not moved. The
settings ``refresh_extends``, ``refresh_rotates`` and ``rotation_grace_s`` make an instance that differs. All times are
the instance's.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from local.simulator_kit.clock import Clock


@dataclass(slots=True)
class Token:
    """One grant. ``client`` and ``user`` are sys_ids; the ends are seconds since 1970."""

    id: str
    access: str
    access_ends: float
    client: str
    user: str
    scope: str
    refresh: str = ""
    refresh_ends: float = 0.0
    grant: str = ""
    before: str = ""  # the refresh token that the present one replaced, and until when it still works
    before_ends: float = 0.0


@dataclass(slots=True)
class Code:
    """An authorisation code waiting to be redeemed."""

    client: str
    user: str
    redirect_uri: str
    ends: float
    challenge: str = ""


class Tokens:
    """The tokens of an instance. ``keep`` writes a record to the log."""

    def __init__(self, clock: Clock, keep: Callable[[dict[str, Any]], None]) -> None:
        self._clock = clock
        self._keep = keep
        self._by_id: dict[str, Token] = {}
        self._by_access: dict[str, Token] = {}
        self._by_refresh: dict[str, Token] = {}
        self._codes: dict[str, Code] = {}
        self._jtis: dict[str, float] = {}

    def clear(self) -> None:
        """Forget every token, code and seen JWT id."""
        for held in (self._by_id, self._by_access, self._by_refresh, self._codes, self._jtis):
            held.clear()

    def __iter__(self) -> Iterator[Token]:
        return iter(list(self._by_id.values()))

    def issue(self, *, client: str, user: str, scope: str, lifetimes: tuple[int, int], grant: str) -> Token:
        """A new token; ``lifetimes`` in seconds: access, refresh (0: no refresh token)."""
        now = self._clock.timestamp()
        access_life, refresh_life = lifetimes
        token = Token(
            id=secrets.token_hex(16),
            access=f"access-{secrets.token_hex(32)}",
            access_ends=now + access_life,
            client=client,
            user=user,
            scope=scope,
            refresh=f"refresh-{secrets.token_hex(32)}" if refresh_life else "",
            refresh_ends=now + refresh_life,
            grant=grant,
        )
        self._store(token)
        return token

    def living(self, client: str, user: str, grant: str) -> Token | None:
        """The token of an earlier grant of the same kind whose access part still lives."""
        now = self._clock.timestamp()
        for token in self._by_id.values():
            if (token.client, token.user, token.grant) == (client, user, grant) and token.access_ends > now:
                return token
        return None

    def refreshable(self, refresh: str) -> Token | None:
        """The grant of a living refresh token, or of one that was replaced a moment ago."""
        now = self._clock.timestamp()
        token = self._by_refresh.get(refresh)
        if token is not None:
            return token if token.refresh_ends > now else None
        for token in self._by_id.values():
            if refresh and token.before == refresh and min(token.before_ends, token.refresh_ends) > now:
                return token
        return None

    def renew(self, token: Token, lifetimes: tuple[int, int], *, extend: bool, rotate: float | None) -> Token:
        """A new access token for the grant; the one before it ends.

        Args:
            token: the grant.
            lifetimes: of access and refresh token, seconds.
            extend: the refresh token lives its whole life from now.
            rotate: it is replaced by another one with a life of its own, and works for so many seconds beside it.
        """
        now = self._clock.timestamp()
        self._by_access.pop(token.access, None)
        token.access = f"access-{secrets.token_hex(32)}"
        token.access_ends = now + lifetimes[0]
        if rotate is not None:
            self._by_refresh.pop(token.refresh, None)
            token.before, token.before_ends = token.refresh, now + rotate
            token.refresh = f"refresh-{secrets.token_hex(32)}"
        if extend or rotate is not None:
            token.refresh_ends = now + lifetimes[1]
        self._store(token)
        return token

    def access(self, text: str) -> Token | None:
        """The grant of a living access token."""
        token = self._by_access.get(text)
        return token if token and token.access_ends > self._clock.timestamp() else None

    def remaining(self, token: Token) -> int:
        """Whole seconds the access token still lives: 1799 for a fresh one of 1800."""
        return max(0, math.ceil(token.access_ends - self._clock.timestamp()) - 1)

    def revoke(self, text: str) -> bool:
        """End an access or refresh token; False when it is unknown."""
        if (token := self._by_access.get(text)) is not None:
            token.access_ends = 0.0
        elif (token := self._by_refresh.get(text)) is not None:
            token.refresh_ends = 0.0
        else:
            return False
        self._store(token)
        return True

    def expire(self, which: str) -> int:
        """End every token: ``all``, ``access`` or ``refresh``. Returns how many grants there were."""
        for token in self:
            if which in ("all", "access"):
                token.access_ends = 0.0
            if which in ("all", "refresh"):
                token.refresh_ends = 0.0
            self._store(token)
        return len(self._by_id)

    def add_code(self, code: Code) -> str:
        """Keep an authorisation code; returns its text."""
        text = f"code-{secrets.token_hex(16)}"
        self._codes[text] = code
        return text

    def redeem(self, text: str) -> Code | None:
        """Take a living authorisation code; each works once."""
        code = self._codes.pop(text, None)
        return code if code and code.ends > self._clock.timestamp() else None

    def first_use(self, jti: str, ends: float) -> bool:
        """False when a JWT of this id was seen before and would still be valid."""
        now = self._clock.timestamp()
        self._jtis = {known: end for known, end in self._jtis.items() if end > now}
        if jti in self._jtis:
            return False
        self._jtis[jti] = ends
        self._keep({"kind": "jti", "jti": jti, "ends": ends})
        return True

    def _store(self, token: Token) -> None:
        self._index(token)
        self._keep({"kind": "token", "token": asdict(token)})

    def _index(self, token: Token) -> None:
        old = self._by_id.get(token.id)
        if old is not None:
            self._by_access.pop(old.access, None)
            self._by_refresh.pop(old.refresh, None)
        self._by_id[token.id] = token
        self._by_access[token.access] = token
        if token.refresh:
            self._by_refresh[token.refresh] = token

    def restore(self, record: dict[str, Any]) -> None:
        """Take a record of the log back."""
        if record["kind"] == "token":
            self._index(Token(**record["token"]))
        else:
            self._jtis[record["jti"]] = record["ends"]
