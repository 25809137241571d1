"""Microsoft Graph: ``GET /applications(appId='...')``, as far as its secrets and certificates go.

Source: Microsoft Graph docs, "Get application" (permissions Application.Read.All, or Application.ReadWrite.OwnedBy for
an owner), "passwordCredential resource type" (secretText is null in every answer but that of addPassword; hint holds
the first three characters) and "keyCredential resource type" (key is null unless it is selected). Registrations are
visible in their own tenant only: here, the first one that has a principal of the application.
"""

from __future__ import annotations

import base64
import re
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA1

from local.azure.call import Call, Refusal
from local.azure.directory import Application, Directory, Secret
from local.azure.times import iso0
from local.simulator_kit.calls import Answer
from local.simulator_kit.clock import Clock

_READ_ALL = frozenset({"Application.Read.All", "Application.ReadWrite.All", "Directory.Read.All"})
_OWNED = "Application.ReadWrite.OwnedBy"
_NAMED = re.compile(r"applications\(appid='([^']*)'\)", re.IGNORECASE)

#: Makes a refusal in Graph's shape: of a request, its status, code and text.
RefusalOf = Callable[[Call, int, str, str], Refusal]


def is_application(segments: list[str]) -> bool:
    """Do the parts of an address name one application by its client id?"""
    return len(segments) == 2 and bool(_NAMED.fullmatch(segments[1]))


class Applications:
    """Answers requests for one application."""

    def __init__(self, directory: Callable[[], Directory], clock: Clock) -> None:
        self._directory = directory
        self._clock = clock

    def serve(self, call: Call, segment: str, refusal: RefusalOf) -> Answer:
        """Answer one prepared request.

        Raises:
            Refusal: 403 without the right, 404 in another tenant, 405.
        """
        if call.method != "GET":
            text = "Specified HTTP method is not allowed for the request target."
            raise refusal(call, 405, "Request_BadRequest", text)
        named = _NAMED.fullmatch(segment)
        wanted = named[1].lower() if named else ""
        roles = set(call.who.roles)
        # Here every application owns its own registration and no other.
        if not (roles & _READ_ALL or (_OWNED in roles and wanted == call.who.client_id)):
            text = "Insufficient privileges to complete the operation."
            raise refusal(call, 403, "Authorization_RequestDenied", text)
        directory = self._directory()
        found = next((one for one in directory.applications if one.client_id == wanted), None)
        if found is None or self._home(directory, wanted) != call.who.tenant:
            text = (
                f"Resource '{wanted}' does not exist or one of its queried reference-property objects are not present."
            )
            raise refusal(call, 404, "Request_ResourceNotFound", text)
        whole = self._shown(found)
        chosen = [name.strip() for name in call.param("$select").split(",") if name.strip()]
        shown = {name: whole[name] for name in chosen if name in whole} if chosen else whole
        return Answer(200, {"@odata.context": f"{call.base_url}/v1.0/$metadata#applications/$entity", **shown})

    @staticmethod
    def _home(directory: Directory, client_id: str) -> str:
        return next((one.tenant for one in directory.principals if one.client_id == client_id), "")

    def _shown(self, one: Application) -> dict[str, Any]:
        return {
            "id": str(uuid.uuid5(uuid.NAMESPACE_OID, one.client_id)),
            "appId": one.client_id,
            "displayName": one.name,
            "passwordCredentials": [self._secret(secret) for secret in one.secrets],
            "keyCredentials": [_key(certificate) for certificate in one.certificates],
        }

    def _secret(self, secret: Secret) -> dict[str, Any]:
        far = self._clock.now().replace(year=2299, month=12, day=31)  # where a secret never ends
        ends = far if secret.expires is None else datetime.fromtimestamp(secret.expires, UTC)
        return {
            "customKeyIdentifier": None,
            "displayName": "bridge",
            "endDateTime": iso0(ends),
            "hint": secret.value[:3],
            "keyId": str(uuid.uuid5(uuid.NAMESPACE_OID, secret.value)),
            "secretText": None,
            "startDateTime": "2026-01-01T00:00:00Z",
        }


def _key(certificate: x509.Certificate) -> dict[str, Any]:
    thumbprint = certificate.fingerprint(SHA1())
    return {
        "customKeyIdentifier": base64.b64encode(thumbprint).decode(),
        "displayName": "CN=bridge",
        "endDateTime": iso0(certificate.not_valid_after_utc),
        "key": None,
        "keyId": str(uuid.uuid5(uuid.NAMESPACE_OID, thumbprint.hex())),
        "startDateTime": iso0(certificate.not_valid_before_utc),
        "type": "AsymmetricX509Cert",
        "usage": "Verify",
    }
