"""Resync: what people do with the tickets comes back to the links, and from there to the sources."""

from __future__ import annotations

from shared.resync.full_check import FullCheck, FullCheckResult
from shared.resync.polling import Resyncer, ResyncResult
from shared.resync.progress import ResyncProgress
from shared.resync.ticket_sync import TicketSync

__all__ = ["FullCheck", "FullCheckResult", "ResyncProgress", "ResyncResult", "Resyncer", "TicketSync"]
