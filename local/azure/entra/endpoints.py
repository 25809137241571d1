"""Token endpoints (v1 and v2), OpenID documents, keys and instance discovery.

Source: Microsoft identity platform docs, "OAuth 2.0 client credentials flow" and "OpenID Connect"; ``/oauth2/token`` is
the v1 endpoint, which takes ``resource`` where v2 takes ``scope``.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any
from urllib.parse import parse_qsl, unquote

from local.azure.call import Call, Refusal
from local.azure.directory import Application, Principal, Tenant
from local.azure.entra.assertion import (
    ASSERTION_TYPE,
    BadAssertion,
    check_assertion,
    check_federated,
    is_federated,
)
from local.azure.entra.errors import correlation_id, entra_error
from local.azure.entra.keys import SigningKeys
from local.azure.entra.tokens import Tokens, issuer
from local.simulator_kit.calls import Answer
from local.simulator_kit.clock import Clock

_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_DOMAIN = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)+")
_OPERATIONS = {
    "oauth2/v2.0/token": "token",
    "oauth2/token": "token",
    "v2.0/.well-known/openid-configuration": "openid-configuration",
    ".well-known/openid-configuration": "openid-configuration",
    "discovery/v2.0/keys": "keys",
    "discovery/keys": "keys",
    "discovery/instance": "instance-discovery",
}
_COMMON = ("common", "organizations", "consumers")


class Entra:
    """Answers the addresses under a tenant."""

    def __init__(self, tokens: Tokens, keys: SigningKeys, clock: Clock) -> None:
        self._tokens = tokens
        self._keys = keys
        self._clock = clock

    def prepare(self, call: Call) -> None:
        """Say what the call is about; scenarios look at it."""
        rest = call.path.strip("/").partition("/")[2].lower()
        call.operation = call.entry.target = _OPERATIONS.get(rest, "")

    def serve(self, call: Call) -> Answer:
        """Answer one request.

        Raises:
            Refusal: with Entra's error body.
        """
        tenant, _, rest = call.path.strip("/").partition("/")
        match (call.method, rest.lower()):
            case ("POST", "oauth2/v2.0/token"):
                return self._token(call, tenant, 2)
            case ("POST", "oauth2/token"):
                return self._token(call, tenant, 1)
            case ("GET", "v2.0/.well-known/openid-configuration"):
                return self._configuration(call, tenant, 2)
            case ("GET", ".well-known/openid-configuration"):
                return self._configuration(call, tenant, 1)
            case ("GET", "discovery/v2.0/keys"):
                return self._key_set(call, tenant, 2)
            case ("GET", "discovery/keys"):
                return self._key_set(call, tenant, 1)
            case ("GET", "discovery/instance"):
                return self._instance(call)
        body = "<html><head><title>Sign in to your account</title></head><body>AADSTS90100</body></html>"
        return Answer(404, raw=body.encode(), content_type="text/html; charset=utf-8")

    def _tenant(self, call: Call, text: str, error: str = "invalid_request") -> Tenant:
        found = self._tokens.directory.tenant(unquote(text))
        if found is not None:
            return found
        if _GUID.fullmatch(text.lower()) or _DOMAIN.fullmatch(text.lower()):
            raise self._error(
                call,
                400,
                error,
                90002,
                f"Tenant '{text}' not found. Check to make sure you have the correct tenant ID.",
            )
        raise self._error(
            call,
            400,
            error,
            900023,
            f"Specified tenant identifier '{text}' is neither a valid DNS name, nor a valid external domain.",
        )

    def _error(self, call: Call, status: int, error: str, code: int, text: str) -> Refusal:
        return entra_error(call, self._clock, status, error, code, text)

    def _token(self, call: Call, tenant_text: str, endpoint: int) -> Answer:
        form = dict(parse_qsl(call.body.decode("utf-8", "replace"), keep_blank_values=True))
        form |= _basic(call.headers.get("Authorization", ""))
        call.entry.user = form.get("client_id") or None
        if tenant_text.lower() in _COMMON:
            text = (
                "No tenant-identifying information found in either the request or implied by any provided credentials."
            )
            raise self._error(call, 400, "invalid_request", 50059, text)
        tenant = self._tenant(call, tenant_text)
        needed = ("grant_type", "client_id", "scope" if endpoint == 2 else "resource")
        for name in needed:
            if not form.get(name):
                text = f"The request body must contain the following parameter: '{name}'."
                raise self._error(call, 400, "invalid_request", 900144, text)
        if form["grant_type"] != "client_credentials":
            text = f"The app requested an unsupported grant type '{form['grant_type']}'."
            raise self._error(call, 400, "unsupported_grant_type", 70003, text)
        application, principal = self._client(call, form["client_id"], tenant)
        call.entry.user = application.name
        method = self._prove(call, form, application, tenant)
        resource = self._resource(call, form, endpoint)
        api = self._tokens.directory.api(resource)
        if api is None:
            text = f"The resource principal named {resource} was not found in the tenant named {tenant.name}."
            raise self._error(call, 400, "invalid_resource", 500011, text)
        issued = self._tokens.issue(principal, api, resource, method)
        body: dict[str, Any] = {"token_type": "Bearer"}
        if endpoint == 2:
            body |= {"expires_in": issued.expires_in, "ext_expires_in": issued.expires_in}
        else:
            body |= {
                "expires_in": str(issued.expires_in),
                "ext_expires_in": str(issued.expires_in),
                "expires_on": str(issued.expires_on),
                "not_before": str(issued.expires_on - issued.expires_in - 300),
                "resource": resource,
            }
        return Answer(200, {**body, "access_token": issued.token}, headers=[("Cache-Control", "no-store, no-cache")])

    def _client(self, call: Call, client_id: str, tenant: Tenant) -> tuple[Application, Principal]:
        directory = self._tokens.directory
        application = next((one for one in directory.applications if one.client_id == client_id.lower()), None)
        principal = directory.principal(tenant.id, client_id) if application else None
        if application is None or principal is None:
            text = f"Application with identifier '{client_id}' was not found in the directory '{tenant.name}'."
            raise self._error(call, 400, "unauthorized_client", 700016, text)
        return application, principal

    def _prove(self, call: Call, form: dict[str, str], application: Application, tenant: Tenant) -> str:
        """How the client proved itself: "1" by a secret, "2" by a certificate or a token that it trusts."""
        if form.get("client_assertion_type") == ASSERTION_TYPE and form.get("client_assertion"):
            assertion, now = form["client_assertion"], self._clock.timestamp()
            try:
                if is_federated(assertion):
                    check_federated(assertion, application, self._keys, now)
                else:
                    check_assertion(assertion, application, tenant.id, call.base_url, now)
            except BadAssertion as error:
                raise self._error(call, 401, "invalid_client", error.code, error.text) from error
            return "2"
        secret = form.get("client_secret")
        if not secret:
            text = "The request body must contain the following parameter: 'client_assertion' or 'client_secret'."
            raise self._error(call, 401, "invalid_client", 7000218, text)
        known = next((one for one in application.secrets if one.value == secret), None)
        if known is None:
            text = f"Invalid client secret provided for app '{application.client_id}'."
            raise self._error(call, 401, "invalid_client", 7000215, text)
        if known.expires is not None and known.expires <= self._clock.timestamp():
            text = f"The provided client secret keys for app '{application.client_id}' are expired."
            raise self._error(call, 401, "invalid_client", 7000222, text)
        return "1"

    def _resource(self, call: Call, form: dict[str, str], endpoint: int) -> str:
        if endpoint == 1:
            return form["resource"]
        scopes = form["scope"].split()
        if len(scopes) > 1:
            text = (
                f"The provided request must include a 'scope' input parameter of one resource, not '{form['scope']}'."
            )
            raise self._error(call, 400, "invalid_scope", 70011, text)
        resource, dot, rest = scopes[0].rpartition("/.default")
        if not dot or rest:
            text = f"The provided value for scope {scopes[0]} is not valid: it needs /.default after the resource."
            raise self._error(call, 400, "invalid_scope", 1002012, text)
        return resource

    def _configuration(self, call: Call, tenant_text: str, version: int) -> Answer:
        tenant = (
            "{tenantid}" if tenant_text.lower() in _COMMON else self._tenant(call, tenant_text, "invalid_tenant").id
        )
        base = f"{call.base_url}/{tenant_text if tenant.startswith('{') else tenant}"
        middle = "/v2.0" if version == 2 else ""
        return _public(
            {
                "token_endpoint": f"{base}/oauth2{middle}/token",
                "token_endpoint_auth_methods_supported": [
                    "client_secret_post",
                    "private_key_jwt",
                    "client_secret_basic",
                ],
                "jwks_uri": f"{base}/discovery{middle}/keys",
                "response_modes_supported": ["query", "fragment", "form_post"],
                "subject_types_supported": ["pairwise"],
                "id_token_signing_alg_values_supported": ["RS256"],
                "response_types_supported": ["code", "id_token", "code id_token", "id_token token"],
                "scopes_supported": ["openid", "profile", "email", "offline_access"],
                "issuer": issuer(tenant, version),
                "authorization_endpoint": f"{base}/oauth2{middle}/authorize",
                "tenant_region_scope": "EU",
                "cloud_instance_name": "microsoftonline.com",
            }
        )

    def _key_set(self, call: Call, tenant_text: str, version: int) -> Answer:
        common = tenant_text.lower() in _COMMON
        tenant = "{tenantid}" if common else self._tenant(call, tenant_text, "invalid_tenant").id
        named = issuer(tenant, 2) if version == 2 else ""
        return _public({"keys": [key.as_jwk(named) for key in self._keys.published()]})

    def _instance(self, call: Call) -> Answer:
        asked = call.param("authorization_endpoint")
        path = asked.partition("://")[2].partition("/")[2]
        tenant = path.partition("/")[0]
        if not tenant:
            text = "The request is missing 'authorization_endpoint'."
            raise self._error(call, 400, "invalid_instance", 50049, f"Unknown or invalid instance. {text}")
        aliases = [call.base_url.partition("://")[2], "login.microsoftonline.com", "login.windows.net"]
        return _public(
            {
                "tenant_discovery_endpoint": f"{call.base_url}/{tenant}/v2.0/.well-known/openid-configuration",
                "api-version": call.param("api-version", "1.1"),
                "metadata": [{"preferred_network": aliases[0], "preferred_cache": aliases[0], "aliases": aliases}],
            }
        )

    def headers(self, call: Call) -> list[tuple[str, str]]:
        """Headers that every answer bears."""
        return [
            ("x-ms-request-id", call.entry.id),
            ("x-ms-ests-server", "2.1.0 - simulator"),
            ("client-request-id", correlation_id(call)),
            ("P3P", 'CP="DSP CUR OTPi IND OTRi ONL FIN"'),
        ]


def _public(document: dict[str, Any]) -> Answer:
    return Answer(200, document, headers=[("Cache-Control", "max-age=86400, private")])


def _basic(authorization: str) -> dict[str, str]:
    """Client id and secret sent by HTTP Basic."""
    scheme, _, credentials = authorization.partition(" ")
    if scheme.lower() != "basic":
        return {}
    try:
        name, colon, secret = base64.b64decode(credentials).decode().partition(":")
    except (binascii.Error, ValueError):
        return {}
    return {"client_id": unquote(name), "client_secret": unquote(secret)} if colon else {}
