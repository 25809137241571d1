"""A process that makes as many calls as a shared budget allows it: CONNECTION_STRING DESK LIMIT ATTEMPTS."""

from __future__ import annotations

import asyncio
import sys

from shared.budget import BudgetGate, QuotaRules, TableBudgets
from shared.core.errors import Throttled
from shared.core.rate_gate import CallReport, SystemCondition
from shared.platform.storage import Storage


async def hammer(connection_string: str, desk: str, limit: int, attempts: int) -> int:
    """Calls made. In windows of a day, so that a test never meets the turn of one."""
    storage = Storage({"AzureWebJobsStorage": connection_string})
    budget = BudgetGate(desk, QuotaRules(calls=limit, per=86_400, reserve=0), TableBudgets(storage))
    made = 0
    for _ in range(attempts):
        try:
            await budget.admit(urgent=False)
            permit = await budget.acquire()
        except Throttled:
            break
        made += 1
        budget.report(permit, CallReport(SystemCondition.ANSWERED))
        await asyncio.sleep(0.004)  # the call, during which others have their turn
    await storage.aclose()
    return made


if __name__ == "__main__":
    sys.stdout.write(str(asyncio.run(hammer(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))))
