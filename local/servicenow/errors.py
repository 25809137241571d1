"""Refusals of the REST API and their exact texts.

Source of texts and statuses: ServiceNow docs, Table API "Status codes"; texts that vary between releases can be
switched in the settings.
"""

from __future__ import annotations

SUPPORTED_MEDIA = "[application/json, application/xml, text/xml]"


class ApiError(Exception):
    """The request is refused: becomes ``{"error":{"message","detail"},"status":"failure"}``.

    Attributes:
        status: HTTP status of the answer.
        message: short text, ``error.message``.
        detail: longer text or None, ``error.detail``.
        headers: further headers of the answer.
    """

    def __init__(
        self, status: int, message: str, detail: str | None = None, headers: tuple[tuple[str, str], ...] = ()
    ) -> None:
        super().__init__(f"{status} {message}: {detail}")
        self.status = status
        self.message = message
        self.detail = detail
        self.headers = headers


class OAuthError(Exception):
    """The token endpoint refuses: becomes ``{"error": code, "error_description": text}``."""

    def __init__(self, reason: str, code: str = "server_error", description: str = "access_denied") -> None:
        super().__init__(f"{code}: {description} ({reason})")
        self.reason = reason
        self.code = code
        self.description = description


def invalid_table(name: str) -> ApiError:
    return ApiError(400, f"Invalid table {name}")


def record_not_found() -> ApiError:
    return ApiError(404, "No Record found", "Record doesn't exist or ACL restricts the record retrieval")


def no_rows_v1() -> ApiError:
    return ApiError(
        404, "No Record found", "Records matching query not found. Check query parameter or offset parameter"
    )


def insufficient_rights(detail: str | None = None) -> ApiError:
    return ApiError(403, "Insufficient rights to query records", detail)


def acl_refusal(operation: str) -> ApiError:
    """``operation``: Insert, Update or Delete."""
    return ApiError(403, "Operation Failed", f"ACL Exception {operation} Failed due to security constraints")


def not_authorised(detail: str) -> ApiError:
    return ApiError(403, "User Not Authorized", detail)


def business_rule_abort(table: str, rule: str, rule_id: str, message: str = "") -> ApiError:
    text = (
        f"Operation against file '{table}' was aborted by Business Rule '{rule}^{rule_id}'. Business Rule Stack:{rule}"
    )
    return ApiError(403, "Operation Failed", f"{message} {text}".strip())


def data_policy(labels: list[str]) -> ApiError:
    """The mandatory fields of a data policy are empty; ``labels`` as shown on the form, in form order."""
    if len(labels) == 1:
        text = f"Data Policy Exception: {labels[0]} is mandatory"
    else:
        text = f"Data Policy Exception: The following fields are mandatory: {', '.join(labels)}"
    return ApiError(403, "Operation Failed", text)


def unauthenticated(challenge: str, extra: tuple[tuple[str, str], ...] = ()) -> ApiError:
    return ApiError(
        401,
        "User Not Authenticated",
        "Required to provide Auth information",
        (("WWW-Authenticate", challenge), *extra),
    )


def unreadable(detail: str, status: int = 400) -> ApiError:
    return ApiError(status, "Exception while reading request", detail)


def execution_time_exceeded() -> ApiError:
    text = "Transaction cancelled: maximum execution time exceeded"
    advice = "Check logs for error trace or enable glide.rest.debug property to verify REST request processing"
    return ApiError(500, text, f"{text} {advice}")


def oversize(length: int, limit: int, status: int) -> ApiError:
    return unreadable(
        f"Rejected large REST payload with content-length = {length} bytes. Max allowed: {limit} bytes.", status
    )
