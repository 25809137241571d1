"""Work on many things, a limited number of them at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


async def for_each(items: Iterable[T], work: Callable[[T], Awaitable[R]], *, limit: int) -> list[R]:
    """Do the same for all items; the results in the order of the items.

    Args:
        items: taken one by one, as workers become free.
        work: what is done with one item.
        limit: how many items are worked on at the same time.

    Raises the first exception of ``work``. After it no further item is begun; work that is under way then is brought to
    its end, so that no call is cut off in the middle. When the caller is cancelled, all work is cancelled.
    """
    waiting = enumerate(items)
    results: dict[int, R] = {}
    failures: list[Exception] = []

    async def worker() -> None:
        for number, item in waiting:
            try:
                results[number] = await work(item)
            except Exception as error:
                failures.append(error)
            if failures:
                return

    try:
        async with asyncio.TaskGroup() as workers:
            for _ in range(limit):
                workers.create_task(worker())
    except BaseExceptionGroup as failed:  # something that is no Exception: it ends everything
        raise failed.exceptions[0] from None
    if failures:
        raise failures[0]
    return [results[number] for number in sorted(results)]
