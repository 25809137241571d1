"""Who a request comes from: basic, bearer token, API key or client certificate, and the gates behind them.

Source: ServiceNow docs, "Inbound REST API authentication", "API key and HMAC", "Certificate-based authentication",
"Basic authentication restriction", "Machine identity: OAuth scope restriction".
"""

from __future__ import annotations

import base64
import binascii
import hmac
from dataclasses import replace

from local.servicenow.errors import ApiError, not_authorised, unauthenticated
from local.servicenow.exchange import Call
from local.servicenow.identity import Accounts, Identity, password_hash
from local.servicenow.reading import Services
from local.servicenow.store import Row
from local.servicenow.stored_time import parse_stored
from local.servicenow.tokens import Tokens

UNSCOPED = "Access to unscoped api is not allowed"
MISSING_SCOPE = "Missing required api access scope"


class Authentication:
    """Signs requests in, for one instance."""

    def __init__(self, services: Services, accounts: Accounts, tokens: Tokens) -> None:
        self._store = services.world.store
        self._settings = services.world.settings
        self._properties = services.properties
        self._clock = services.clock
        self._accounts = accounts
        self._tokens = tokens

    def sign_in(self, call: Call) -> Identity:
        """The caller.

        Raises:
            ApiError: 401; nothing identifies a user who may sign in this way.
        """
        scheme, _, credentials = call.headers.get("Authorization", "").partition(" ")
        identity: Identity | None = None
        if scheme.lower() == "basic":
            identity = self._basic(credentials.strip())
        elif scheme.lower() == "bearer":
            identity = self._bearer(credentials.strip())
        elif call.param("access_token"):
            identity = self._bearer(call.param("access_token"))
        elif key := self._api_key_of(call):
            identity = self._api_key(key)
        elif call.certificate:
            identity = self._certificate(call.certificate)
        if identity is None:
            raise self.refusal()
        return identity

    def refusal(self, *extra: tuple[str, str]) -> ApiError:
        """The 401 answer in this instance's wording."""
        error = unauthenticated(self._settings.challenge, extra)
        error.message = self._settings.unauthenticated_message
        return error

    def gate(self, identity: Identity) -> None:
        """Checks between sign-in and the API's own access rules.

        Raises:
            ApiError: 403; the OAuth client lacks the scope, or the API needs a role.
        """
        if identity.client_id:
            self._scope_gate(identity)
        if self._settings.api_level_acl and not identity.has("snc_platform_rest_api_access"):
            raise not_authorised("Failed API level ACL Validation")

    def _scope_gate(self, identity: Identity) -> None:
        """Scope is judged by the client's record as it is now, not as it was when the token was issued."""
        client = self._store.get("oauth_entity", identity.client_id)
        if client is None or client.get("scope_restriction") != "securely_scoped":
            return
        if self._properties.on("glide.security.oauth_allow_unscoped_clients"):
            return
        scopes = client.get("scopes").split()
        if "useraccount" not in scopes:
            raise not_authorised(MISSING_SCOPE if scopes else UNSCOPED)

    def password_user(self, user_name: str, password: str) -> Row | None:
        """The account, if name, password, one-time code and state allow a sign-in.

        Raises:
            ApiError: 401 with ``X-MFA_TOKEN: invalid`` when only the one-time code is missing or wrong.
        """
        row = self._accounts.user(user_name)
        if row is None or not _usable(row):
            return None
        if row.get("enable_multifactor_authn") != "true":
            return row if _password_matches(row, password) else None
        code = self._settings.mfa_code
        if password.endswith(code) and _password_matches(row, password.removesuffix(code)):
            return row
        raise self.refusal(("X-MFA_TOKEN", "invalid"))

    def session_user(self, sys_id: str) -> Identity | None:
        """The user of a browser session, None once the account may no longer log in."""
        return self._as(sys_id, "session")

    def _basic(self, credentials: str) -> Identity | None:
        try:
            text = base64.b64decode(credentials, validate=True).decode("utf-8")
        except (binascii.Error, UnicodeDecodeError):
            return None
        user_name, separator, password = text.partition(":")
        row = self.password_user(user_name, password) if separator else None
        if row is None or not self._basic_allowed(row):
            return None
        return self._as(row.sys_id, "basic")

    def _basic_allowed(self, row: Row) -> bool:
        decision = self._properties.get("glide.authenticate.basic_auth.restriction.default_decision")
        if decision != "deny":
            return True
        if row.get("web_service_access_only") == "true" or row.get("enable_multifactor_authn") == "true":
            return True
        identity = self._accounts.identity(row.sys_id)
        return identity is not None and not identity.roles.isdisjoint({"snc_basic_auth_api_access", "mid_server"})

    def _bearer(self, text: str) -> Identity | None:
        token = self._tokens.access(text)
        if token is None:
            return None
        client = self._store.get("oauth_entity", token.client)
        if client is None or client.get("active") != "true":
            return None
        identity = self._as(token.user, "oauth")
        return replace(identity, client_id=token.client, scopes=frozenset(token.scope.split())) if identity else None

    def _api_key_of(self, call: Call) -> str:
        key = call.headers.get("x-sn-apikey", "")
        return key or (call.param("x-sn-apikey") if self._settings.api_key_in_query else "")

    def _api_key(self, key: str) -> Identity | None:
        for row in self._store.scan("api_key"):
            if row.get("active") == "true" and hmac.compare_digest(row.get("token").encode(), key.encode()):
                ends = parse_stored(row.get("expires"))
                if ends is None or ends > self._clock.now():
                    return self._as(row.get("user"), "api_key")
        return None

    def _certificate(self, subject: str) -> Identity | None:
        for row in self._store.scan("sys_user_certificate"):
            if row.get("active") == "true" and row.get("subject") == subject:
                return self._as(row.get("user"), "certificate")
        return None

    def _as(self, sys_id: str, method: str) -> Identity | None:
        row = self._store.get("sys_user", sys_id)
        if row is None or not _usable(row):
            return None
        identity = self._accounts.identity(row.sys_id)
        return replace(identity, method=method) if identity else None


def _usable(row: Row) -> bool:
    return row.get("active") == "true" and row.get("locked_out") != "true" and row.get("password_needs_reset") != "true"


def _password_matches(row: Row, password: str) -> bool:
    return hmac.compare_digest(row.get("user_password"), password_hash(row.sys_id, password))
