"""Finds the assignments that a request to withdraw means. Reads the bridge's own storage only: a finding may have been
deleted in Azure, and its integration removed from the configuration."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from difflib import get_close_matches

from connectors.defender.assignments.assignment import Assignment
from connectors.defender.assignments.checks import CONCURRENCY
from connectors.defender.assignments.requests import WithdrawRequest
from connectors.defender.assignments.store import AssignmentStore, first
from connectors.defender.payloads.identity import recommendation_key
from connectors.microsoft.azure_resources import canonical
from shared.core.refusal import RefusalReason, RequestMistake, RequestRefused
from shared.payloads.keys import make_key
from shared.platform.concurrency import for_each

#: Assignments that one request withdraws; for the rest, the request has to be repeated.
MOST = 500

_MOST_SUGGESTIONS = 5

#: Assignments of a resource that are read for suggestions and names.
_MOST_LISTED = 1000


class AssignmentChooser:
    """Finds assignments.

    Args:
        integrations: names of those that the configuration has.
        store: the assignments.
    """

    def __init__(self, integrations: Collection[str], store: AssignmentStore) -> None:
        self._integrations = integrations
        self._store = store

    async def chosen(self, request: WithdrawRequest) -> tuple[list[str], bool]:
        """Keys of at most :data:`MOST` recommendations, and whether there are more of them.

        Raises:
            RequestRefused: a key or recommendation that was never assigned, or an integration that never existed.
            StorageUnavailable: storage did not answer.
        """
        if request.integration is not None:
            return await self._of_integration(request.integration)
        if request.keys is not None:
            found = await for_each(request.keys, self._of_key, limit=CONCURRENCY)
            title = "No such assignment"
        else:
            text = request.recommendation or ""
            found = await for_each(
                request.resources or [], lambda resource: self._of_resource(resource, text), limit=CONCURRENCY
            )
            title = "No such recommendation"
        mistakes = [one for one in found if isinstance(one, RequestMistake)]
        if mistakes:
            raise RequestRefused(RefusalReason.NOT_FOUND, title, mistakes)
        keys = list(dict.fromkeys(key for one in found if not isinstance(one, RequestMistake) for key in one))
        return keys[:MOST], len(keys) > MOST

    async def _of_integration(self, name: str) -> tuple[list[str], bool]:
        keys = _keys(await first(self._store.open_of(name), MOST + 1))
        if not keys and name not in self._integrations and not await self._store.knows_integration(name):
            known = {*self._integrations, *[one.integration async for one in self._store.all()]}
            close = get_close_matches(name, sorted(known), n=_MOST_SUGGESTIONS, cutoff=0.4)
            detail = f"there is no integration '{name}', and no assignment of a former one"
            mistake = RequestMistake("integration", detail, tuple(close))
            raise RequestRefused(RefusalReason.UNKNOWN_VALUE, "Unknown integration", [mistake])
        return keys[:MOST], len(keys) > MOST

    async def _of_key(self, key: str) -> list[str] | RequestMistake:
        """The key of a recommendation as it is. For the key of a shared ticket: all open assignments of the ticket, or
        where none is open, all that were withdrawn."""
        if await self._store.load(key) is not None:
            return [key]
        shared = await first(self._store.open_on(key), MOST + 1) or await first(self._store.withdrawn_on(key), MOST)
        if shared or await self._store.knows_ticket(key):
            return _keys(shared)
        resource, _, _ = key.rpartition("/")
        near = await first(self._store.below(f"{resource}/"), _MOST_LISTED) if resource.count("/") > 1 else []
        close = get_close_matches(key, _keys(near), n=_MOST_SUGGESTIONS, cutoff=0.4)
        return RequestMistake("keys", f"'{key}' is not the key of an assignment, nor of its ticket", tuple(close))

    async def _of_resource(self, resource: str, text: str) -> list[str] | RequestMistake:
        """The recommendation of a resource by the key of its assessment, or by its name."""
        own = recommendation_key(resource, text)
        if await self._store.load(own) is not None:
            return [own]
        prefix = make_key("recommendation", f"{canonical(resource)}/")
        listed = await first(self._store.below(prefix), _MOST_LISTED)
        names = {one.key: one.title for one in listed if "/" not in one.key.removeprefix(prefix)}
        keys = [key for key, name in names.items() if name.casefold() == text.casefold()]
        if len(keys) == 1:
            return keys
        if keys:
            found = tuple(key.rpartition("/")[2] for key in keys[:_MOST_SUGGESTIONS])
            return RequestMistake(
                "recommendation", f"{resource} has several recommendations with the name '{text}'; send the key", found
            )
        close = get_close_matches(text, sorted(set(names.values())), n=_MOST_SUGGESTIONS, cutoff=0.4)
        return RequestMistake("recommendation", f"'{text}' of {resource} was never assigned", tuple(close))


def _keys(assignments: Sequence[Assignment]) -> list[str]:
    return [one.key for one in assignments]
