"""Services that are built when they are first used, and closed without a list that could forget one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Generic, TypeVar, overload

T = TypeVar("T")


class Closing:
    """Base of whatever has ``service`` properties: closes what was built, the newest first."""

    def __init__(self) -> None:
        self._closers: list[Callable[[], Awaitable[object]]] = []

    def built(self, value: object) -> None:
        """Remember a service that was just built."""
        closer = getattr(value, "aclose", None)
        if closer is not None:
            self._closers.append(closer)

    async def aclose(self) -> None:
        """Close every service that was built. A failure leaves none of the others open and is raised at last."""
        failure: Exception | None = None
        while self._closers:
            try:
                await self._closers.pop()()
            except Exception as error:  # whatever it is, the others still have to be closed
                failure = failure or error
        if failure is not None:
            raise failure


class service(Generic[T]):  # noqa: N801 - it is used as a decorator, as property is
    """A property that is computed once. What it gives is closed with its owner when it has an ``aclose``."""

    def __init__(self, build: Callable[[Any], T]) -> None:
        self._build = build
        self._name = build.__name__
        self.__doc__ = build.__doc__

    @overload
    def __get__(self, owner: None, kind: type[Any]) -> service[T]: ...

    @overload
    def __get__(self, owner: Closing, kind: type[Any]) -> T: ...

    def __get__(self, owner: Closing | None, kind: type[Any]) -> service[T] | T:
        if owner is None:
            return self
        value = self._build(owner)
        owner.__dict__[self._name] = value  # found before this descriptor from now on
        owner.built(value)
        return value
