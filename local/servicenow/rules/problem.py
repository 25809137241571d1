"""Rules of the problem table: the state model and its mandatory fields.

Source: ServiceNow docs, "Problem management state model" (Madrid and later). Whether a state written through the Table
API is checked, ignored or always aborted differs between instances: setting ``problem_transitions``.
"""

from __future__ import annotations

from local.servicenow.errors import ApiError, business_rule_abort
from local.servicenow.rules.draft import Draft
from local.servicenow.rules.incident import count_reassignment, set_priority
from local.servicenow.schema.describe import demo_id

NEW, ASSESS, ANALYSIS, FIX, RESOLVED, CLOSED = "101", "102", "103", "104", "106", "107"
RULE = "Problem Model: Check State Transition"
_LEGAL = {
    NEW: (ASSESS, CLOSED),
    ASSESS: (NEW, ANALYSIS, CLOSED),
    ANALYSIS: (ASSESS, FIX, RESOLVED, CLOSED),
    FIX: (ANALYSIS, RESOLVED, CLOSED),
    RESOLVED: (ANALYSIS, CLOSED),
    CLOSED: (ANALYSIS,),
}
#: Codes that let a problem end without a fix.
_SHORT_CUTS = ("canceled", "duplicate", "risk_accepted")


def before(draft: Draft) -> None:
    """Apply the rules to a draft.

    Raises:
        ApiError: the transition is illegal, or its mandatory fields are empty.
    """
    _sync_state(draft)
    set_priority(draft)
    count_reassignment(draft)
    old = draft.before("state") or NEW
    state = draft.get("state")
    if state == old:
        return
    mode = "checked" if draft.by_action else draft.world.settings.problem_transitions
    if mode == "ignored":
        draft.set(state=old, problem_state=old)
        return
    if mode == "aborted" or not _legal(draft, old, state):
        raise _abort()
    _mandatory(draft, old, state)
    _enter(draft, state, old)


def _abort() -> ApiError:
    return business_rule_abort("problem", RULE, demo_id("sys_script", RULE))


def _sync_state(draft: Draft) -> None:
    if "state" not in draft.given and "problem_state" in draft.given:
        draft.set(state=draft.get("problem_state"))
    draft.set(problem_state=draft.get("state"))


def _legal(draft: Draft, old: str, state: str) -> bool:
    if draft.inserting:
        return state in _LEGAL
    if state not in _LEGAL.get(old, ()):
        return False
    code = draft.get("resolution_code")
    if state == RESOLVED and old == ANALYSIS:
        return code == "risk_accepted"
    if state == CLOSED and old != RESOLVED:
        return code in _SHORT_CUTS
    if old == CLOSED:
        return draft.identity.has("problem_manager")
    return True


def _mandatory(draft: Draft, old: str, state: str) -> None:
    if state == ASSESS and old != ANALYSIS:
        draft.require("assigned_to")
    elif state == FIX:
        draft.require("cause_notes", "fix_notes")
    elif state == RESOLVED:
        notes = "close_notes" if draft.get("close_notes") else "fix_notes"
        draft.require("resolution_code", notes)
    elif state == CLOSED and draft.get("resolution_code") == "duplicate":
        draft.require("duplicate_of")


def _enter(draft: Draft, state: str, old: str) -> None:
    user = draft.identity.sys_id
    if state == ANALYSIS and old in (RESOLVED, CLOSED):
        draft.count("reopen_count")
        draft.set(reopened_at=draft.now, reopened_by=user, resolved_at="", resolved_by="")
        draft.set(active="true", closed_at="", closed_by="", resolution_code="")
    if state == ASSESS:
        draft.set_if_empty(confirmed_at=draft.now, confirmed_by=user)
    if state == FIX:
        draft.set_if_empty(fix_at=draft.now, fix_by=user)
    if state in (RESOLVED, CLOSED):
        draft.set_if_empty(resolved_at=draft.now, resolved_by=user)
    if state == CLOSED:
        draft.set(active="false")
        draft.set_if_empty(closed_at=draft.now, closed_by=user)
