"""What the resource providers share: an API over one store, whose changes go to the journal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

from local.azure.arm.paging import page
from local.azure.call import Call
from local.azure.inventory import Inventory
from local.azure.settings import Settings
from local.azure.times import iso7
from local.simulator_kit.calls import Answer
from local.simulator_kit.clock import Clock
from local.simulator_kit.journal import Journal

StoreT = TypeVar("StoreT")


class Provider(Generic[StoreT]):
    """Base of a resource provider's API."""

    def __init__(
        self,
        store: StoreT,
        inventory: Inventory,
        clock: Clock,
        journal: Journal,
        settings: Callable[[], Settings],
    ) -> None:
        self._store = store
        self._inventory = inventory
        self._clock = clock
        self._journal = journal
        self._settings = settings

    def _page(self, call: Call, items: list[dict[str, Any]]) -> Answer:
        """A page of items, as lists answer whose page size the client cannot choose."""
        shown, link = page(call, items, self._settings().arm_page_size)
        return Answer(200, {"value": shown, **({"nextLink": link} if link else {})})

    def _record(self, call: Call, target: str, before: Any, after: Any) -> None:
        """Write a change to the journal; None stands for absent."""
        self._journal.record(call, iso7(self._clock.now()), target, before, after)
