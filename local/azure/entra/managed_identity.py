"""The identity endpoint that App Service gives an app, over plain http on the machine itself.

Source: App Service docs, "Use managed identities for App Service and Azure Functions", "REST endpoint reference":
``GET $IDENTITY_ENDPOINT?resource=&api-version=2019-08-01`` with the header ``X-IDENTITY-HEADER``.
"""

from __future__ import annotations

import secrets

from local.azure.call import Call
from local.azure.directory import Principal
from local.azure.entra.tokens import Tokens
from local.simulator_kit.calls import Answer

PATH = "/msi/token"
_API_VERSION = "2019-08-01"
#: The identity of the app when none is asked for.
_SYSTEM = "bridge-app"


class ManagedIdentity:
    """Answers the identity endpoint. ``header`` is what the app has in ``IDENTITY_HEADER``."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens
        self.header = secrets.token_hex(16)

    def serve(self, call: Call) -> Answer:
        """Answer one request; errors are ``{"statusCode", "message"}``."""
        if call.method != "GET":
            return _error(405, "The requested resource does not support http method.")
        if not secrets.compare_digest(call.headers.get("X-IDENTITY-HEADER", ""), self.header):
            return _error(401, "The X-IDENTITY-HEADER header is missing or wrong.")
        if call.param("api-version") != _API_VERSION:
            return _error(400, "The api-version is missing or not supported.")
        resource = call.param("resource")
        if not resource:
            return _error(400, "The resource parameter is missing.")
        principal = self._asked(call)
        if principal is None:
            return _error(400, "No Managed Identity found for specified ClientId/ResourceId/PrincipalId.")
        call.entry.user = principal.name
        api = self._tokens.directory.api(resource)
        if api is None:
            return _error(400, f"The resource principal named {resource} was not found in the tenant.")
        issued = self._tokens.issue(principal, api, resource, "2")
        return Answer(
            200,
            {
                "access_token": issued.token,
                "expires_on": str(issued.expires_on),
                "resource": resource,
                "token_type": "Bearer",
                "client_id": principal.client_id,
            },
        )

    def _asked(self, call: Call) -> Principal | None:
        identities = [one for one in self._tokens.directory.principals if one.managed]
        for name, value in (
            ("client_id", "client_id"),
            ("principal_id", "object_id"),
            ("object_id", "object_id"),
            ("mi_res_id", "resource_id"),
        ):
            wanted = call.param(name).lower()
            if wanted:
                return next((one for one in identities if getattr(one, value).lower() == wanted), None)
        return next((one for one in identities if one.name == _SYSTEM), None)


def _error(status: int, message: str) -> Answer:
    return Answer(status, {"statusCode": status, "message": message})
