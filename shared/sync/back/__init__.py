"""The way back: what sources of signals are told of their tickets. One module per source."""

from __future__ import annotations

from shared.sync.back.backs import Backs, Counterpart

__all__ = ["Backs", "Counterpart"]
