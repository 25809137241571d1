"""The fields of a new ticket. Pure."""

from __future__ import annotations

from shared.core.ticket_system import Draft


def draft_fields(draft: Draft) -> dict[str, str]:
    """The fields of a new ticket, its first note included, and what links it to the ended one that it follows."""
    fields = {"work_notes": draft.note} if draft.note else {}
    fields |= {name: text for name, text in draft.fields.items() if name != "sys_id"}
    if draft.follows is None:
        return fields
    before = draft.follows
    reference = f"Follows {before.number or before.id}, the earlier ticket of the same problem."
    notes = fields.get("work_notes")
    fields["work_notes"] = f"{reference}\n{notes}" if notes else reference
    fields["parent"] = before.id
    return fields
