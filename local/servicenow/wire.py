"""From an answer to bytes and headers: the headers of every API answer, JSON or XML, gzip.

Source: ServiceNow docs, "REST API HTTP response headers"; header names and values as instances send them.
"""

from __future__ import annotations

import secrets

from local.servicenow.exchange import Call
from local.servicenow.media import JSON_TYPE, XML_TYPE, compress, preferred, write_json, write_xml
from local.servicenow.settings import Settings
from local.simulator_kit.calls import Answer

_FIXED = (
    ("X-Content-Type-Options", "nosniff"),
    ("Pragma", "no-store,no-cache"),
    ("Cache-Control", "no-cache,no-store,must-revalidate,max-age=-1"),
    ("Expires", "0"),
    ("Server-Timing", "sem_wait;dur=0, sesh_wait;dur=0"),
    ("Strict-Transport-Security", "max-age=63072000; includeSubDomains"),
)
SESSION_COOKIE = "JSESSIONID"


def encode_body(answer: Answer, accept: str = "") -> tuple[bytes, str]:
    """Bytes and content type of an answer; a payload without a type (an error) is what Accept prefers, else JSON."""
    if answer.raw is not None:
        return answer.raw, answer.content_type
    if answer.empty:
        return b"", ""
    content_type = answer.content_type or preferred(accept) or JSON_TYPE
    if content_type == XML_TYPE:
        return write_xml(answer.payload), XML_TYPE
    return write_json(answer.payload), content_type


def response_headers(call: Call, answer: Answer, settings: Settings) -> list[tuple[str, str]]:
    """All headers but those about the body."""
    headers = [
        ("Server", settings.server_header),
        ("X-Is-Logged-In", "true" if call.identity is not None else "false"),
        ("X-Transaction-ID", call.entry.transaction_id),
        *_FIXED,
        *answer.headers,
    ]
    if settings.cookies and not call.session and not any(name == "Set-Cookie" for name, _ in answer.headers):
        headers += _cookies(call.base_url.startswith("https"))
    return headers


def _cookies(secure: bool) -> list[tuple[str, str]]:
    """A new session: its id and the load balancer's marks."""
    tail = "; Path=/; HttpOnly; SameSite=None; Secure" if secure else "; Path=/; HttpOnly"
    session = secrets.token_hex(16).upper()
    return [
        ("Set-Cookie", f"{SESSION_COOKIE}={session}{tail}"),
        ("Set-Cookie", f"BIGipServerpool_contoso=0000.00.0000{tail}"),
        ("Set-Cookie", f"glide_user_route=glide.{session.lower()}{tail}"),
        ("Set-Cookie", f'glide_user=""; Max-Age=0{tail}'),
        ("Set-Cookie", f"glide_user_session={session.lower()}{tail}"),
    ]


def finish_body(call: Call, answer: Answer, settings: Settings) -> tuple[bytes, list[tuple[str, str]]]:
    """The bytes to send, cut short if a scenario wants that, and the headers about them."""
    data, content_type = encode_body(answer, call.headers.get("Accept", ""))
    if not content_type:
        return b"", []
    if answer.send < 1:
        data = data[: int(len(data) * answer.send)]
    headers = [("Content-Type", content_type)]
    if settings.gzip and data and "gzip" in call.headers.get("Accept-Encoding", "").lower():
        return compress(data), [*headers, ("Content-Encoding", "gzip")]
    return data, headers
