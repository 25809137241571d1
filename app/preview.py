"""Previews with what only ticket systems know: the values of the templates that routes name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from app.container import Container


async def preview_with_templates(
    services: Container, body: dict[str, Any] | list[Any], *, budgeted: bool = True
) -> list[dict[str, Any]]:
    """As ``Container.preview``, with the values of templates. Ticket systems are read for them; nothing is written.

    Args:
        services: of the process.
        body: of a request to the webhook.
        budgeted: the calls keep to the shared budget; see ``Container.system``.

    Raises ConfigurationError.
    """
    from shared.operations.preview_templates import fill_in_templates

    items = services.preview(body)
    await fill_in_templates(items, services.mapper, lambda name: services.system(name, budgeted=budgeted))
    return items
