"""Tags of resources that routes and templates ask for: read from the cloud before a signal is routed.

The signal waits some seconds at most. Without an answer it goes on with what was known before, or without tags, and its
outcome says so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from shared.core.messages import SignalMessage
from shared.core.outcome import Outcome
from shared.core.signal import Resource, Signal
from shared.delivery.stages import Attempt


@dataclass(frozen=True, slots=True)
class TaggedResources:
    """Resources with the tags that are known of them, in their order; and what was odd, one sentence each."""

    resources: tuple[Resource, ...]
    warnings: tuple[str, ...] = ()


class TagReader(Protocol):
    """Reads the tags of resources from their cloud."""

    async def read(self, resources: Sequence[Resource]) -> TaggedResources:
        """The resources with their tags, within some seconds. Never raises a BridgeError: what cannot be read is a
        warning."""
        ...


class AddTags:
    """Adds tags to the resources of a signal whose route or fields need them.

    Args:
        reader: of the cloud.
        needed: whether a signal needs them.
    """

    def __init__(self, reader: TagReader, needed: Callable[[Signal], bool]) -> None:
        self._reader = reader
        self._needed = needed

    async def run(self, message: SignalMessage, attempt: Attempt) -> SignalMessage | Outcome:
        """See :class:`shared.delivery.stages.Stage`."""
        signal, warnings = await self.tagged(message.signal)
        attempt.warnings += warnings
        return message if signal is message.signal else replace(message, signal=signal, claim="")

    async def tagged(self, signal: Signal) -> tuple[Signal, tuple[str, ...]]:
        """The signal with tags, itself where it needs none or none were found; and what was odd."""
        if not self._needed(signal):
            return signal, ()
        found = await self._reader.read(signal.resources)
        if found.resources == signal.resources:
            return signal, found.warnings
        return replace(signal, resources=found.resources), found.warnings
