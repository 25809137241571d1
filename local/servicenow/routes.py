"""What an address of the REST API is: a pattern, its methods, and what is known of it before it is served."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from local.servicenow.exchange import Call
from local.simulator_kit.calls import Answer

#: Takes the call and the named groups of the path.
Handler = Callable[[Call, dict[str, str]], Answer]


@dataclass(frozen=True, slots=True)
class Route:
    """One address with its methods. ``table`` names the table it works on when the path does not.

    ``elsewhere``: methods that lead nowhere here (400), where others are answered 405. ``any_media``: the answer is not
    JSON, so Accept does not matter.
    """

    pattern: re.Pattern[str]
    methods: dict[str, Handler]
    table: str = ""
    elsewhere: tuple[str, ...] = ()
    any_media: bool = False


def route(
    pattern: str,
    methods: dict[str, Handler],
    *,
    table: str = "",
    elsewhere: tuple[str, ...] = (),
    any_media: bool = False,
) -> Route:
    """A route from the text of its pattern, which has to match the whole path."""
    return Route(re.compile(pattern), methods, table, elsewhere, any_media)
