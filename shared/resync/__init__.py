"""Resync: what people do with the tickets comes back to the links, and from there to the sources."""

from __future__ import annotations

from shared.resync.full_check import Checked, FullCheck
from shared.resync.polling import Resynced, Resyncer
from shared.resync.progress import Progress
from shared.resync.ticket_sync import Follower

__all__ = ["Checked", "Follower", "FullCheck", "Progress", "Resynced", "Resyncer"]
