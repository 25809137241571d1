"""Where subscriptions stand: their tenant and the management groups above them.

Collected by the poll of findings, read by every worker from one copy in Blob storage, so that scopes of integrations
and governance rules can name management groups. Findings themselves do not say it, whatever brought them.

Source: Resource Graph, table ``resourcecontainers``: ``properties.managementGroupAncestorsChain`` of a subscription,
the nearest group first and the tenant's root group last.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from shared.core.errors import StorageUnavailable
from shared.core.signal import Signal
from shared.payloads.builder import fit
from shared.platform.blobs import JsonBlob
from shared.platform.storage import Storage

CONTAINER = "bridge-findings"
BLOB = "management-groups.json"

#: A worker reads the copy again after this time; groups rarely change.
REREAD = timedelta(minutes=10)

#: Ids and chains of the subscriptions that an identity may read.
QUERY = """resourcecontainers
| where type =~ 'microsoft.resources/subscriptions'
| project id, subscriptionId, tenantId, chain = properties.managementGroupAncestorsChain
| order by id asc"""


@dataclass(frozen=True, slots=True)
class ManagementGroupPath:
    """Where a subscription stands.

    Attributes:
        tenant: id of its tenant, lower case; empty where it is not known.
        groups: names of the management groups above it, the nearest first, as spelt in Azure.
    """

    tenant: str = ""
    groups: tuple[str, ...] = ()


UNKNOWN = ManagementGroupPath()


@dataclass(frozen=True, slots=True)
class Part:
    """What one identity sees. ``read_at``: when; ``subscriptions``: by id in lower case."""

    read_at: datetime
    subscriptions: Mapping[str, ManagementGroupPath]


@dataclass(frozen=True, slots=True)
class _Stored:
    """The whole copy: the part of each configured tenant, by its name."""

    parts: Mapping[str, Part]


class ManagementGroupPaths:
    """The copy, in memory.

    Args:
        storage: of the copy.
        now: the clock.

    Attributes:
        read_only: what is read is known here and not written to the copy.
    """

    def __init__(self, storage: Storage, *, now: Callable[[], datetime]) -> None:
        self._blob = JsonBlob(storage, CONTAINER, BLOB, _Stored)
        self._now = now
        self.read_only = False
        self._parts: dict[str, Part] = {}
        self._known: dict[str, ManagementGroupPath] = {}
        self._asked: datetime | None = None

    def of(self, subscription_id: str) -> ManagementGroupPath:
        """Where a subscription stands, as far as known after :meth:`refresh`; nothing for one that is not known."""
        return self._known.get(subscription_id.strip().lower(), UNKNOWN)

    async def refresh(self) -> None:
        """Read the copy again when it is time. Storage that does not answer leaves what is known."""
        now = self._now()
        if self._asked is not None and now - self._asked < REREAD:
            return
        self._asked = now
        with contextlib.suppress(StorageUnavailable):
            await self.load()

    async def load(self) -> None:
        """Read the copy now; one that cannot be read counts as none, and the next poll replaces it.

        Raises StorageUnavailable.
        """
        stored = await self._blob.read_or_forget()
        self._take({} if stored is None else dict(stored.parts))

    def part(self, name: str) -> Part | None:
        """What the identity of a configured tenant saw last."""
        return self._parts.get(name)

    def age(self, part: Part) -> timedelta:
        """How long ago it was read."""
        return self._now() - part.read_at

    async def write(self, name: str, subscriptions: Mapping[str, ManagementGroupPath]) -> None:
        """Replace what the identity of one configured tenant sees. Raises StorageUnavailable."""
        self._take({**self._parts, name: Part(self._now(), subscriptions)})
        if not self.read_only:
            await self._blob.write(_Stored(self._parts))

    def _take(self, parts: dict[str, Part]) -> None:
        self._parts = parts
        self._known = {}
        for part in sorted(parts.values(), key=lambda part: part.read_at):  # what was read last counts
            self._known.update(part.subscriptions)


def with_management_groups(signal: Signal, path: ManagementGroupPath) -> Signal:
    """The signal with details ``tenant_id`` and ``management_groups``, where the path knows them.

    What the payload said of its tenant itself stays.
    """
    details = dict(signal.details)
    if path.tenant:
        details.setdefault("tenant_id", path.tenant)
    if path.groups:
        details["management_groups"] = ", ".join(path.groups)
    return signal if details == signal.details else fit(replace(signal, details=details))


def read_row(row: Mapping[str, Any]) -> tuple[str, ManagementGroupPath] | None:
    """Subscription and path of a row of :data:`QUERY`, None for a row without a subscription."""
    subscription, tenant, chain = row.get("subscriptionId"), row.get("tenantId"), row.get("chain")
    if not isinstance(subscription, str) or not subscription:
        return None
    names = [one.get("name") for one in chain if isinstance(one, dict)] if isinstance(chain, list) else []
    groups = tuple(name for name in names if isinstance(name, str) and name)
    return subscription.lower(), ManagementGroupPath(tenant.lower() if isinstance(tenant, str) else "", groups)
