"""Secrets by name. A configuration holds names only; values come from here, at the moment they are needed."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, runtime_checkable

from shared.core.errors import SecretMissing


class SecretSource(Protocol):
    """Gives the value of a named secret."""

    async def get(self, name: str, *, refresh: bool = False) -> str:
        """Return the secret's value.

        Args:
            name: as in bridge.yaml, e.g. ``desk-password`` (letters, digits and dashes, the form that Key
                Vault allows).
            refresh: read it anew instead of from a cache, because the value at hand was just refused.

        Raises:
            SecretUnavailable: it does not exist or could not be read; the message names the secret and the fix.
        """
        ...

    async def aclose(self) -> None:
        """Close connections."""
        ...


@dataclass(frozen=True, slots=True)
class SecretEnd:
    """What a source of secrets knows of a secret beside its value.

    Attributes:
        ends: when the version in use ends, UTC; None when it was stored without an end.
        usable: versions that are enabled and have not ended: two while a new one replaces an old one.
        replace: the command that stores a new value, with placeholders for what it cannot know.
    """

    ends: datetime | None = None
    usable: int = 1
    replace: str = ""


@runtime_checkable
class KnowsEnds(Protocol):
    """Optional part of a source of secrets: until when each is meant to be used."""

    async def end_of(self, name: str) -> SecretEnd:
        """When a secret ends, without reading its value where that is possible. Raises SecretUnavailable."""
        ...


@runtime_checkable
class SecretKeeper(SecretSource, Protocol):
    """A source that also takes values: a key vault. All methods raise SecretUnavailable."""

    async def expires_on(self, name: str, *, refresh: bool = False) -> datetime | None:
        """When the secret's present value ends, UTC; None where that is not noted."""
        ...

    async def put(self, name: str, value: str, expires_on: datetime | None) -> None:
        """Keep a value as the secret's newest version, or note another end of the present one."""
        ...

    async def disable(self, name: str) -> bool:
        """Let the present value be read no more; False when there is none."""
        ...


def setting_name(secret: str) -> str:
    """The application setting that holds a secret where no vault is configured: ``a-name`` -> ``A_NAME``."""
    return secret.upper().replace("-", "_")


class SettingSecrets:
    """Secrets from application settings: local.settings.json here, Key Vault references in Azure."""

    def __init__(self, settings: Mapping[str, str] | None = None) -> None:
        self._settings: Mapping[str, str] = os.environ if settings is None else settings

    async def get(self, name: str, *, refresh: bool = False) -> str:
        del refresh  # settings are read each time
        value = self._settings.get(setting_name(name), "")
        if not value:
            raise SecretMissing(
                f"secret '{name}' has no value: set {setting_name(name)} in local.settings.json (Values) or in the "
                f"environment, or set KEY_VAULT_URL and add a secret '{name}' to that vault"
            )
        return value

    async def aclose(self) -> None:
        """Nothing to close."""
