"""The OAuth endpoints ``/oauth_token.do`` and ``/oauth_revoke_token.do``, and what ``/oauth_auth.do`` decides.

Source: ServiceNow docs, "OAuth 2.0 with inbound REST", "Authorization code grant workflow". Whatever goes wrong, the
answer is the same 401; the reason is in the instance's system log only (``syslog`` here, too).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode

from local.servicenow.authentication import Authentication
from local.servicenow.errors import ApiError, OAuthError
from local.servicenow.exchange import Call
from local.servicenow.identity import Accounts
from local.servicenow.jwt_grant import verify_assertion
from local.servicenow.reading import Services
from local.servicenow.store import Row
from local.servicenow.tokens import Code, Token, Tokens
from local.simulator_kit.calls import Answer

JWT_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
CODE_LIFETIME = 60.0
_FORM = "application/x-www-form-urlencoded"


@dataclass(slots=True)
class _Request:
    """A token request: its form, and the client it names, already checked."""

    form: dict[str, str]
    client: Row

    def field(self, name: str) -> str:
        return self.form.get(name, "")


class OAuth:
    """The authorisation server of one instance. ``log`` writes a reason into the system log."""

    def __init__(
        self,
        services: Services,
        accounts: Accounts,
        tokens: Tokens,
        authentication: Authentication,
        log: Callable[[str], None],
    ) -> None:
        self._store = services.world.store
        self._settings = services.world.settings
        self._properties = services.properties
        self._clock = services.clock
        self._accounts = accounts
        self._tokens = tokens
        self._authentication = authentication
        self._log = log

    def token(self, call: Call) -> Answer:
        """``POST /oauth_token.do``."""
        try:
            if call.method != "POST":
                raise OAuthError("the token endpoint takes POST only")
            request = self._read(call)
            token = self._grant(request)
        except OAuthError as error:
            self._log(f"OAuth token request refused: {error.reason}")
            specific = self._settings.oauth_errors == "specific"
            code = error.code if specific else "server_error"
            text = error.description if specific else "access_denied"
            return Answer(401, {"error": code, "error_description": text})
        payload = {"access_token": token.access, "scope": token.scope, "token_type": "Bearer"}
        if token.refresh:
            payload["refresh_token"] = token.refresh
        return Answer(200, payload | {"expires_in": self._tokens.remaining(token)})

    def _read(self, call: Call) -> _Request:
        if call.headers.get("Content-Type", "").split(";")[0].strip().lower() != _FORM:
            raise OAuthError("the request is no form", "invalid_request")
        form = dict(parse_qsl(call.body.decode("utf-8", "replace"), keep_blank_values=True))
        basic = _basic_credentials(call.headers.get("Authorization", ""))
        if basic and "client_id" not in form:
            form["client_id"], form["client_secret"] = basic
        found = self._store.lookup("oauth_entity", "client_id", form.get("client_id", "")) or []
        client = next((row for row in found if row.get("active") == "true"), None)
        if client is None:
            raise OAuthError("unknown client id", "invalid_client")
        secret = form.get("client_secret", "")
        public = client.get("public_client") == "true" and not secret
        known = client.get("client_secret")
        if not public and not (known and hmac.compare_digest(known.encode(), secret.encode())):
            raise OAuthError("wrong client secret", "invalid_client")
        return _Request(form, client)

    def _grant(self, request: _Request) -> Token:
        grants: dict[str, Callable[[_Request], Token]] = {
            "password": self._password,
            "refresh_token": self._refresh,
            "client_credentials": self._client_credentials,
            JWT_GRANT: self._jwt,
            "authorization_code": self._code,
        }
        kind = request.field("grant_type")
        if kind not in grants:
            raise OAuthError(f"unsupported grant type {kind!r}", "unsupported_grant_type")
        return grants[kind](request)

    def _scope(self, request: _Request) -> str:
        allowed = request.client.get("scopes").split()
        asked = request.field("scope").split()
        if any(scope not in allowed for scope in asked):
            raise OAuthError("unsupported scope", "invalid_scope")
        return " ".join(asked or allowed)

    def _issue(self, request: _Request, user: str, grant: str, *, refresh: bool) -> Token:
        access_life, refresh_life = _lifetimes(request.client)
        return self._tokens.issue(
            client=request.client.sys_id,
            user=user,
            scope=self._scope(request),
            lifetimes=(access_life, refresh_life if refresh else 0),
            grant=grant,
        )

    def _password(self, request: _Request) -> Token:
        if self._properties.on("glide.oauth.inbound.ropc.grant_type.disabled"):
            raise OAuthError("the password grant is switched off", "unauthorized_client")
        try:
            user = self._authentication.password_user(request.field("username"), request.field("password"))
        except ApiError as error:
            raise OAuthError("one-time code missing or wrong", "invalid_grant") from error
        if user is None:
            raise OAuthError("wrong user name or password, or the user may not sign in", "invalid_grant")
        self._scope(request)
        living = self._tokens.living(request.client.sys_id, user.sys_id, "password")
        return living or self._issue(request, user.sys_id, "password", refresh=True)

    def _refresh(self, request: _Request) -> Token:
        token = self._tokens.refreshable(request.field("refresh_token"))
        if token is None or token.client != request.client.sys_id:
            raise OAuthError("refresh token unknown, expired or of another client", "invalid_grant")
        self._require_user(self._store.get("sys_user", token.user))
        settings = self._settings
        rotate = settings.rotation_grace_s if settings.refresh_rotates else None
        return self._tokens.renew(token, _lifetimes(request.client), extend=settings.refresh_extends, rotate=rotate)

    def _client_credentials(self, request: _Request) -> Token:
        if not self._properties.on("glide.oauth.inbound.client.credential.grant_type.enabled"):
            raise OAuthError("the client credentials grant is not enabled", "unauthorized_client")
        user = request.client.get("user")
        if not user:
            raise OAuthError("the client has no OAuth Application User", "unauthorized_client")
        self._require_user(self._store.get("sys_user", user))
        return self._issue(request, user, "client_credentials", refresh=False)

    def _jwt(self, request: _Request) -> Token:
        user = verify_assertion(
            request.field("assertion"), request.client, self._store, self._tokens, self._clock.timestamp()
        )
        self._require_user(user)
        return self._issue(request, user.sys_id, "jwt", refresh=False)

    def _code(self, request: _Request) -> Token:
        code = self._tokens.redeem(request.field("code"))
        if code is None or code.client != request.client.sys_id:
            raise OAuthError("unknown, used or expired code", "invalid_grant")
        if code.redirect_uri != request.field("redirect_uri"):
            raise OAuthError("redirect_uri differs from that of the authorisation", "invalid_grant")
        if code.challenge:
            digest = hashlib.sha256(request.field("code_verifier").encode()).digest()
            if base64.urlsafe_b64encode(digest).rstrip(b"=").decode() != code.challenge:
                raise OAuthError("code_verifier does not fit", "invalid_grant")
        self._require_user(self._store.get("sys_user", code.user))
        return self._issue(request, code.user, "authorization_code", refresh=True)

    def _require_user(self, user: Row | None) -> None:
        if user is None or user.get("active") != "true" or user.get("locked_out") == "true":
            raise OAuthError("the user is gone, inactive or locked", "invalid_grant")

    def asked(self, param: Callable[[str], str]) -> Row:
        """The client of a request for consent; ``param`` gives its parameters.

        Raises:
            ValueError: the request is not valid. Nobody is sent anywhere then: the address may be an attacker's.
        """
        found = self._store.lookup("oauth_entity", "client_id", param("client_id")) or []
        client = next((row for row in found if row.get("active") == "true"), None)
        if client is None:
            raise ValueError("client_id names no active application")
        if param("redirect_uri") not in [url.strip() for url in client.get("redirect_url").split(",") if url.strip()]:
            raise ValueError("redirect_uri is none of the redirect URLs of the application")
        if param("response_type") != "code":
            raise ValueError("response_type must be code")
        if param("code_challenge_method") not in ("", "S256") or (
            client.get("public_client") == "true" and not param("code_challenge")
        ):
            raise ValueError("code_challenge with the method S256 is required")
        return client

    def allowed(self, client: Row, user: str, param: Callable[[str], str]) -> str:
        """The address to which the browser goes after the user allowed access, with the code."""
        ends = self._clock.timestamp() + CODE_LIFETIME
        code = Code(client.sys_id, user, param("redirect_uri"), ends, param("code_challenge"))
        return _with(param("redirect_uri"), code=self._tokens.add_code(code), state=param("state"))

    @staticmethod
    def denied(param: Callable[[str], str]) -> str:
        """The address to which the browser goes after the user denied access."""
        return _with(param("redirect_uri"), error="access_denied", state=param("state"))

    def revoke(self, call: Call) -> Answer:
        """``GET /oauth_revoke_token.do?token=...``: no credentials are needed."""
        form = dict(parse_qsl(call.body.decode("utf-8", "replace"))) if call.method == "POST" else {}
        self._tokens.revoke(call.param("token") or form.get("token", ""))
        return Answer(200, raw=b"", content_type="text/html;charset=UTF-8")


def _lifetimes(client: Row) -> tuple[int, int]:
    """Seconds that access and refresh tokens of a client live."""
    return int(client.get("access_token_lifespan") or 1800), int(client.get("refresh_token_lifespan") or 8_640_000)


def _with(address: str, **params: str) -> str:
    return f"{address}{'&' if '?' in address else '?'}{urlencode(params)}"


def _basic_credentials(header: str) -> tuple[str, str] | None:
    scheme, _, credentials = header.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        name, _, secret = base64.b64decode(credentials, validate=True).decode("utf-8").partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return name, secret
