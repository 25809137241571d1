"""Is a response what the docs print? Members and words are compared; ids, numbers, moments and links are not."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any


def differences(printed: Any, real: Any, data: tuple[str, ...], path: str = "") -> Iterator[str]:
    """How a response differs from what is printed; nothing when it does not.

    Args:
        printed: the example; ``...`` in a text stands for anything.
        real: the response of the running bridge.
        data: paths of objects whose members are data.
        path: of these two values, for the text.
    """
    where = path or "the response"
    if printed is None or real is None:
        return
    if isinstance(printed, dict) and isinstance(real, dict):
        if path in data:
            return
        for name in printed.keys() - real.keys():
            yield f"{where} has no member {name!r}"
        for name in real.keys() - printed.keys():
            yield f"{where} also has the member {name!r}: {real[name]!r}"
        for name in printed.keys() & real.keys():
            yield from differences(printed[name], real[name], data, f"{path}.{name}".lstrip("."))
    elif isinstance(printed, list) and isinstance(real, list):
        if printed and not real:
            yield f"{where} is an empty list"
        if printed and real:
            yield from differences(printed[0], real[0], data, path)
    elif type(printed) is not type(real) or not _fits(printed, real):
        yield f"{where} is {real!r}, printed is {printed!r}"


def _fits(printed: Any, real: Any) -> bool:
    if not isinstance(printed, str):
        return not isinstance(printed, bool) or printed == real
    if printed.startswith("https://"):
        return bool(re.match(r"https?://", real))
    if any(character.isdigit() for character in printed):
        return any(character.isdigit() for character in real)
    return bool(re.fullmatch(".*".join(map(re.escape, printed.split("..."))), real, re.DOTALL))
