"""Until when Entra accepts the client secrets and certificates of app registrations, where Graph may be asked.

Nobody can read a client secret's end from the secret. Graph shows it to an application that has the permission
Application.Read.All, or Application.ReadWrite.OwnedBy and owns the registration. Which of several secrets is ours, its
first three characters tell; of a certificate, its thumbprint.

Sources: Microsoft Graph docs, "Get application" (``applications(appId='...')``, permissions), "passwordCredential
resource type" (``hint``: the first three characters, ``endDateTime``), "keyCredential resource type"
(``customKeyIdentifier`` is the thumbprint where none was given).
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel

from connectors.microsoft.clients import MicrosoftClients
from connectors.microsoft.rest import RestClient
from connectors.microsoft.settings import SignIn
from shared.core.clouds import CloudName
from shared.core.errors import SecretUnavailable, SourceError, SourceRefused
from shared.core.secrets import SecretSource
from shared.operations.credentials import EndElsewhere
from shared.platform.certificates import certificate_thumbprints

#: What an answer without the permission, or for an application of another tenant, has.
_NOT_SHOWN = frozenset({401, 403, 404})


@dataclass(frozen=True, slots=True)
class _SignsIn:
    """A sign-in of the configuration, and the cloud of its tenant."""

    cloud: CloudName
    sign_in: SignIn


async def registered_ends(
    config: BaseModel, clients: MicrosoftClients, secrets: SecretSource
) -> dict[str, EndElsewhere]:
    """The ends that Graph shows, by name of the secret. What Graph does not let us see is missing.

    Args:
        config: the configuration; every ``sign_in`` in it is looked at, whatever section it is in.
        clients: of Microsoft's services.
        secrets: gives the values, whose first characters or thumbprint tell which registered one they are.
    """
    found: dict[str, EndElsewhere] = {}
    for one in dict.fromkeys(_sign_ins(config, "public")):
        reference = one.sign_in.client_secret or one.sign_in.certificate
        if reference is not None:
            end = await _end(one, reference.secret, clients, secrets)
            if end is not None:
                found[reference.secret] = _sooner(found.get(reference.secret), end)
    return found


def _sooner(known: EndElsewhere | None, new: EndElsewhere) -> EndElsewhere:
    """What holds for a secret that two applications use: what could not be read, then the earlier end."""
    if known is None or new.ends is None:
        return new
    return known if known.ends is None or known.ends <= new.ends else new


def _sign_ins(value: Any, cloud: CloudName) -> Iterator[_SignsIn]:
    if isinstance(value, SignIn):
        yield _SignsIn(cloud, value)
    elif isinstance(value, BaseModel):
        within = getattr(value, "cloud", None) or cloud
        for name in type(value).model_fields:
            yield from _sign_ins(getattr(value, name), within)
    elif isinstance(value, Mapping):
        for one in value.values():
            yield from _sign_ins(one, cloud)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _sign_ins(one, cloud)


async def _end(one: _SignsIn, secret: str, clients: MicrosoftClients, secrets: SecretSource) -> EndElsewhere | None:
    graph = RestClient(
        "Microsoft Graph",
        clients.credential(one.cloud, one.sign_in),
        clients.graph(one.cloud),
        {},
        transport=clients.connections(one.cloud),
    )
    path = f"/v1.0/applications(appId='{one.sign_in.client_id}')"
    try:
        registered = await graph.get(path, {"$select": "appId,passwordCredentials,keyCredentials"})
        value = await secrets.get(secret)
    except SourceRefused as error:
        # Without a status the sign-in itself was refused: the secret may have ended, so what is known of it must stay.
        return None if error.status in _NOT_SHOWN else EndElsewhere(problem=str(error))
    except (SourceError, SecretUnavailable) as error:
        return EndElsewhere(problem=str(error))
    finally:
        await graph.aclose()
    if one.sign_in.client_secret is not None:
        return _earliest(_items(registered, "passwordCredentials"), lambda item: value[:3] == item.get("hint"))
    try:
        thumbprints = certificate_thumbprints(value)
    except ValueError:  # the reading of the secret itself says so
        return None
    return _earliest(
        _items(registered, "keyCredentials"), lambda item: _thumbprint(item.get("customKeyIdentifier")) in thumbprints
    )


def _items(registered: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    found = registered.get(name)
    return [item for item in found if isinstance(item, Mapping)] if isinstance(found, list) else []


def _earliest(items: list[Mapping[str, Any]], is_ours: Callable[[Mapping[str, Any]], bool]) -> EndElsewhere | None:
    """The end of ours. Of several that look like ours the earliest: a warning too much does no harm."""
    ends = [end for item in items if is_ours(item) and (end := _time(item.get("endDateTime"))) is not None]
    return EndElsewhere(min(ends)) if ends else None


def _time(text: Any) -> datetime | None:
    try:
        return datetime.fromisoformat(str(text)).astimezone(UTC)
    except ValueError:
        return None


def _thumbprint(text: Any) -> str:
    """A thumbprint as lower-case hexadecimal; Graph gives it as such, or as base64 of its twenty bytes."""
    identifier = str(text or "")
    if len(identifier) == 40:
        return identifier.lower()
    try:
        return bytes(base64.b64decode(identifier, validate=True)).hex()
    except (binascii.Error, ValueError):
        return ""
