"""What a 403 means, by its error text. Pure.

ServiceNow answers 403 for very different things: a token that may not use the API at all, a missing role, a business
rule that stopped the write, and even for rows that were written but may not be read back by the user who wrote them.
Only texts that name their reason prove that nothing was written; anything else leaves the outcome open.

Sources: ServiceNow docs, "REST API authorization scopes", "Access control rules", "Data policy"; ServiceNow support
article KB2697679 (403 although the record was inserted).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from connectors.servicenow.wire import Purpose, WireCall, shorten
from shared.core.errors import NotAuthorised, OutcomeUnknown, Refused, TicketSystemError

_DUPLICATE = re.compile(r"error during insert of|unique key violation|duplicate entry", re.IGNORECASE)
_BUSINESS_RULE = re.compile(r"aborted by business rule\s*(?:'([^'^]+)|([^'^.]+))", re.IGNORECASE)
_DATA_POLICY = re.compile(r"data policy exception:?\s*(.*)", re.IGNORECASE | re.DOTALL)
_MANDATORY = re.compile(r"mandatory:\s*(.+)|^(.+?) is mandatory", re.IGNORECASE | re.DOTALL)
_ACL = re.compile(r"acl exception (insert|update|delete) failed", re.IGNORECASE)

#: Roles of the base system that allow writing.
_ROLES = {
    "incident": "itil or sn_incident_write",
    "problem": "itil or problem_coordinator",
    "change_request": "itil or sn_change_write",
}


@dataclass(frozen=True, slots=True)
class Ruling:
    """How an answer is to be understood: error type, message and what to do."""

    error: type[TicketSystemError]
    message: str
    advice: str


class DuplicateKey(OutcomeUnknown):
    """The database refused an insert, most likely because a row with this id exists: look it up. Stays inside the
    connector."""


def unseen_duplicate(error: DuplicateKey, table: str) -> OutcomeUnknown:
    """The error for an insert that was refused as a duplicate of a record that cannot be seen."""
    return OutcomeUnknown(
        f"the instance refused to insert into {table}, as for a duplicate, but shows no such ticket",
        connection=error.connection,
        status=error.status,
        upstream=error.upstream,
        request_id=error.request_id,
        advice=f"Give the integration user the right to read the {table} records that it creates, "
        "correlation_id included.",
    )


def duplicate(error_text: str) -> bool:
    """Whether a text reports an insert that the database refused."""
    return _DUPLICATE.search(error_text) is not None


def aborted_by_state_rule(error_text: str) -> bool:
    """Whether a text says that a rule about states stopped the write."""
    rule = _BUSINESS_RULE.search(error_text)
    return rule is not None and any(word in (rule[1] or rule[2]).lower() for word in ("state", "transition"))


def about_one_table(error_text: str) -> bool:
    """Whether a 403 concerns the table that was read, and not the API as a whole."""
    return _NO_ROWS.search(error_text) is not None


def forbidden(call: WireCall, error_text: str, is_json: bool) -> Ruling:
    """What a 403 means.

    Args:
        call: the call that was refused.
        error_text: see ``ServiceNowReply.error_text``.
        is_json: whether the answer came as JSON, thus from the API and not from something in front of it.
    """
    named = named_refusal(call, error_text)
    if named is not None:
        return named
    if call.purpose is Purpose.CREATE and duplicate(error_text):
        return Ruling(DuplicateKey, "the instance could not insert the record", "It is looked up by its id")
    if call.purpose.writes and (is_json or call.purpose is Purpose.CREATE):
        return Ruling(
            OutcomeUnknown,
            f"{call} was refused without a reason that proves that nothing was written",
            "The ticket is looked up before anything is repeated. Check that the user may read the records it writes",
        )
    advice = f"Give the integration user the right to read {_table(call)} ({_role(call)})"
    if not is_json:
        advice = "Something in front of the API refuses us: check the instance's IP address access control"
    return Ruling(NotAuthorised, f"{call} is not allowed", advice)


def named_refusal(call: WireCall, error_text: str) -> Ruling | None:
    """What an error text means that names its reason; None for any other."""
    for pattern, ruling in _RULINGS:
        match = pattern.search(error_text)
        if match:
            return ruling(call, match)
    return None


def _unscoped(call: WireCall, _: re.Match[str]) -> Ruling:
    return Ruling(
        NotAuthorised,
        f"the OAuth client may not use this API ({call})",
        "On the application registry record add the auth scope 'useraccount' or set 'Broadly scoped', or link a REST "
        "API auth scope for this API and method",
    )


def _api_acl(call: WireCall, _: re.Match[str]) -> Ruling:
    return Ruling(
        NotAuthorised,
        f"the user may not call the API at all ({call})",
        "A REST_Endpoint ACL asks for a role: give the integration user that role, on hardened instances "
        "snc_platform_rest_api_access or rest_service",
    )


def _no_read(call: WireCall, _: re.Match[str]) -> Ruling:
    if call.purpose.writes:
        return Ruling(
            OutcomeUnknown,
            f"{call} was answered with 'Insufficient rights to query records': the record may have been written",
            f"Give the integration user the right to read {_table(call)} ({_role(call)})",
        )
    return Ruling(
        NotAuthorised,
        f"the user may not read {_table(call)}",
        f"Give the integration user a role that may read it ({_role(call)})",
    )


def _no_query_field(call: WireCall, _: re.Match[str]) -> Ruling:
    return Ruling(
        NotAuthorised,
        f"the user may not search {_table(call)} by a field that the bridge searches by",
        "Allow the integration user to read correlation_id, correlation_display and sys_created_on",
    )


def _row_acl(call: WireCall, match: re.Match[str]) -> Ruling:
    if call.purpose is Purpose.UPDATE:
        advice = (
            f"The ticket may be closed (closed tickets cannot be written), or the integration user lacks the role "
            f"{_role(call)}"
        )
    else:
        advice = f"Give the integration user the role {_role(call)}, and check the access control rules of the table"
    return Ruling(Refused, f"the user may not {match[1].lower()} in {_table(call)}", advice)


def _rule_abort(call: WireCall, match: re.Match[str]) -> Ruling:
    rule = shorten((match[1] or match[2]).strip(), 80)
    advice = f"Look at what '{rule}' asks for and set those fields in the route, or make an exception for the bridge"
    if "state" in rule.lower():
        advice = (
            "The instance allows only certain steps from state to state: move the ticket on by hand, or choose other "
            "states or steps under 'states' of the connection"
        )
    return Ruling(Refused, f"business rule '{rule}' of the instance stopped {call}", advice)


def _data_policy(call: WireCall, match: re.Match[str]) -> Ruling:
    fields = _MANDATORY.search(match[1])
    named = shorten((fields[1] or fields[2]).strip(" ."), 120) if fields else ""
    what = f"set the mandatory fields ({named})" if named else "set the fields that it asks for"
    return Ruling(
        Refused, f"a data policy of the instance stopped {call}", f"In the route {what}, under fields or resolve"
    )


_NO_ROWS = re.compile(r"insufficient rights to query", re.IGNORECASE)

_RULINGS: tuple[tuple[re.Pattern[str], Callable[[WireCall, re.Match[str]], Ruling]], ...] = (
    (re.compile(r"access to unscoped api|missing required api access scope", re.IGNORECASE), _unscoped),
    (re.compile(r"failed api level acl|user not authorized", re.IGNORECASE), _api_acl),
    (re.compile(r"do not have permission to be read", re.IGNORECASE), _no_query_field),
    (_NO_ROWS, _no_read),
    (_ACL, _row_acl),
    (_BUSINESS_RULE, _rule_abort),
    (_DATA_POLICY, _data_policy),
)


def _table(call: WireCall) -> str:
    if call.path.startswith("/api/sn_chg_rest/"):
        return "change_request"
    if call.path.startswith("/api/now/import/"):
        return call.path.split("/")[4]
    parts = call.path.split("/table/", 1)
    return parts[1].split("/")[0] if len(parts) == 2 else "em_event"


def _role(call: WireCall) -> str:
    table = _table(call)
    if call.path.startswith("/api/now/import/"):
        return "import_transformer, and the right to create rows of the staging table"
    return "evt_mgmt_integration" if table == "em_event" else _ROLES.get(table, "itil")
