"""What a function is to the host: its trigger, its outputs and how to call it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class HttpTrigger:
    """``arg`` receives the request. ``methods`` are upper case, None for all. ``level`` is anonymous, function or
    admin."""

    arg: str
    route: str
    methods: frozenset[str] | None
    level: str


@dataclass(frozen=True, slots=True)
class QueueTrigger:
    """``arg`` receives the message, or only its text. ``connection`` is a connection string."""

    arg: str
    queue: str
    connection: str
    as_text: bool = False


@dataclass(frozen=True, slots=True)
class TimerTrigger:
    """``arg`` receives the timer. ``schedule`` is an NCRONTAB expression."""

    arg: str
    schedule: str
    run_on_startup: bool
    use_monitor: bool


@dataclass(frozen=True, slots=True)
class QueueOutput:
    """``arg`` is the ``Out`` parameter's name, or ``$return``. ``connection`` is a connection string."""

    arg: str
    queue: str
    connection: str


@dataclass(frozen=True, slots=True)
class Function:
    """One function of the app.

    ``call`` is the user's function. ``wants_context`` says that it has a parameter named context.
    """

    name: str
    call: Callable[..., Any]
    is_async: bool
    trigger: HttpTrigger | QueueTrigger | TimerTrigger
    outputs: tuple[QueueOutput, ...] = ()
    wants_context: bool = False
