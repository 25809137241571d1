"""What every command needs: the settings, the services, the consoles, and one way to fail."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import NoReturn, TypeVar

import typer
from rich.console import Console

from app.container import Container
from shared.core.errors import BridgeError

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)

T = TypeVar("T")

_settings: dict[str, str] = {}


def use_settings(values: Mapping[str, str]) -> None:
    """Set the app settings that :func:`run` gives to the services."""
    _settings.clear()
    _settings.update(values)


def settings() -> Mapping[str, str]:
    """The app settings of this command."""
    return _settings


def fail(message: str, code: int = 2) -> NoReturn:
    """Print an error and end with an exit code: 2 for wrong usage, 1 for everything else.

    Raises:
        typer.Exit: always.
    """
    err.print(message, style="red", markup=False)
    raise typer.Exit(code)


def run(work: Callable[[Container], Awaitable[T]]) -> T:
    """Run async work with services.

    Raises:
        typer.Exit: with code 1 on a ``BridgeError``, after one line that says it.
    """

    async def go() -> T:
        services = Container(_settings)
        try:
            return await work(services)
        finally:
            await services.aclose()

    try:
        return asyncio.run(go())
    except BridgeError as error:
        fail(str(error), 1)
