"""Application settings: the environment, local.settings.json, ``%NAME%`` and connections.

Sources: Microsoft Learn, "Develop Azure Functions locally" (local.settings.json), "Azure Functions binding
expressions" (app settings), "Storage queue trigger" (connections).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

from local.host.errors import HostError

_REFERENCE = re.compile(r"%([^%]+)%")
DEFAULT_CONNECTION = "AzureWebJobsStorage"


def read_settings(app: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """All settings of the app: ``Values`` of local.settings.json, and the environment, which wins.

    Raises HostError when the file is there and cannot be used.
    """
    file = app / "local.settings.json"
    try:
        text = file.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        return dict(environment)
    try:
        content = json.loads(text)
    except ValueError as error:
        raise HostError(f"{file} is not JSON: {error}") from None
    values = content.get("Values", {}) if isinstance(content, dict) else None
    if not isinstance(values, dict) or not all(isinstance(value, str) for value in values.values()):
        raise HostError(f'{file}: "Values" has to be an object whose values are all text, as in {{"NAME": "1"}}')
    if content.get("IsEncrypted"):
        raise HostError(f"{file} is encrypted; decrypt it with: func settings decrypt")
    return {**values, **environment}


def expand(text: str, settings: Mapping[str, str], where: str) -> str:
    """Replace each ``%NAME%`` by the setting's value. Raises HostError, naming ``where``, for one that is not set."""

    def value(match: re.Match[str]) -> str:
        try:
            return settings[match[1]]
        except KeyError:
            raise HostError(f"{where}: '%{match[1]}%' does not resolve, there is no setting {match[1]}") from None

    return _REFERENCE.sub(value, text)


def connection_string(name: str, settings: Mapping[str, str], where: str) -> str:
    """The storage connection that a binding names: setting ``AzureWebJobs<name>``, else ``<name>``.

    Raises HostError when it is not set, or is a connection with an identity, which needs Azure.
    """
    name = name or DEFAULT_CONNECTION
    for setting in (f"AzureWebJobs{name}", name):
        if settings.get(setting):
            return settings[setting]
        if any(other.startswith(f"{setting}__") for other in settings):
            raise HostError(
                f"{where}: connection {name} uses an identity, which works in Azure only; "
                f"set {name} to a connection string, for Azurite: UseDevelopmentStorage=true"
            )
    raise HostError(f"{where}: there is no setting {name}; for Azurite set {name}=UseDevelopmentStorage=true")
