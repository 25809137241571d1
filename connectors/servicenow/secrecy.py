"""Keeps secrets out of whatever is printed: representations, formatted local variables, quoted answers."""

from __future__ import annotations

import base64
from collections import OrderedDict
from urllib.parse import quote, quote_plus

MASK = "***"

#: Values remembered for redaction. Tokens change every half hour; older ones are dead.
_MOST_KNOWN = 64


class Secret(str):
    """Text whose representation does not show it.

    Libraries that format local variables (and dictionaries that hold such values) use the representation.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return repr(MASK)


class Redactor:
    """Knows the secrets in use and takes them out of text that others send us."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, None] = OrderedDict()

    def __repr__(self) -> str:
        return f"<Redactor of {len(self._known)} values>"

    def learn(self, *values: str) -> None:
        """Remember values, in the spellings in which a request carries them."""
        for value in values:
            if not value:
                continue
            for spelling in dict.fromkeys((value, quote_plus(value), quote(value, safe=""), _base64(value))):
                self._known[spelling] = None
                self._known.move_to_end(spelling)
        while len(self._known) > _MOST_KNOWN:
            self._known.popitem(last=False)

    def clean(self, text: str) -> str:
        """``text`` with every known secret replaced by three asterisks."""
        for value in sorted(self._known, key=len, reverse=True):
            text = text.replace(value, MASK)
        return text


def _base64(value: str) -> str:
    return base64.b64encode(value.encode()).decode()
