"""Lists on tickets what is affected: the configuration items of all resources of a signal, and of a group's members.

This comes after the ticket, by a message of its own that is never urgent: a ticket without its list is worth more than
a list that keeps other tickets waiting. The link remembers by a digest what was listed, so that a repetition makes no
call. What the digest does not know is found out by the ticket system, which adds nothing twice.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Protocol
from uuid import uuid4

from shared.core.errors import NotAuthorised, Refused
from shared.core.fields import FieldRole
from shared.core.letter_case import fold_case
from shared.core.link import Link, LinkStage
from shared.core.messages import AddAffectedItems
from shared.core.outcome import Outcome, OutcomeKind
from shared.core.signal import Signal
from shared.core.ticket_system import AffectedItems, ListsAffectedItems, TicketKind, TicketSystems
from shared.delivery.deliver import AdmitCall
from shared.delivery.grouping.store import GroupStore
from shared.delivery.links import LinkStore
from shared.mapping.mapper import Mapper
from shared.platform.tables import until_written

#: How long the list waits for its ticket, and for what else joins meanwhile.
LIST_AFTER = timedelta(seconds=15)

#: Resources of one message. Azure lists a few; a group brings those of its members, which its rows keep.
_MOST_RESOURCES = 500

#: Resources that are looked for, for each item that a ticket may list. Not every resource has an item.
_LOOKED_FOR = 2

_DIGEST = 16


class AffectedItemsPort(Protocol):
    """Lists what is affected; see :class:`AffectedItemsLister`."""

    def message_for(self, signal: Signal, delivered: Outcome) -> AddAffectedItems | None:
        """What to queue after a delivery; None where there is nothing to list."""
        ...

    async def add(self, message: AddAffectedItems) -> Outcome:
        """List what a message names. Raises BridgeError for what may pass."""
        ...


class NoAffectedItems:
    """Nothing is listed."""

    def message_for(self, signal: Signal, delivered: Outcome) -> AddAffectedItems | None:
        """See :class:`AffectedItemsPort`."""
        del signal, delivered
        return None

    async def add(self, message: AddAffectedItems) -> Outcome:
        """See :class:`AffectedItemsPort`."""
        del message
        return Outcome(OutcomeKind.ITEMS_ADDED, "not_wanted")


class AffectedItemsLister:
    """Lists on tickets what their alerts affect.

    Args:
        mapper: the compiled configuration.
        systems: gives the ticket system of a connection.
        links: the link store.
        groups: knows the members of groups.
        admit: the call budgets.
        now: the clock.
    """

    def __init__(
        self,
        mapper: Mapper,
        systems: TicketSystems,
        links: LinkStore,
        groups: GroupStore,
        *,
        admit: AdmitCall,
        now: Callable[[], datetime],
    ) -> None:
        self._mapper = mapper
        self._systems = systems
        self._links = links
        self._groups = groups
        self._admit = admit
        self._now = now

    def message_for(self, signal: Signal, delivered: Outcome) -> AddAffectedItems | None:
        """What to queue after a delivery that left the ticket open, also after a duplicate: the worker that delivered
        the signal may have died before it queued this. None where one resource is all there is, where the route names
        no configuration item, and where the ticket system lists none.
        """
        ticket, route = delivered.ticket, self._mapper.route(signal)
        if ticket is None or route is None or delivered.stage != LinkStage.OPEN.value:
            return None
        resources = tuple(name for one in signal.resources[:_MOST_RESOURCES] if (name := one.id or one.name))
        if len(resources) < 2 and not _is_group_of_several(signal):
            return None
        column = next((c for c in route.columns.named(ticket.kind, FieldRole.CONFIGURATION_ITEM)), "")
        if column not in route.fields or self._system(delivered.connection, ticket.kind) is None:
            return None
        own = self._mapper.ticket(route, signal).fields.get(column, "")
        now = self._now()
        return AddAffectedItems(
            id=uuid4().hex, received_at=now, due=now + LIST_AFTER, key=signal.key, own=own, resources=resources
        )

    async def add(self, message: AddAffectedItems) -> Outcome:
        """List what a message names, and what the members of the group name, if the key is a group's.

        Decisions: added; nothing_new; up_to_date (nothing was asked of the ticket system); not_open; not_wanted (the
        connection lists nothing); refused, with the reason: it is not tried again until more is affected.

        Raises what the ticket system raises for what may pass, StorageUnavailable, KeyContended, MustWait.
        """
        stored = await self._links.load(message.key)
        link = None if stored is None else stored.value
        if link is None or link.ticket is None or link.stage is not LinkStage.OPEN:
            return Outcome(OutcomeKind.ITEMS_ADDED, "not_open")
        resources = _distinct([*message.resources, *await self._of_members(message.key)])
        system = self._system(link.connection, link.kind)
        if system is None:
            return Outcome(OutcomeKind.ITEMS_ADDED, "not_wanted")
        most = _LOOKED_FOR * system.most_affected_items(link.kind)
        resources, beyond = resources[:most], len(resources[most:])
        digest = _digest(link, message.own, resources)
        said = Outcome(
            OutcomeKind.ITEMS_ADDED, connection=link.connection, route=link.route, ticket=link.ticket, stage=link.stage
        )
        if link.affected == digest:
            return replace(said, decision="up_to_date")
        await self._admit(link.connection, urgent=False, position=message.position)
        try:
            found = await system.add_affected_items(link.ticket, message.own, resources)
        except (Refused, NotAuthorised) as error:
            if isinstance(error, NotAuthorised) and error.status != 403:  # the connection as a whole: it may pass
                raise
            await self._remember(link, digest)
            return replace(said, decision="refused", code=error.code, reason=str(error), advice=error.advice)
        await self._remember(link, digest)
        decision = "added" if found.added else "nothing_new"
        found = replace(found, beyond=found.beyond + beyond)
        return replace(said, decision=decision, left_out=found.ambiguous, warnings=_warnings(found, len(resources)))

    def _system(self, connection: str, kind: TicketKind) -> ListsAffectedItems | None:
        """The ticket system of a connection, where it lists affected items of tickets of a kind."""
        system = self._systems(connection)
        return system if isinstance(system, ListsAffectedItems) and system.most_affected_items(kind) else None

    async def _of_members(self, key: str) -> list[str]:
        members = [stored.value for stored in await self._groups.members(key)]
        members.sort(key=lambda member: (member.first or member.latest[0], member.key))
        return [item for member in members for item in member.items]

    async def _remember(self, link: Link, digest: str) -> None:
        async def attempt() -> None:
            stored = await self._links.load(link.key)
            if stored is not None and stored.value.ticket == link.ticket:
                await self._links.write(replace(stored.value, affected=digest), stored.etag)

        await until_written(attempt, contended=f"{link.key}: others kept changing its link; it is tried again later")


def _is_group_of_several(signal: Signal) -> bool:
    return bool(signal.via) and signal.details.get("group_resources", "") not in ("", "0", "1")


def _distinct(resources: Iterable[str]) -> list[str]:
    return list({fold_case(one): one for one in reversed([*resources])}.values())[::-1]


def _digest(link: Link, own: str, resources: Iterable[str]) -> str:
    ticket = "" if link.ticket is None else link.ticket.id
    text = "\n".join([ticket, own, *sorted(map(fold_case, resources))])
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGEST]


def _warnings(found: AffectedItems, resources: int) -> tuple[str, ...]:
    warnings = []
    if found.unknown:
        warnings.append(f"{found.unknown} of {resources} affected resources have no configuration item")
    if found.beyond:
        warnings.append(f"{found.beyond} affected resources are not listed: the ticket lists as many as it may")
    return tuple(warnings)
