"""The call budget of a ticket system, shared by all workers: never above its limit, urgent work first, in order.

A delivery is admitted, or told when to come back; each of its requests takes a call from a lease that its process
holds. All processes meet in one table row for each connection. What a row says and how it changes are pure values and
functions; only the gate and the store do anything.

quota              how many calls may be made in a window: limit, reserve, leases, cool-downs; pure
circuit            whether the instance is called at all: closed, open, half-open; pure
backlog            which delivery has to wait until when (position, ETA); pure
store              the row of all three, and a process's copy of it
leases             the calls that a process holds, some of them for several deliveries that share one
coming_deliveries  which deliveries are about to call, and may share a call
call_slots         how many calls each worker may have in flight
call_monitor       what reports of calls change in it
gate               what deliveries (``admit``) and connectors (``slot``, ``acquire``, ``report``) use
"""

from __future__ import annotations

from shared.budget.gate import BudgetGate
from shared.budget.quota import QuotaRules
from shared.budget.store import TableBudgets

__all__ = ["BudgetGate", "QuotaRules", "TableBudgets"]
