"""What payloads would become, by the configuration and the sources of the app."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from app import sources
from shared.core.signal import Signal, Unreadable
from shared.operations.preview import preview
from shared.payloads.parse import parse

if TYPE_CHECKING:
    from app.container import Container

_Items = Sequence[Signal | Unreadable]


class Previews:
    """Makes previews. Nothing is written; only :meth:`tagged` and :meth:`filled` call anything."""

    def __init__(self, services: Container) -> None:
        self._services = services

    def parsed(self, body: dict[str, Any] | list[Any]) -> list[Signal | Unreadable]:
        """The items of a body, in order."""
        registry = self._services.registry
        return parse(body, self._services.now(), registry.schemas, registry.foreign)

    async def tagged(self, items: _Items) -> list[Signal | Unreadable]:
        """Items with the tags of their resources, read from their cloud where they are needed; what was odd is among
        the warnings of a signal. Raises ConfigurationError."""
        add = self._services.tags
        found: list[Signal | Unreadable] = []
        for item in items:
            if add is not None and isinstance(item, Signal):
                signal, warnings = await add.tagged(item)
                item = replace(signal, warnings=(*signal.warnings, *warnings))
            found.append(item)
        return found

    def shown(self, items: _Items, *, tags_read: bool = False) -> list[dict[str, Any]]:
        """What items would become; see ``shared.operations.preview``. Raises ConfigurationError.

        Args:
            items: of :meth:`parsed` or :meth:`tagged`.
            tags_read: they are of the latter.
        """
        services = self._services
        by_source = partial(sources.preview, services.sources)
        return preview(items, services.mapper, by_source, services.registry.traps, tags_read=tags_read)

    async def filled(self, shown: list[dict[str, Any]], *, budgeted: bool = True) -> list[dict[str, Any]]:
        """Previews with the values of the templates that routes name, read from their ticket systems.

        Args:
            shown: of :meth:`shown`.
            budgeted: the calls keep to the shared budget; see ``Container.system``.

        Raises ConfigurationError.
        """
        from shared.operations.preview_templates import fill_in_templates

        services = self._services
        await fill_in_templates(shown, services.mapper, lambda name: services.system(name, budgeted=budgeted))
        return shown
