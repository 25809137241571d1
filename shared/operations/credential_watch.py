"""Remembers until when credentials last, and warns once for each step: 30, 14, 7 and 1 days before an end, and at it.

A warning is written down before it is logged, under the row's ETag: whichever worker wrote it says it, and nobody says
it again, whatever restarts. Health and the bridge's own signals read the rows.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from shared.core.jobs import JobRun
from shared.core.log_in import LogIn
from shared.core.times import rfc3339
from shared.operations.credentials import (
    UNWELL,
    CredentialKind,
    CredentialReading,
    days_left,
    step_of,
    until,
)
from shared.operations.health import Reason
from shared.platform.codec import RowCodec
from shared.platform.log import record
from shared.platform.storage import Storage, storage_errors
from shared.platform.tables import RowAddress, RowOvertaken, VersionedTable

TABLE = "credentials"
_PARTITION = "credential"

#: Seconds for a report: who asks for health must not wait for what is ill.
_PATIENCE = 4.0

#: Of a row that has had no warning: larger than every step.
_NONE = 1_000


@dataclass(frozen=True, slots=True)
class KnownCredential:
    """One row: a credential as it was read last, and the warning that was given.

    Attributes:
        id, kind, name, places, advice: see ``CredentialReading``.
        ends: the end that is known; that of the last successful reading while there is a problem.
        problem: why it could not be read the last time. read_at: when it was read last.
        warned: the step of the last warning for this end, in days; ``_NONE`` for none.
    """

    id: str
    kind: CredentialKind
    name: str
    places: tuple[str, ...] = ()
    advice: str = ""
    ends: datetime | None = None
    problem: str = ""
    read_at: datetime | None = None
    warned: int = _NONE

    @property
    def credential(self) -> CredentialReading:
        """What it is about."""
        return CredentialReading(self.id, self.kind, self.name, self.places, self.ends, self.advice, self.problem)

    @property
    def step(self) -> int | None:
        """The step of the last warning; None for none."""
        return None if self.warned == _NONE else self.warned


@dataclass(slots=True)
class CredentialResult:
    """What one look found: credentials, those that end soon, those of which no end is known, new warnings, those that
    could not be read."""

    credentials: int = 0
    ending: int = 0
    without_end: int = 0
    warned: int = 0
    unread: int = 0
    reason: str = ""
    nearest: list[datetime] = field(default_factory=list, repr=False)


class CredentialStore:
    """The rows. All methods raise StorageUnavailable."""

    def __init__(self, storage: Storage) -> None:
        self._table = VersionedTable(storage, TABLE, RowCodec(KnownCredential))

    async def read(self) -> list[KnownCredential]:
        """All credentials, the one that ends first at the top."""
        async with storage_errors("reading credentials", within=_PATIENCE):
            found = [one async for one in self._table.query()]
        return sorted(found, key=lambda one: (one.ends is None, one.ends, one.id))

    async def load(self, credential_id: str) -> tuple[KnownCredential | None, str | None]:
        """A row and its ETag; None for none. A row that cannot be read has only an ETag, and is replaced."""
        found = await self._table.load_or_forget(_address(credential_id))
        return (None, None) if found is None else (found.value, found.etag)

    async def write(self, row: KnownCredential, etag: str | None) -> bool:
        """Write a row; False when another worker wrote it meanwhile."""
        try:
            await self._table.write(_address(row.id), row, etag)
        except RowOvertaken:
            return False
        return True

    async def forget(self, credential_id: str) -> None:
        """Delete a row, unless somebody writes it meanwhile."""
        found = await self._table.load_or_forget(_address(credential_id))
        if found is not None:
            try:
                await self._table.delete(_address(credential_id), found.etag)
            except RowOvertaken:
                return


def _address(credential_id: str) -> RowAddress:
    return RowAddress(_PARTITION, hashlib.sha256(credential_id.encode()).hexdigest())


class CredentialWatch:
    """Looks at every credential and warns of those that end.

    Args:
        store: the rows.
        look: reads all credentials, and names the connections whose log-in could not be read.
        now: the clock.
    """

    def __init__(
        self,
        store: CredentialStore,
        look: Callable[[], Awaitable[tuple[Sequence[CredentialReading], Sequence[str]]]],
        now: Callable[[], datetime],
    ) -> None:
        self._store = store
        self._look = look
        self._now = now

    async def run(self, run: JobRun) -> CredentialResult:
        """Look at all of them. Raises ConfigurationError and StorageUnavailable."""
        result = CredentialResult()
        run.follow("credentials", result)
        found, unread = await self._look()
        for credential in found:
            await self._note(credential, run, result)
        result.unread += len(unread)
        if not run.dry_run:
            kept = {one.id for one in found} | {f"log-in:{name}" for name in unread}
            for row in await self._store.read():
                if row.id not in kept:  # the configuration no longer names it
                    await self._store.forget(row.id)
        nearest = min(result.nearest, default=None)
        record(
            "credentials_checked",
            credentials=result.credentials,
            ending=result.ending,
            without_end=result.without_end,
            unread=result.unread,
            days_left=None if nearest is None else days_left(nearest, self._now()),
            dry_run=run.dry_run or None,
        )
        return result

    async def _note(self, found: CredentialReading, run: JobRun, result: CredentialResult) -> None:
        now = self._now()
        stored, etag = await self._store.load(found.id)
        ends = found.ends
        if found.problem and stored is not None:  # what was known stays true while not everything can be read
            ends = min((end for end in (ends, stored.ends) if end is not None), default=None)
        ends = None if ends is None else ends.replace(microsecond=0)  # as it is stored, so that it can be compared
        step = step_of(ends, now)
        before = stored.warned if stored is not None and stored.ends == ends else _NONE
        due = step is not None and step < before
        _count(result, replace(found, ends=ends), step)
        if run.dry_run:
            if step is not None and ends is not None:
                run.sample(f"{'warn' if due else 'already warned'}: {found.title} {until(ends, now)}")
            return
        row = KnownCredential(
            id=found.id,
            kind=found.kind,
            name=found.name,
            places=found.places,
            advice=found.advice,
            ends=ends,
            problem=found.problem,
            read_at=stored.read_at if stored is not None and found.problem else now,
            warned=step if due and step is not None else before,
        )
        if not await self._store.write(row, etag):
            return  # another worker looks at the same time, and says what there is to say
        if due:
            result.warned += 1
        _say(row, stored, now, warn=due)


def _count(result: CredentialResult, found: CredentialReading, step: int | None) -> None:
    result.credentials += 1
    result.ending += step is not None
    result.without_end += found.ends is None and not found.problem
    if found.ends is not None:
        result.nearest.append(found.ends)
    if found.problem:
        result.unread += 1
        result.reason = result.reason or found.problem


def _say(row: KnownCredential, stored: KnownCredential | None, now: datetime, *, warn: bool) -> None:
    about: dict[str, Any] = {"credential": row.name, "kind": row.kind, "places": list(row.places)}
    if row.problem and (stored is None or stored.problem != row.problem):
        record("credential_not_read", logging.WARNING, **about, reason=row.problem)
    if stored is not None and stored.step is not None and row.step is None:
        record("credential_replaced", **about, ends=rfc3339(row.ends))
    if warn and row.ends is not None:
        left = days_left(row.ends, now)
        level = logging.ERROR if row.step == 0 else logging.WARNING
        record(
            "credential_ends", level, **about, ends=rfc3339(row.ends), days_left=left, step=row.step, advice=row.advice
        )


def reasons_of_credentials(rows: Sequence[KnownCredential], now: datetime) -> list[Reason]:
    """Credentials that have ended or end within a week."""
    return [
        Reason(
            "credential_ends",
            f"The {row.credential.title} {until(row.ends, now)}.",
            row.ends if row.ends <= now else None,
            row.advice,
            about=row.id,
        )
        for row in rows
        if row.ends is not None and row.ends - now <= timedelta(days=UNWELL)
    ]


def credentials_shown(rows: Sequence[KnownCredential], now: datetime) -> list[dict[str, Any]]:
    """All credentials as JSON."""
    return [
        {
            "name": row.name,
            "kind": row.kind,
            "places": list(row.places),
            "ends": rfc3339(row.ends),
            "days_left": None if row.ends is None else days_left(row.ends, now),
            "read_at": rfc3339(row.read_at),
            "problem": row.problem,
        }
        for row in rows
    ]


def log_in_shown(
    connection: str, log_in: LogIn | None, rows: Sequence[KnownCredential], now: datetime
) -> dict[str, Any] | None:
    """How a connection logs in, as JSON; None where that cannot be read now.

    ``token_ends`` is the end of what a person consented to, ``secret_ends`` the earliest end of its secrets and
    certificates, ``days_left`` the whole days until one of them; ``access_ends`` the end of the access token that all
    workers use, which is renewed by itself; null while no end is known.
    """
    if log_in is None:
        return None
    whole = with_secret_ends(log_in, connection, rows)
    first = min((one for one in (whole.token_ends, whole.secret_ends) if one is not None), default=None)
    return {
        "kind": whole.kind,
        "user": whole.user,
        "token_ends": rfc3339(whole.token_ends),
        "secret_ends": rfc3339(whole.secret_ends),
        "access_ends": rfc3339(whole.access_ends),
        "days_left": None if first is None else days_left(first, now),
        "problem": whole.problem,
    }


def with_secret_ends(log_in: LogIn, connection: str, rows: Sequence[KnownCredential]) -> LogIn:
    """A log-in with the earliest end that is known of its secrets and certificates."""
    ends = [row.ends for row in rows if connection in row.credential.connections and row.kind != "log-in"]
    known = [one for one in (*ends, log_in.secret_ends) if one is not None]
    return replace(log_in, secret_ends=min(known, default=None))
