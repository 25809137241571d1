"""Tokens of a connection: what is issued, what is kept, and the contracts between the engine and a connector.

A connector knows how a grant looks on the wire (:class:`TokenWire`) and where its secrets are (:class:`TokenGrant`).
When a token is fetched, by whom, and who keeps it, is ``shared.platform.token_keeper``. Pure.

Source: RFC 6749, 1.5 and 6 (refresh tokens); RFC 9700, 4.14.2 (rotation).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol, runtime_checkable

from shared.core.errors import BridgeError

#: A secret is cached for a quarter of an hour; in that time a refresh token is replaced once or twice.
_MOST_PAST = 8


@dataclass(frozen=True, slots=True, repr=False)
class IssuedTokens:
    """What a token endpoint gave: ``life`` of the access token in seconds; ``refresh`` is empty for none."""

    access: str
    life: float
    refresh: str = ""


@dataclass(frozen=True, slots=True, repr=False)
class HeldTokens:
    """Tokens in use. Times are UTC.

    Attributes:
        access: the access token.
        access_ends: when it ends. renew_at: when it is to be renewed.
        refresh: the refresh token, empty for none.
        refresh_ends: when that ends, None where nobody knows.
        refreshed_at: when the refresh token was issued or used last.
        base: fingerprint of the refresh token in the secret store from which these tokens descend; empty for none.
        past: fingerprints of those before, the newest first: a worker may have one of them in its cache.
    """

    access: str
    access_ends: datetime
    renew_at: datetime
    refresh: str = ""
    refresh_ends: datetime | None = None
    refreshed_at: datetime | None = None
    base: str = ""
    past: tuple[str, ...] = ()

    def descends_from(self, stored: StoredToken | None) -> bool:
        """Whether the refresh token of the secret store is no newer than these."""
        return stored is None or stored.fingerprint in (self.base, *self.past)

    def based_on(self, fingerprint: str) -> HeldTokens:
        """The same, with another base."""
        if fingerprint == self.base:
            return self
        past = (self.base, *self.past) if self.base else self.past
        return replace(self, base=fingerprint, past=past[:_MOST_PAST])


@dataclass(frozen=True, slots=True, repr=False)
class StoredToken:
    """A refresh token in the secret store, and its end (UTC), None where the store does not tell."""

    token: str
    ends: datetime | None = None

    @property
    def fingerprint(self) -> str:
        """Tells it from others without showing it."""
        return fingerprint(self.token)


def fingerprint(token: str) -> str:
    """Tells a token from others without showing it."""
    return hashlib.sha256(token.encode()).hexdigest()[:32]


class TokenGrant(Protocol):
    """What the keeper has to know of a way to get tokens."""

    @property
    def shared(self) -> bool:
        """Whether all workers use the same tokens: where a refresh by one ends the access token of another."""
        ...

    @property
    def refresh_life(self) -> timedelta:
        """How long a refresh token lives from its issue on."""
        ...

    @property
    def extended_by_use(self) -> bool:
        """Whether each use moves its end."""
        ...

    async def secrets(self, *, refresh: bool) -> tuple[str, ...]:
        """The secrets that are exchanged for tokens, read past any cache when ``refresh``.

        Raises SecretUnavailable, NotAuthorised.
        """
        ...

    async def stored(self, *, refresh: bool) -> StoredToken | None:
        """The refresh token in the secret store; None for a grant that has none there. Raises SecretUnavailable."""
        ...

    async def keep(self, token: StoredToken) -> None:
        """Put a refresh token into the secret store. Raises SecretUnavailable."""
        ...

    def needs_person(self, *, refused: bool, ended: datetime | None) -> BridgeError | None:
        """The error where no refresh token works and the secrets alone give none; None where they do.

        Args:
            refused: there was a refresh token, and it was refused.
            ended: when it ended, UTC; None where it has not, or nobody knows.
        """
        ...

    def learn(self, *values: str) -> None:
        """Values that are taken out of whatever is printed."""
        ...


class TokenWire(Protocol):
    """The token endpoint, as a grant uses it. Raises as ``TicketSystem``; NotAuthorised for what is refused."""

    async def log_in(self, secrets: tuple[str, ...]) -> IssuedTokens:
        """Tokens for the secrets alone."""
        ...

    async def use(self, secrets: tuple[str, ...], refresh: str) -> IssuedTokens:
        """Tokens for a refresh token."""
        ...

    async def revoke(self, token: str) -> None:
        """End a token. A failure is logged and no more."""
        ...


class TokenStore(Protocol):
    """Tokens that all workers share, sealed with the secrets of their grant. Raises StorageUnavailable."""

    def now(self) -> datetime:
        """The time, UTC."""
        ...

    async def load(self, connection: str, secrets: tuple[str, ...]) -> HeldTokens | None:
        """The tokens; None when there are none, or none that these secrets open."""
        ...

    async def save(self, connection: str, secrets: tuple[str, ...], tokens: HeldTokens) -> None:
        """Keep tokens in place of those before."""
        ...

    async def forget(self, connection: str) -> None:
        """Keep none any more."""
        ...

    def renewing(self, connection: str) -> AbstractAsyncContextManager[object]:
        """Be the only one who renews. Raises JobRunning, JobInterrupted."""
        ...


@dataclass(frozen=True, slots=True)
class TokenEnds:
    """Until when a connection's tokens live, UTC; None where there is none or nobody knows.

    Attributes:
        access: of the access token.
        refresh: of the refresh token, or of the consent.
    """

    access: datetime | None
    refresh: datetime | None


@runtime_checkable
class KeepsTokens(Protocol):
    """Optional part of a ticket system: its log-in exchanges secrets for tokens."""

    @property
    def shares_tokens(self) -> bool:
        """Whether workers share them, and so one refresh token."""
        ...

    async def refresh_tokens(self, *, dry_run: bool = False, always: bool = False) -> bool:
        """Use the refresh token where it has not been used for long, so that it does not end where use moves its end.

        Args:
            dry_run: only say whether it is due.
            always: do it although it is not due.

        Returns whether it was done, or would be. Raises as ``TicketSystem``.
        """
        ...


@dataclass(frozen=True, slots=True, repr=False)
class ConsentRequest:
    """A consent that a person is asked for.

    Attributes:
        url: to be opened in a browser. redirect: where the browser goes with the answer.
        state: what the answer must bear. verifier: proves that we asked (PKCE, RFC 7636).
    """

    url: str
    redirect: str
    state: str
    verifier: str


@dataclass(frozen=True, slots=True)
class Account:
    """As whom the ticket system knows us: user name, roles (None where they cannot be read), and what is amiss."""

    user_name: str
    roles: tuple[str, ...] | None
    advice: tuple[str, ...] = ()


class ConsentFlow(Protocol):
    """How a person gives a connection its refresh token, and takes it back. Raises as ``TicketSystem``."""

    @property
    def place(self) -> str:
        """Where the refresh token is kept, for people."""
        ...

    def ask(self) -> ConsentRequest:
        """A request for consent."""
        ...

    async def redeem(self, request: ConsentRequest, code: str) -> StoredToken:
        """The refresh token for the code that the browser brought."""
        ...

    async def by_password(self, user_name: str, password: str) -> StoredToken:
        """The refresh token for a user name and password, which are not kept."""
        ...

    async def issued(self) -> Sequence[str]:
        """The tokens that the connection uses now, that which is kept first; none where none is. Asks nobody but the
        secret store and the bridge's storage. Raises SecretUnavailable when it cannot be read."""
        ...

    async def keep(self, token: StoredToken) -> None:
        """Keep a refresh token in place of that before. Raises SecretUnavailable, StorageUnavailable."""
        ...

    async def revoke(self, token: str) -> None:
        """End a token."""
        ...

    async def forget(self) -> None:
        """Keep no token any more. Raises SecretUnavailable, StorageUnavailable."""
        ...

    async def account(self) -> Account:
        """As whom the connection acts with the token that is stored now."""
        ...


@runtime_checkable
class TakesConsent(Protocol):
    """Optional part of a ticket system: a person can consent instead of storing a password."""

    def consent_flow(self) -> ConsentFlow | None:
        """None where the connection's kind of log-in needs no person."""
        ...
