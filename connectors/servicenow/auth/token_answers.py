"""What an answer of the token endpoint means. Pure.

ServiceNow reports nearly every mistake there with one and the same body, ``server_error`` / ``access_denied``; the
true reason is only in the instance's own log. So the advice lists the causes.

Sources: ServiceNow docs, "OAuth inbound"; RFC 6749, 5.1 and 5.2.
"""

from __future__ import annotations

from datetime import datetime

from connectors.servicenow.answers import SLEEPING, asleep, error
from connectors.servicenow.auth.credentials import Redactor, Secret
from connectors.servicenow.refusals import Ruling
from connectors.servicenow.wire import ServiceNowReply
from shared.core.errors import NotAuthorised, Throttled, Unavailable
from shared.core.tokens import IssuedTokens

#: Seconds that a token lives whose answer does not say: short, since a token used too long costs a refused call.
_DEFAULT_LIFE = 300.0

_CAUSES = (
    "The instance gives one answer for many causes; its system log has the true one. Check: that client id and secret "
    "are those of an active application registry record; that the scope is one that the record allows"
)

#: What else can be wrong, by the grant: only what this grant uses.
_CAUSES_BY_GRANT = {
    "client_credentials": "; that the property glide.oauth.inbound.client.credential.grant_type.enabled is true; that "
    "the record names an OAuth Application User who is active, not locked out and needs no password reset",
    "password": "; user name and password; that the user is active, not locked out and needs no password reset; that "
    "the property glide.oauth.inbound.ropc.grant_type.disabled is not true and the user may log in "
    "interactively",
    "authorization_code": "; that the code is used within a minute of the consent, and that the registry record "
    "has the redirect URL",
    "refresh_token": "; that the consent was not revoked (System OAuth > Manage Tokens) and has not ended",
    "urn:ietf:params:oauth:grant-type:jwt-bearer": "; that the JWT verifier map has this key id and the certificate "
    "that belongs to the private key, and that this certificate has not ended; that the subject is the value of the "
    "record's user field for a user who is active and not locked out; that both clocks agree",
}


def read_token(
    reply: ServiceNowReply, grant: str, redactor: Redactor, *, connection: str = "", now: datetime
) -> IssuedTokens:
    """The token in an answer.

    Raises:
        NotAuthorised: the credentials, the client or the grant were refused.
        Throttled, Unavailable: it was no answer of the token endpoint, or it refuses for now.
    """
    token = _token(reply)
    if token is not None:
        redactor.learn(token.access, token.refresh)
        return token
    ruling = _judge(reply, grant)
    raise error(ruling, reply, redactor.clean(reply.error_text()), connection=connection, now=now)


def _fields(reply: ServiceNowReply) -> dict[str, object]:
    data = reply.json()
    return data if isinstance(data, dict) else {}


def _token(reply: ServiceNowReply) -> IssuedTokens | None:
    fields = _fields(reply)
    access, refresh = fields.get("access_token"), fields.get("refresh_token")
    if reply.status != 200 or not isinstance(access, str) or not _sendable(access):
        return None
    return IssuedTokens(Secret(access), _life(fields), Secret(refresh) if isinstance(refresh, str) else "")


def _judge(reply: ServiceNowReply, grant: str) -> Ruling:
    if asleep(reply):
        return SLEEPING
    if reply.status == 429:
        return Ruling(Throttled, "the token endpoint refuses for now", "It is tried again later")
    if reply.status in (400, 401, 403) or (reply.status < 500 and _fields(reply).get("error")):
        return Ruling(NotAuthorised, "the instance gives no token", _CAUSES + _CAUSES_BY_GRANT.get(grant, ""))
    if reply.status < 500:
        return Ruling(
            Unavailable,
            "the token endpoint (/oauth_token.do) did not answer as one",
            "Check that 'url' is the instance itself and that its OAuth plugin is active",
        )
    return Ruling(Unavailable, "the token endpoint failed", "It is tried again later")


def _sendable(token: str) -> bool:
    return bool(token) and token.isascii() and token.isprintable()


def _life(fields: dict[str, object]) -> float:
    """``expires_in`` is what is left, which on a token issued again is less than the configured life."""
    stated = fields.get("expires_in")
    try:
        life = float(stated) if isinstance(stated, int | float | str) else _DEFAULT_LIFE
    except ValueError:
        return _DEFAULT_LIFE
    return min(max(life, 0.0), 86_400.0) if life == life else _DEFAULT_LIFE  # NaN is unequal to itself
