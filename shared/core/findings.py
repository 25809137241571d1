"""What a check has seen of a ticket system and later calls rely on: the contract between connectors and storage."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was seen of a connection.

    Attributes:
        topic: what it is about; each topic of a connection has one finding.
        address: of the system that was looked at. account: as whom; never a secret.
        seen_at: when.
        holds: whether the system behaves as it has to for its use.
        detail: what was seen, for people.
        tables: for which tables it holds.
    """

    topic: str
    address: str
    account: str
    seen_at: datetime
    holds: bool
    detail: str = ""
    tables: tuple[str, ...] = ()


class Findings(Protocol):
    """The findings of one connection."""

    async def read(self, topic: str) -> Finding | None:
        """The finding of a topic, None where there is none. Raises StorageUnavailable, ConfigurationError."""
        ...

    async def write(self, finding: Finding) -> None:
        """Keep a finding instead of the one before it. Raises as :meth:`read`."""
        ...
