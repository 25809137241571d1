"""Resync: what people do with the tickets comes back to the links, and from there to the sources."""

from __future__ import annotations

from shared.sync.resync.follow import Follower
from shared.sync.resync.full_check import Checked, FullCheck
from shared.sync.resync.polling import Resynced, Resyncer
from shared.sync.resync.progress import Progress

__all__ = ["Checked", "Follower", "FullCheck", "Progress", "Resynced", "Resyncer"]
