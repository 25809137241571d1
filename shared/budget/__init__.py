"""The call budget of a ticket system, shared by all workers: never above the limit, urgent first, in order.

state, line, plan    values and their changes; pure
store                one row per connection in Table storage
shared_state         a process's copy of the row, changed under its ETag
budget               what delivery and connectors use
"""

from __future__ import annotations

from shared.budget.budget import Budget
from shared.budget.errors import CircuitOpen, MustWait
from shared.budget.state import Rules
from shared.budget.store import TableBudgets

__all__ = ["Budget", "CircuitOpen", "MustWait", "Rules", "TableBudgets"]
