"""People who open and change tickets while everything breaks: through the Table API, a few changes a second."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping
from typing import Any

import httpx

#: Tables in which people work.
TABLES = ("incident", "change_request", "problem")

#: Of a hundred actions, so many open a ticket. Of the changes, so many come twice at once: in the same second.
_OPENS, _TWICE = 0.15, 0.3


class People:
    """Open and change their own tickets. What fails is not repeated: only what the instance shows counts.

    Attributes:
        done: changes that were answered well.
    """

    def __init__(self, desk: Mapping[str, Any], seed: int) -> None:
        self._desk = desk
        self._chance = random.Random(seed)
        self._tickets: list[tuple[str, str]] = []
        self.done = 0

    def begin(self, count: int) -> None:
        """Tickets that are there from the beginning, most of them incidents. Raises httpx.HTTPError."""
        for place, table in enumerate(TABLES):
            number = count - 2 * (count // 10) if place == 0 else count // 10
            rows = [{"short_description": f"{table} {one} of people"} for one in range(number)]
            answer = httpx.post(
                f"{self._desk['control_url']}/rows", json={"table": table, "rows": rows}, timeout=60, trust_env=False
            )
            answer.raise_for_status()
            self._tickets += [(table, sys_id) for sys_id in answer.json()["sys_ids"]]

    async def work(self, over: Callable[[], bool], per_second: float) -> None:
        """Open and change tickets until it is over."""
        auth = (self._desk["username"], self._desk["password"])
        async with httpx.AsyncClient(base_url=self._desk["url"], auth=auth, timeout=10, trust_env=False) as http:
            while not over():
                http.cookies.clear()  # with a session's cookie, calls would wait for each other
                await asyncio.gather(*(self._act(http) for _ in range(4)))
                await asyncio.sleep(4 / per_second)

    async def _act(self, http: httpx.AsyncClient) -> None:
        try:
            if self._chance.random() < _OPENS:
                await self._open(http)
                return
            table, sys_id = self._chance.choice(self._tickets)
            for _ in range(2 if self._chance.random() < _TWICE else 1):
                urgency = str(self._chance.randint(1, 3))
                body = {"short_description": f"seen {self._chance.randrange(10**9)}", "urgency": urgency}
                answer = await http.patch(f"/api/now/table/{table}/{sys_id}", json=body)
                self.done += answer.status_code == 200
        except (httpx.HTTPError, ValueError):
            return  # the answer was lost or cut; whether it was done is what the instance shows

    async def _open(self, http: httpx.AsyncClient) -> None:
        table = self._chance.choice(TABLES)
        body = {"short_description": f"opened {self._chance.randrange(10**9)}"}
        answer = await http.post(f"/api/now/table/{table}", json=body)
        if answer.status_code == 201:
            self._tickets.append((table, answer.json()["result"]["sys_id"]))
            self.done += 1
