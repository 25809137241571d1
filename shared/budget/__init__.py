"""The call budget of a ticket system, shared by all workers: never above the limit, urgent first, in order.

state, line, plan    values and their changes; pure
store                one row per connection in Table storage
shared_state         a process's copy of the row, changed under its ETag
budget               what delivery and connectors use
"""

from __future__ import annotations

from shared.budget.budget import BudgetGate
from shared.budget.errors import CircuitOpen, MustWait
from shared.budget.state import QuotaRules
from shared.budget.store import TableBudgets

__all__ = ["BudgetGate", "CircuitOpen", "MustWait", "QuotaRules", "TableBudgets"]
