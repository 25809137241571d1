"""The tokens of one connection: fetched by one worker, used by all, renewed before they end.

    keeper.access(wire)   the access token for the next call
    keeper.renew(...)     the one in use was refused

Within a process one task renews while the calls that need a token wait for it. Where the tokens are shared by all
workers (``TokenGrant.shared``), the one who renews holds a lease, and the others go on with the token that there is
until it ends; a token that another worker has renewed is read from the store before anybody logs in.

The steps of a renewal, so that a worker that dies between any two of them leaves a connection that works:

1. the endpoint issues tokens. Where it replaces the refresh token, the old one is still in the secret store;
2. the new tokens are written to the token store, beside the fingerprint of the refresh token from which they descend;
3. a new refresh token is written to the secret store, as a new version;
4. the token store notes that its tokens descend from that one now;
5. tokens of secrets that were replaced are revoked.

A refresh token in the secret store whose fingerprint is not the noted one is newer: a person consented again, or step 4
is missing. Only between 1 and 2 the new refresh token is known to nobody else; the old one is used again then, which
instances allow for some seconds after they replaced it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

from shared.core.errors import (
    ConfigurationError,
    JobInterrupted,
    JobRunning,
    NotAuthorised,
    NotSent,
    SecretUnavailable,
    StorageUnavailable,
)
from shared.core.tokens import (
    HeldTokens,
    IssuedTokens,
    StoredToken,
    TokenEnds,
    TokenGrant,
    TokenStore,
    TokenWire,
    fingerprint,
)
from shared.platform.log import record
from shared.platform.token_material import SOURCE_RESTS, Material, MaterialReader

#: A token is replaced this long before it ends, or a tenth of its life when that is less.
_EARLY = timedelta(seconds=60)

#: Seconds to wait for another worker that renews, and between two looks for what it got.
_PATIENCE = 30.0
_LOOK_EVERY = 0.2

#: A refresh token that was not used for this share of its life is used by the timer.
_UNUSED_SHARE = 4

#: The noted end of a refresh token is corrected in the secret store when it moved by this share of its life.
_MOVED_SHARE = 10


class TokenKeeper:
    """Keeps the tokens of a connection.

    Args:
        connection: its name.
        grant: how it gets tokens.
        store: where workers share them; without one they are this process's own.
        now: the clock, where there is no store with one.
    """

    def __init__(
        self,
        connection: str,
        grant: TokenGrant,
        store: TokenStore | None = None,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._connection = connection
        self._grant = grant
        self._store = store if grant.shared else None
        self._now = store.now if store is not None else now
        self._held: HeldTokens | None = None
        self._issued_for: tuple[str, ...] = ()
        self._material = MaterialReader(connection, grant, self._now)
        self._superseded_rests_until = self._now()
        self._by_person = grant.needs_person(refused=False, ended=None) is not None
        self._version = 0
        self._task: asyncio.Task[HeldTokens] | None = None

    def __repr__(self) -> str:
        return f"<TokenKeeper of {self._connection}>"

    @property
    def is_shared(self) -> bool:
        """Whether workers share the tokens."""
        return self._store is not None

    async def access(self, wire: TokenWire) -> tuple[str, int]:
        """The access token, and its version for :meth:`renew`.

        Raises SecretUnavailable, and what the wire raises.
        """
        held = self._held
        if held is None or self._now() >= held.renew_at or await self._is_superseded(held):
            try:
                held = await self._alone(lambda: self._work(wire, ""))
            except NotAuthorised:
                if held is None or self._now() >= held.access_ends:
                    raise
                self._superseded_rests_until = self._now() + SOURCE_RESTS  # the new secrets are not valid yet
        return held.access, self._version

    async def renew(self, wire: TokenWire, version: int, refused: str) -> None:
        """Replace an access token that was refused, once however many calls were. Raises as :meth:`access`."""
        while self._task is not None and not self._task.done():
            await asyncio.wait([self._task])
        if version == self._version:
            await self._alone(lambda: self._work(wire, refused))

    async def use_refresh_token(self, wire: TokenWire, *, dry_run: bool, always: bool) -> bool:
        """See ``KeepsTokens.refresh_tokens``."""
        if self._store is None:
            return False
        material = await self._material.read(refresh=False)
        held = await self._load(material)
        if held is None:
            due = material.stored is not None  # nobody has used it yet
        else:
            since = held.refreshed_at or held.access_ends
            due = bool(held.refresh) and self._now() - since >= self._grant.refresh_life / _UNUSED_SHARE
        has_any = material.stored is not None or bool(held and held.refresh)
        due = due or (always and has_any)
        if not due or dry_run:
            return due
        before = held.access if held is not None else ""
        await self._alone(lambda: self._work(wire, before))
        return True

    async def ends(self) -> TokenEnds:
        """Until when the tokens live. Raises SecretUnavailable, StorageUnavailable."""
        material = await self._material.read(refresh=False)
        held = await self._store.load(self._connection, material.secrets) if self._store is not None else self._held
        stored = material.stored
        newer = stored is not None and (held is None or not held.descends_from(stored))
        refresh = stored.ends if newer and stored is not None else held.refresh_ends if held is not None else None
        return TokenEnds(held.access_ends if held is not None and held.access else None, refresh)

    async def keep_consent(self, token: StoredToken) -> None:
        """Let workers share a refresh token that a person gave, and no secret store keeps: sealed like all tokens.

        Raises SecretUnavailable, StorageUnavailable, and NotSent when another worker renews for too long.
        """
        material, now = await self._material.read(refresh=True), self._now()
        base = material.stored.fingerprint if material.stored is not None else ""
        held = HeldTokens("", now, now, token.token, token.ends, now, base)
        if self._store is None:
            self._held = held
            return
        async with AsyncExitStack() as stack:
            await self._take_turn(self._store, stack)
            await self._store.save(self._connection, material.secrets, held)
        self._held = None

    async def forget(self) -> None:
        """Keep none any more, here and in the store. Raises StorageUnavailable."""
        self._held = None
        if self._store is not None:
            await self._store.forget(self._connection)

    async def tokens_in_store(self) -> HeldTokens | None:
        """What workers share now, None when it cannot be read."""
        try:
            secrets = await self._grant.secrets(refresh=False)
        except SecretUnavailable:
            return None
        return await self._load(Material(secrets, None))

    async def aclose(self) -> None:
        """Wait for a renewal that is under way: what it was given must not be lost."""
        if self._task is not None and not self._task.done():
            await asyncio.wait([self._task])
        await self._material.aclose()

    # ---- within the process

    async def _alone(self, work: Callable[[], Coroutine[Any, Any, HeldTokens]]) -> HeldTokens:
        """The result of the renewal under way, or of a new one. Whoever waits may be cancelled; the renewal goes on."""
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(work())
            self._task.add_done_callback(_retrieve)
        return await asyncio.shield(self._task)

    async def _is_superseded(self, held: HeldTokens) -> bool:
        """Whether other secrets, or a newer refresh token, are in the secret store now."""
        if self._now() < self._superseded_rests_until:
            return False
        material = await self._material.glance()
        if material is None:
            return False
        return material.secrets != self._issued_for or (bool(held.base) and not held.descends_from(material.stored))

    def _adopt(self, held: HeldTokens, secrets: tuple[str, ...]) -> HeldTokens:
        self._grant.learn(held.access, held.refresh)
        if self._held is None or self._held.access != held.access:
            self._version += 1
        self._held, self._issued_for = held, secrets
        return held

    # ---- among workers

    async def _work(self, wire: TokenWire, refused: str) -> HeldTokens:
        """Tokens that are not ``refused``: those of another worker, or new ones."""
        if self._store is None:
            return await self._obtain(wire, self._held, self._issued_for, refused)
        material = await self._material.read(refresh=False)
        found = await self._load(material)
        give_up_at = asyncio.get_running_loop().time() + _PATIENCE
        while found is None or not self._usable(found, material, refused):
            try:
                async with self._store.renewing(self._connection):
                    found = await self._load(material)
                    if found is None or not self._usable(found, material, refused):
                        return await self._obtain(wire, *self._before(found, material), refused)
            except JobRunning as running:
                if found is not None and found.access != refused and self._now() < found.access_ends:
                    break
                if asyncio.get_running_loop().time() >= give_up_at:
                    raise NotSent(f"no token yet: {running}", connection=self._connection) from None
                await asyncio.sleep(_LOOK_EVERY)
                found = await self._load(material)
            except (StorageUnavailable, ConfigurationError):  # a check by people, or storage is away
                return await self._obtain(wire, *self._before(found, material), refused)
            except JobInterrupted as error:
                raise NotSent(f"the token was not renewed: {error}", connection=self._connection) from error
        return self._adopt(found, material.secrets)

    def _before(self, found: HeldTokens | None, material: Material) -> tuple[HeldTokens | None, tuple[str, ...]]:
        """The tokens before, and the secrets for which they were issued: those of this process, where its secrets were
        replaced, because the new ones do not open what the store has. Else none in the store means that they were
        forgotten on purpose."""
        if found is None and self._issued_for != material.secrets:
            return self._held, self._issued_for
        return found, material.secrets

    def _usable(self, found: HeldTokens, material: Material, refused: str) -> bool:
        if found.access == refused or self._now() >= found.renew_at:
            return False
        return found.descends_from(material.stored)

    async def _take_turn(self, store: TokenStore, stack: AsyncExitStack) -> None:
        """Be the only one who renews, until the stack ends. Raises NotSent after too long a wait."""
        give_up_at = asyncio.get_running_loop().time() + _PATIENCE
        while True:
            try:
                await stack.enter_async_context(store.renewing(self._connection))
            except JobRunning as running:
                if asyncio.get_running_loop().time() >= give_up_at:
                    raise NotSent(f"the token is being renewed: {running}", connection=self._connection) from None
                await asyncio.sleep(_LOOK_EVERY)
            else:
                return

    async def _load(self, material: Material) -> HeldTokens | None:
        if self._store is None:
            return self._held
        try:
            return await self._store.load(self._connection, material.secrets)
        except (StorageUnavailable, ConfigurationError):
            return self._held

    # ---- the renewal

    async def _obtain(
        self, wire: TokenWire, found: HeldTokens | None, found_for: tuple[str, ...], refused: str
    ) -> HeldTokens:
        """New tokens for the secrets as they are cached; when those are refused, for the ones that replaced them.

        ``found``: the tokens so far, which were issued for the secrets ``found_for``.
        """
        material = await self._material.read(refresh=bool(refused))
        try:
            return await self._exchange(wire, material, found, found_for)
        except NotAuthorised:
            if refused:
                raise
            fresh = await self._material.read(refresh=True)
            if fresh == material:
                raise
        return await self._exchange(wire, fresh, found, found_for)

    async def _exchange(
        self, wire: TokenWire, material: Material, found: HeldTokens | None, found_for: tuple[str, ...]
    ) -> HeldTokens:
        """One renewal; see the steps at the top."""
        of_these = found_for == material.secrets
        before = found if of_these or self._by_person else None  # a new password takes no token of the old one
        started = self._now()
        used, issued = await self._by_refresh(wire, material, before)
        if issued is None:
            self._check_person(material, before)
            issued = await wire.log_in(material.secrets)
        held = self._described(issued, used, material, before, started)
        await self._save(material.secrets, held)
        held = await self._store_refresh_token(material, held)
        self._adopt(held, material.secrets)
        if found is not None and not (of_these and found.descends_from(material.stored)):
            await self._revoke(wire, found, held)
        return held

    async def _by_refresh(
        self, wire: TokenWire, material: Material, before: HeldTokens | None
    ) -> tuple[str, IssuedTokens | None]:
        """The refresh token that was accepted, and what it gave; empty and None when there is none, or none is."""
        ours = before.refresh if before is not None else ""
        theirs = material.stored.token if material.stored is not None else ""
        newest_first = (
            (ours, theirs) if before is not None and before.descends_from(material.stored) else (theirs, ours)
        )
        for token in dict.fromkeys(newest_first):
            if not token:
                continue
            try:
                return token, await wire.use(material.secrets, token)
            except NotAuthorised as error:
                record("refresh_token_refused", connection=self._connection, reason=str(error))
        return "", None

    def _check_person(self, material: Material, before: HeldTokens | None) -> None:
        """Raise what the grant says where only a person can go on from here."""
        stored = material.stored
        newest = stored is not None and (before is None or not before.descends_from(stored))
        ends = stored.ends if stored is not None and newest else before.refresh_ends if before is not None else None
        refused = stored is not None or bool(before is not None and before.refresh)
        error = self._grant.needs_person(refused=refused, ended=ends if ends and ends <= self._now() else None)
        if error is not None:
            raise error

    def _described(
        self, issued: IssuedTokens, used: str, material: Material, before: HeldTokens | None, started: datetime
    ) -> HeldTokens:
        life = timedelta(seconds=issued.life)
        refresh = issued.refresh or used
        ends = started + self._grant.refresh_life if refresh else None
        if used and refresh == used and not self._grant.extended_by_use:
            if before is not None and used == before.refresh:
                ends = before.refresh_ends
            elif material.stored is not None:
                ends = material.stored.ends
        held = HeldTokens(
            issued.access,
            started + life,
            started + life - min(_EARLY, life / 10),
            refresh,
            ends,
            started if refresh else None,
            *((before.base, before.past) if before is not None else ()),
        )
        stored = material.stored
        return held if stored is None or held.descends_from(stored) else held.based_on(stored.fingerprint)

    async def _save(self, secrets: tuple[str, ...], held: HeldTokens) -> None:
        if self._store is None:
            return
        try:
            await self._store.save(self._connection, secrets, held)
        except (StorageUnavailable, ConfigurationError) as error:  # the others will renew for themselves
            record("tokens_not_shared", logging.WARNING, connection=self._connection, reason=str(error))

    async def _store_refresh_token(self, material: Material, held: HeldTokens) -> HeldTokens:
        """Steps 3 and 4: a refresh token that was replaced, or whose end has moved by much, goes to the secret store.

        Without the right to write there, the token store keeps it alone.
        """
        stored = material.stored
        if stored is None:
            return held
        if fingerprint(held.refresh) == held.base:
            moved = held.refresh_ends - stored.ends if held.refresh_ends and stored.ends else timedelta(0)
            if moved < self._grant.refresh_life / _MOVED_SHARE:
                return held
        token = StoredToken(held.refresh, held.refresh_ends)
        try:
            newest = await self._grant.stored(refresh=True)
            if not held.descends_from(newest):  # a person consented meanwhile: that token must stay
                self._material.note(Material(material.secrets, newest))
                return held
            await self._grant.keep(token)
        except SecretUnavailable as error:
            record("refresh_token_not_stored", logging.WARNING, connection=self._connection, reason=str(error))
            return held
        record("refresh_token_stored", connection=self._connection)
        self._material.note(Material(material.secrets, token))
        kept = held.based_on(token.fingerprint)
        if kept != held:
            await self._save(material.secrets, kept)
        return kept

    async def _revoke(self, wire: TokenWire, old: HeldTokens, new: HeldTokens) -> None:
        """Revoke what was issued for other secrets, unless it was issued again: a refresh token lives for months and
        would outlive a leaked secret. It happens after the new tokens are there, so that the old ones stay where the
        new secrets are not valid yet."""
        for token in (old.refresh, old.access):
            if token and token not in (new.refresh, new.access):
                await wire.revoke(token)


def _retrieve(task: asyncio.Task[HeldTokens]) -> None:
    """Whoever waited may be gone: the error of a renewal is then nobody's."""
    if not task.cancelled():
        task.exception()
