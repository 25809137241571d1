"""A blob lease that one process of many holds: what makes a timer run in one of them only.

Azure's host does the same, with blobs in the container azure-webjobs-hosts. Sources: Microsoft Learn, "Timer trigger
for Azure Functions" (scale-out) and "Lease Blob" of the Blob Storage REST API.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable

from local.host.host_json import SingletonOptions
from local.storage_rest import Container, StorageError

_logger = logging.getLogger("local.host")
CONTAINER = "azure-webjobs-hosts"


class Singleton:
    """Runs a piece of work for as long as this process holds the lease, and waits for the lease otherwise."""

    def __init__(self, container: Container, blob: str, options: SingletonOptions) -> None:
        self._container = container
        self._blob = blob
        self._options = options

    async def run(self, work: Callable[[], Awaitable[None]]) -> None:
        """Do ``work`` under the lease. Ends when cancelled; the lease is then given back.

        When the lease is lost (storage unreachable for its whole time), the work is cancelled and this process waits
        for the lease again.
        """
        reachable = True
        while True:
            try:
                lease = await self._acquire()
                reachable = True
            except StorageError as error:
                if reachable:
                    _logger.warning("no lease on %s, trying on: %s", self._blob, error)
                reachable, lease = False, None
            if lease is not None:
                await self._hold(lease, work)
            await asyncio.sleep(self._options.retry)

    async def _acquire(self) -> str | None:
        try:
            return await self._container.acquire_lease(self._blob, self._options.lease)
        except StorageError as error:
            if error.status != 404:
                raise
        await self._container.create()
        await self._container.write(self._blob, b"", only_new=True)
        return await self._container.acquire_lease(self._blob, self._options.lease)

    async def _hold(self, lease: str, work: Callable[[], Awaitable[None]]) -> None:
        task = asyncio.ensure_future(work())
        keeper = asyncio.create_task(self._renew(lease), name=f"lease {self._blob}")
        try:
            await asyncio.wait((task, keeper), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in (task, keeper):
                one.cancel()
            await asyncio.wait((task, keeper))
            with contextlib.suppress(StorageError):  # it ends by itself
                await self._container.release_lease(self._blob, lease)
        if not task.cancelled():
            task.result()

    async def _renew(self, lease: str) -> None:
        """Renew at a third of the lease; returns when it is lost."""
        loop = asyncio.get_running_loop()
        ends = loop.time() + self._options.lease
        while True:
            await asyncio.sleep(self._options.lease / 3)
            try:
                asked = loop.time()
                await self._container.renew_lease(self._blob, lease)
                ends = asked + self._options.lease
            except StorageError as error:
                if error.status in (404, 409, 412) or loop.time() >= ends - self._options.lease / 3:
                    _logger.warning("lost the lease on %s: %s", self._blob, error)
                    return
