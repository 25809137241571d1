"""Rules of the incident table.

Source: ServiceNow docs, "Incident management": state model, priority lookup, resolving, reopening, parents and
children.
"""

from __future__ import annotations

from datetime import UTC, datetime

from local.servicenow.errors import acl_refusal
from local.servicenow.rules.draft import Draft, FollowUp
from local.servicenow.stored_time import parse_stored

NEW, IN_PROGRESS, ON_HOLD, RESOLVED, CLOSED, CANCELED = "1", "2", "3", "6", "7", "8"
AWAITING_CALLER = "1"
_WORKING = (NEW, IN_PROGRESS, ON_HOLD)


def before(draft: Draft) -> None:
    """Apply the rules to a draft.

    Raises:
        ApiError: a data policy or right is violated.
    """
    _sync_state(draft)
    _caller_answer(draft)
    set_priority(draft)
    count_reassignment(draft)
    settings = draft.world.settings
    newly_assigned = draft.changed("assigned_to") and bool(draft.get("assigned_to"))
    if settings.assignment_starts_work and draft.get("state") == NEW and newly_assigned:
        _set_state(draft, IN_PROGRESS)
    state, old = draft.get("state"), draft.before("state")
    if state == ON_HOLD and settings.hold_reason_policy:
        draft.require("hold_reason")
    if state != ON_HOLD and old == ON_HOLD:
        draft.set(hold_reason="")
    if state in (RESOLVED, CLOSED):
        draft.require("close_code", "close_notes")
    if (
        state == CLOSED
        and old != CLOSED
        and settings.close_requires_itil_admin
        and not draft.identity.has("itil_admin")
    ):
        raise acl_refusal("Update")
    if state != old:
        _enter(draft, state, old)


def _sync_state(draft: Draft) -> None:
    """state and incident_state are one: whichever was written wins."""
    if "state" in draft.given and (draft.inserting or draft.changed("state")):
        draft.set(incident_state=draft.get("state"))
    elif "incident_state" in draft.given and (draft.inserting or draft.changed("incident_state")):
        draft.set(state=draft.get("incident_state"))
    else:
        draft.set(incident_state=draft.get("state"))


def _set_state(draft: Draft, state: str) -> None:
    draft.set(state=state, incident_state=state)


def _caller_answer(draft: Draft) -> None:
    """A comment by the caller ends the wait for the caller."""
    waiting = draft.before("state") == ON_HOLD and draft.before("hold_reason") == AWAITING_CALLER
    if waiting and "comments" in draft.notes and draft.identity.sys_id == draft.get("caller_id"):
        _set_state(draft, IN_PROGRESS)


def set_priority(draft: Draft) -> None:
    """Priority is looked up from impact and urgency on every save; what was sent for it is overwritten."""
    impact, urgency = draft.get("impact"), draft.get("urgency")
    if impact in ("1", "2", "3") and urgency in ("1", "2", "3"):
        draft.set(priority=str(int(impact) + int(urgency) - 1))
    elif draft.previous is not None:
        draft.set(priority=draft.before("priority"))


def count_reassignment(draft: Draft) -> None:
    """A change from one group to another counts as reassignment."""
    if draft.before("assignment_group") and draft.changed("assignment_group"):
        draft.count("reassignment_count")


def _enter(draft: Draft, state: str, old: str) -> None:
    user = draft.identity.sys_id
    if state in _WORKING and old in (RESOLVED, CLOSED, CANCELED):
        draft.count("reopen_count")
        draft.set(reopened_by=user, reopened_time=draft.now, resolved_at="", resolved_by="", active="true")
        draft.set(closed_at="", closed_by="")
        if draft.world.settings.reopen_clears_resolution:
            draft.set(close_code="", close_notes="")
    elif state == RESOLVED:
        draft.set_if_empty(resolved_at=draft.now, resolved_by=user)
        seconds = _seconds_between(draft.get("opened_at"), draft.get("resolved_at"))
        draft.set(calendar_stc=str(seconds), business_stc=str(seconds))
        draft.set(active="true", closed_at="", closed_by="")
    elif state in (CLOSED, CANCELED):
        draft.set(active="false")
        draft.set_if_empty(closed_at=draft.now, closed_by=user)
        draft.set(calendar_duration=_duration(_seconds_between(draft.get("opened_at"), draft.get("closed_at"))))
        draft.set(business_duration=draft.get("calendar_duration"))


def _seconds_between(start: str, end: str) -> int:
    first, second = parse_stored(start), parse_stored(end)
    return max(0, int((second - first).total_seconds())) if first and second else 0


def _duration(seconds: int) -> str:
    """Durations are stored as a date-time that far after 1970 (ServiceNow docs, GlideDuration)."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")


def after(draft: Draft, sys_id: str) -> None:
    """Consequences for other incidents: children of a resolved parent, the parent's count of children."""
    store = draft.world.store
    if draft.get("state") == RESOLVED and draft.before("state") != RESOLVED and not draft.inserting:
        for child in store.lookup("incident", "parent_incident", sys_id) or []:
            if child.get("state") in _WORKING:
                values = {name: draft.get(name) for name in ("close_code", "close_notes")}
                draft.follow_ups.append(FollowUp("incident", child.sys_id, {"state": RESOLVED, **values}))
    parent_id = draft.get("parent_incident")
    if parent_id and draft.changed("parent_incident"):
        parent = store.get("incident", parent_id)
        if parent is not None and parent.get("active") == "true":
            children = len(store.lookup("incident", "parent_incident", parent_id) or []) + 1
            draft.follow_ups.append(FollowUp("incident", parent.sys_id, {"child_incidents": str(children)}))
