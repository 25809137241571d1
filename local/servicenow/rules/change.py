"""Rules of change requests: the state model per type, approvals, mandatory fields.

Source: ServiceNow docs, "Change management state model" and "Change approvals". Moves into Authorize (normal) and
Scheduled (normal, emergency) happen by approval, never by writing the state.
"""

from __future__ import annotations

from local.servicenow.demo.people import group_id, user_id
from local.servicenow.errors import ApiError, business_rule_abort
from local.servicenow.rules.draft import Draft, FollowUp
from local.servicenow.schema.describe import demo_id
from local.servicenow.store import Row
from local.servicenow.stored_time import parse_stored

NEW, ASSESS, AUTHORISE, SCHEDULED, IMPLEMENT, REVIEW, CLOSED, CANCELED = "-5", "-4", "-3", "-2", "-1", "0", "3", "4"
RULES = {"model": "Change Model: Check State Transition", "legacy": "Change Request: State model"}
DATES_RULE = "Change Request: Validate planned dates"

#: Moves that a write of the state may make, by type of change.
_WRITES: dict[str, dict[str, tuple[str, ...]]] = {
    "normal": {NEW: (ASSESS,), SCHEDULED: (IMPLEMENT,), IMPLEMENT: (REVIEW,), REVIEW: (CLOSED,)},
    "standard": {NEW: (SCHEDULED,), SCHEDULED: (IMPLEMENT,), IMPLEMENT: (REVIEW,), REVIEW: (CLOSED,)},
    "emergency": {NEW: (AUTHORISE,), SCHEDULED: (IMPLEMENT,), IMPLEMENT: (REVIEW,), REVIEW: (CLOSED,)},
}
#: Where an approval leads, by type and present state.
_APPROVALS = {"normal": {ASSESS: AUTHORISE, AUTHORISE: SCHEDULED}, "emergency": {AUTHORISE: SCHEDULED}}
_REVERTABLE = (ASSESS, AUTHORISE, SCHEDULED)
_CANCELABLE = (NEW, ASSESS, AUTHORISE, SCHEDULED, IMPLEMENT)
_PHASES = {ASSESS: "plan", AUTHORISE: "plan", SCHEDULED: "scheduled", IMPLEMENT: "implement", REVIEW: "review"}


def before(draft: Draft) -> None:
    """Apply the rules to a draft.

    Raises:
        ApiError: an illegal move, planned dates the wrong way round, or empty mandatory fields.
    """
    kind = draft.get("type")
    draft.set_if_empty(chg_model=demo_id("chg_model", kind if kind in _WRITES else "normal"))
    _check_dates(draft)
    old = draft.before("state") or NEW
    if draft.get("state") == old and draft.changed("approval") and not draft.inserting:
        _decide(draft, kind, old)
    elif draft.get("state") != old and not draft.by_action:
        _check_move(draft, kind, old, draft.get("state"))
    if draft.get("state") != old:
        _enter(draft, draft.get("state"))


def _check_dates(draft: Draft) -> None:
    start, end = parse_stored(draft.get("start_date")), parse_stored(draft.get("end_date"))
    if start and end and end < start:
        raise business_rule_abort("change_request", DATES_RULE, demo_id("sys_script", DATES_RULE))


def _check_move(draft: Draft, kind: str, old: str, new: str) -> None:
    mode = draft.world.settings.change_transitions
    if mode == "off":
        return
    moves = _WRITES.get(kind, _WRITES["normal"])
    held = draft.before("on_hold") == "true" and draft.get("on_hold") == "true"
    legal = (
        (new == CANCELED and old in _CANCELABLE)
        or (new == NEW and old in _REVERTABLE and not held)
        or (new in moves.get(old, ()) and not held)
    )
    if not legal:
        raise _illegal(mode)
    if old == NEW and new != CANCELED:
        draft.require("assignment_group")
    if new == CLOSED:
        draft.require("close_code", "close_notes")


def possible_moves(change: Row) -> dict[str, bool]:
    """States that follow the present one, with whether a write of the state may go there now."""
    kind, state = change.get("type"), change.get("state")
    held = change.get("on_hold") == "true"
    moves = dict.fromkeys(_WRITES.get(kind, _WRITES["normal"]).get(state, ()), not held)
    if target := _APPROVALS.get(kind, {}).get(state):
        moves[target] = False
    if state in _REVERTABLE:
        moves[NEW] = not held
    if state in _CANCELABLE:
        moves[CANCELED] = True
    return moves


def _illegal(mode: str) -> ApiError:
    return business_rule_abort("change_request", RULES[mode], demo_id("sys_script", RULES[mode]))


def _decide(draft: Draft, kind: str, old: str) -> None:
    """An approval or rejection arrived: it moves the state."""
    if draft.get("approval") == "rejected" and old in (ASSESS, AUTHORISE):
        draft.set(state=NEW)
    target = _APPROVALS.get(kind, {}).get(old)
    if draft.get("approval") != "approved" or target is None:
        return
    if kind == "normal" and target == SCHEDULED:
        draft.require("start_date", "end_date")
    draft.set(state=target)


def _enter(draft: Draft, state: str) -> None:
    user = draft.identity.sys_id
    draft.set(phase=_PHASES.get(state, "complete" if state in (CLOSED, CANCELED) else "requested"))
    if state == NEW and draft.get("approval") != "rejected":
        draft.set(approval="not requested")
    elif state in (ASSESS, AUTHORISE):
        draft.set(approval="requested")
    elif state == SCHEDULED:
        draft.set(approval="approved")
    elif state == IMPLEMENT:
        draft.set_if_empty(work_start=draft.now)
    elif state == REVIEW:
        draft.set_if_empty(work_end=draft.now)
    elif state in (CLOSED, CANCELED):
        draft.set(active="false", phase_state="complete" if state == CLOSED else "canceled")
        draft.set_if_empty(closed_at=draft.now, closed_by=user)


def after(draft: Draft, sys_id: str) -> None:
    """Ask for the approvals that the new state needs, and withdraw those that are moot."""
    if not draft.changed("state"):
        return
    state = draft.get("state")
    pending = draft.world.store.lookup("sysapproval_approver", "sysapproval", sys_id) or []
    for row in pending:
        if row.get("state") == "requested":
            draft.follow_ups.append(FollowUp("sysapproval_approver", row.sys_id, {"state": "cancelled"}))
    if state in (ASSESS, AUTHORISE):
        values = {
            "sysapproval": sys_id,
            "approver": _approver(draft, state),
            "state": "requested",
            "source_table": draft.table,
            "document_id": sys_id,
        }
        draft.follow_ups.append(FollowUp("sysapproval_approver", "", values))


def _approver(draft: Draft, state: str) -> str:
    group = draft.get("assignment_group") if state == ASSESS else group_id("CAB Approval")
    row = draft.world.store.get("sys_user_group", group) if group else None
    return (row.get("manager") if row else "") or user_id("change.manager")


def after_approval(draft: Draft) -> None:
    """An approver decided: tell the change."""
    decision = draft.get("state")
    if draft.changed("state") and decision in ("approved", "rejected"):
        change = draft.world.store.get("change_request", draft.get("sysapproval"))
        if change is not None:
            draft.follow_ups.append(FollowUp("change_request", change.sys_id, {"approval": decision}))
