"""Reads tags: from memory, from the bridge's own table, and from Azure Resource Graph, in this order.

A ticket must not wait for Azure: one call is under way at a time, it asks for what all waiting signals need, nobody
waits longer than ``resource_tags.wait``, and after a failure nobody waits at all for a minute. What is too old is used
all the same while Azure cannot be asked.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from connectors.azure_monitor.resource_tags.ids import TagScopes, scopes_of
from connectors.azure_monitor.resource_tags.query import MOST_IDS, ask
from connectors.azure_monitor.resource_tags.store import KnownTags, TagStore
from connectors.azure_monitor.settings import ResourceTagsSettings
from connectors.microsoft.azure_resources import parse_id
from connectors.microsoft.resource_graph import ResourceGraph
from connectors.microsoft.settings import SignIn
from shared.core.errors import SourceError, SourceUnavailable, StorageUnavailable
from shared.core.settings import format_duration
from shared.core.signal import Resource
from shared.core.times import rfc3339
from shared.delivery.tags import TaggedResources
from shared.platform.log import record

#: Resources of one signal whose tags are read, and characters of tags that a signal carries in all.
MOST_RESOURCES: Final = 20
_MOST_CHARACTERS: Final = 16_000

#: A resource that Resource Graph does not show is looked for again after this time: a new one is listed late.
UNSEEN_AGE: Final = timedelta(minutes=10)

#: After a failure nobody waits for another call for so long; longer where rights are missing, or Azure says so.
_REST: Final = timedelta(minutes=1)
_REST_REFUSED: Final = timedelta(minutes=5)
_LONGEST_REST: Final = timedelta(minutes=15)

#: Ids that are kept in memory.
_MOST_KNOWN: Final = 5_000

#: Time for writing what was read; storage that takes longer learns it from the next call.
_WRITE: Final = timedelta(seconds=2)

_NOT_VISIBLE: Final = (
    "Resource Graph shows nothing of {0}. Fix: assign role Reader to the app's identity on its subscription; see "
    "docs/owners.md"
)


class ResourceTagReader:
    """See ``shared.delivery.tags.TagReader``.

    Args:
        settings: section ``resource_tags``.
        store: shared by all workers.
        graph: opens Resource Graph with a sign-in.
        sign_in: that of a subscription, None for the app's own identity.
        now: the clock.
    """

    def __init__(
        self,
        settings: ResourceTagsSettings,
        store: TagStore,
        graph: Callable[[SignIn | None], ResourceGraph],
        sign_in: Callable[[str], SignIn | None],
        now: Callable[[], datetime],
    ) -> None:
        self._settings = settings
        self._store = store
        self._graph = graph
        self._sign_in = sign_in
        self._now = now
        self._known: OrderedDict[str, KnownTags] = OrderedDict()
        self._wanted: dict[str, None] = {}
        self._turn = asyncio.Lock()
        self._rests: dict[SignIn | None, tuple[datetime, str]] = {}

    async def read(self, resources: Sequence[Resource]) -> TaggedResources:
        """See ``TagReader``."""
        places = {index: found for index, one in enumerate(resources) if (found := scopes_of(one)) is not None}
        places = dict(list(places.items())[:MOST_RESOURCES])
        ids = list(dict.fromkeys(one for found in places.values() for one in found.all))
        failure = await self._refreshed(ids) if ids else ""
        warnings = self._problems(places.values(), failure)
        return _tagged(resources, places, self._known, warnings)

    async def _refreshed(self, ids: Sequence[str]) -> str:
        """Read what is not known, or too old; why that failed, empty when it did not."""
        if not self._missing(ids):
            return ""
        wait = self._settings.wait
        try:
            async with asyncio.timeout(wait.total_seconds()):
                await self._from_store(self._missing(ids))
                await self._from_azure(self._missing(ids))
        except TimeoutError:
            return f"no answer within {format_duration(wait)}" if wait >= timedelta(seconds=1) else "no answer in time"
        except SourceError as error:
            return str(error)
        return ""

    def _missing(self, ids: Iterable[str]) -> list[str]:
        return [one for one in ids if (known := self._known.get(one)) is None or not self._is_fresh(known)]

    def _is_fresh(self, known: KnownTags) -> bool:
        most = self._settings.max_age if known.exists else min(UNSEEN_AGE, self._settings.max_age)
        return self._now() - known.read_at < most

    def _keep(self, found: Iterable[KnownTags]) -> None:
        for one in found:
            before = self._known.get(one.id)
            if before is None or before.read_at <= one.read_at:
                self._known[one.id] = one
                self._known.move_to_end(one.id)
        while len(self._known) > _MOST_KNOWN:
            self._known.popitem(last=False)

    async def _from_store(self, ids: Sequence[str]) -> None:
        """What other workers read. The table is a cache: without it, Azure is asked."""
        with suppress(StorageUnavailable):
            self._keep(await self._store.load(ids))

    async def _from_azure(self, ids: Sequence[str]) -> None:
        """Ask Azure, for all that wait. Raises SourceError."""
        if not ids:
            return
        self._wanted |= dict.fromkeys(ids)
        async with self._turn:
            while left := self._missing(ids):
                await self._one_call(self._sign_in_of(left[0]), left)

    def _sign_in_of(self, resource_id: str) -> SignIn | None:
        return self._sign_in(parse_id(resource_id).subscription_id or "")

    async def _one_call(self, who: SignIn | None, left: Sequence[str]) -> None:
        """Ask with one sign-in: for what is left of the signal whose turn it is, and for what others wait for."""
        until, reason = self._rests.get(who, (self._now(), ""))
        if self._now() < until:
            raise SourceUnavailable(f"{reason}; it is asked again after {rfc3339(until)}")
        batch = [one for one in dict.fromkeys((*left, *self._wanted)) if self._sign_in_of(one) == who][:MOST_IDS]
        try:
            found = await ask(self._graph(who), batch, self._now())
        except SourceError as error:
            self._rest(who, str(error), error)
            raise
        except asyncio.CancelledError:  # the time is over
            self._rest(who, f"no answer within {self._settings.wait.total_seconds():g} s", None)
            raise
        self._rests.pop(who, None)
        for one in batch:
            self._wanted.pop(one, None)
        self._keep(found)
        with suppress(StorageUnavailable, TimeoutError):
            async with asyncio.timeout(_WRITE.total_seconds()):
                await self._store.write(found)

    def _rest(self, who: SignIn | None, reason: str, error: SourceError | None) -> None:
        wait = _REST if error is None or error.retry else _REST_REFUSED
        if error is not None and error.retry_after is not None:
            wait = min(max(wait, timedelta(seconds=error.retry_after)), _LONGEST_REST)
        self._rests[who] = (self._now() + wait, reason)
        self._wanted.clear()
        record("resource_tags_unavailable", logging.WARNING, reason=reason, seconds=wait.total_seconds())

    def _problems(self, places: Iterable[TagScopes], failure: str) -> list[str]:
        """What the record of the delivery says."""
        warnings: list[str] = []
        for found in places:
            known = [self._known[one] for one in found.all if one in self._known]
            if failure and len(known) < len(found.all):
                warnings.append(f"tags could not be read: {failure}")
            elif failure and (old := [one.read_at for one in known if not self._is_fresh(one)]):
                warnings.append(f"tags are as of {rfc3339(min(old))}, because they could not be read again: {failure}")
            elif not failure and not any(one.exists for one in known):
                warnings.append(_NOT_VISIBLE.format(found.all[0]))
            cut = [one for one in known if one.left_out]
            warnings += [f"{one.left_out} tags of {one.id} are left out: there are too many" for one in cut]
        return list(dict.fromkeys(warnings))


def _tagged(
    resources: Sequence[Resource], places: Mapping[int, TagScopes], known: Mapping[str, KnownTags], warnings: list[str]
) -> TaggedResources:
    """The resources with what is known of them, as far as a signal has room for it."""
    found = list(resources)
    room, without = _MOST_CHARACTERS, 0
    for index, place in places.items():
        own: dict[str, str] = {}
        for one in reversed(place.own):
            own |= known[one].tags if one in known else {}
        group = known[place.group].tags if place.group in known else {}
        subscription = known[place.subscription].tags if place.subscription in known else {}
        size = sum(len(name) + len(value) for tags in (own, group, subscription) for name, value in tags.items())
        if any(one in known for one in place.all) and size <= room:
            room -= size
            one_of = found[index]
            found[index] = replace(one_of, own_tags=own, group_tags=group, subscription_tags=subscription)
        elif size > room:
            without += 1
    if without:
        warnings.append(
            f"{without} of the resources have no tags here: a signal has room for {_MOST_CHARACTERS:,} characters"
        )
    return TaggedResources(tuple(found), tuple(warnings))
