"""``python -m benchmarks.many_tickets NUMBER``: a ServiceNow instance with so many incidents, none of which is stored.

It knows only what an export asks: pages by keyset, their count, and no deletions. One incident changed in each second.
Prints one line of JSON, then serves until it is ended.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

from aiohttp import web

#: The youngest incident changed so long ago.
_SETTLED = timedelta(hours=1)
_TIME = "%Y-%m-%d %H:%M:%S"
_PLACE = re.compile(r"sys_updated_on(>=|>|=)(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)(?:\^sys_id>(\w+))?")
_TEXT = "The share of used space is above the threshold of the alert rule. " * 4


class _Incidents:
    """The tables of the instance."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._begin = datetime.now(UTC).replace(microsecond=0) - _SETTLED - timedelta(seconds=count)

    async def listed(self, request: web.Request) -> web.Response:
        """A page of a table."""
        if request.match_info["table"] != "incident":
            return _answer([], 0)
        limit = int(request.query.get("sysparm_limit", "1000"))
        first = min(self._first(request.query.get("sysparm_query", "")), self._count)
        columns = request.query.get("sysparm_fields", "").split(",")
        page = range(first, min(first + limit, self._count))
        return _answer([self._row(number, columns) for number in page], self._count - first)

    def _first(self, query: str) -> int:
        """The first incident that a query selects: the least of its alternatives."""
        places = []
        for operator, time, sys_id in _PLACE.findall(query):
            number = round((datetime.strptime(time, _TIME).replace(tzinfo=UTC) - self._begin).total_seconds())
            strictly = operator == ">" or bool(sys_id)  # one incident to a second: its id is not above itself
            places.append(number + 1 if strictly else number)
        return max(min(places, default=0), 0)

    def _row(self, number: int, columns: list[str]) -> dict[str, Any]:
        changed = (self._begin + timedelta(seconds=number)).strftime(_TIME)
        known = {
            "sys_id": f"{number:032x}",
            "number": f"INC{number:07}",
            "state": "2",
            "active": "true",
            "sys_updated_on": changed,
            "sys_created_on": changed,
            "opened_at": changed,
            "sys_mod_count": "3",
            "short_description": f"Disk of machine {number} fills up",
            "description": _TEXT,
        }
        return {name: {"value": (text := known.get(name, "")), "display_value": text} for name in columns}


def _answer(rows: list[dict[str, Any]], total: int) -> web.Response:
    headers = {"X-Total-Count": str(total), "Content-Type": "application/json;charset=UTF-8"}
    return web.Response(body=json.dumps({"result": rows}).encode(), headers=headers)


async def _serve(count: int) -> None:
    app = web.Application()
    app.router.add_get("/api/now/table/{table}", _Incidents(count).listed)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    print(json.dumps({"url": f"http://127.0.0.1:{runner.addresses[0][1]}"}), flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1])))
