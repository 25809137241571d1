"""Function keys and the admin key (which Azure calls master key).

Source: Microsoft Learn, "Work with access keys in Azure Functions".
"""

from __future__ import annotations

import hmac
import json
import secrets
from dataclasses import dataclass, field
from pathlib import Path

from local.host.errors import HostError


@dataclass(frozen=True, slots=True)
class Keys:
    """``function`` keys open functions of level function; the ``admin`` key opens everything."""

    function: tuple[str, ...] = field(repr=False)
    admin: str = field(repr=False)

    def open(self, level: str, given: str) -> bool:
        """May the bearer of ``given`` call a function of this level? A wrong key takes as long as a right one."""
        if level == "anonymous":
            return True
        accepted = (self.admin,) if level == "admin" else (*self.function, self.admin)
        data = given.encode(errors="surrogateescape")  # a header may hold any bytes
        matches = [hmac.compare_digest(data, key.encode()) for key in accepted]  # each key, whichever matches
        return True in matches


def new_key() -> str:
    """A key that nobody can guess, safe in a URL."""
    return secrets.token_urlsafe(32)


def make_keys(function: list[str], admin: str | None, file: Path | None) -> Keys:
    """The keys to use: those given, then those of the file, then new ones.

    The file is JSON, ``{"function": ["..."], "admin": "..."}``. Raises HostError when it cannot be read as that, or a
    key is empty.
    """
    stored: dict[str, object] = {}
    if file is not None:
        try:
            stored = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise HostError(f"keys file {file} cannot be read: {error}") from None
    chosen = function or stored.get("function") or [new_key()]
    admin = admin or str(stored.get("admin") or new_key())
    if not isinstance(chosen, list) or not all(isinstance(key, str) and key for key in chosen):
        raise HostError("function keys have to be texts that are not empty")
    return Keys(tuple(chosen), admin)
