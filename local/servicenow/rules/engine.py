"""Picks the rules of a table."""

from __future__ import annotations

from local.servicenow.rules import change, incident, problem
from local.servicenow.rules.draft import Draft

#: States in which a task of the plain kind is over, by table; others say so themselves.
_CLOSED_STATES = {"change_task": ("3", "4"), "problem_task": ("157",), "task": ("3", "4", "7")}


def before(draft: Draft) -> None:
    """Run the rules that come before the write.

    Raises:
        ApiError: a rule or data policy refuses the write.
    """
    lineage = draft.world.dictionary.lineage(draft.table)
    if "incident" in lineage:
        incident.before(draft)
    elif "problem" in lineage:
        problem.before(draft)
    elif "change_request" in lineage:
        change.before(draft)
    elif "task" in lineage:
        _plain_task(draft, lineage)
    elif draft.table == "sys_user" and not draft.given.isdisjoint(("first_name", "last_name")):
        draft.set(name=f"{draft.get('first_name')} {draft.get('last_name')}".strip())


def _plain_task(draft: Draft, lineage: tuple[str, ...]) -> None:
    closed = next(_CLOSED_STATES[name] for name in lineage if name in _CLOSED_STATES)
    if draft.get("state") in closed:
        draft.set(active="false")
        draft.set_if_empty(closed_at=draft.now, closed_by=draft.identity.sys_id)
    elif draft.changed("state"):
        draft.set(active="true", closed_at="", closed_by="")


def after(draft: Draft, sys_id: str) -> None:
    """Run the rules that come after the write; they only add follow-ups."""
    lineage = draft.world.dictionary.lineage(draft.table)
    if "incident" in lineage:
        incident.after(draft, sys_id)
    elif "change_request" in lineage:
        change.after(draft, sys_id)
    elif draft.table == "sysapproval_approver":
        change.after_approval(draft)
