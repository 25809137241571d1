"""Tells Microsoft 365 Secure Score what became of the tickets of its controls.

A control is read before it is written: what it says already is not said again, because Graph keeps every update.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from connectors.secure_score.api import SecureScores, is_settable
from connectors.secure_score.control_states import ControlStateRules, Wanted
from connectors.secure_score.payloads.control import effective_update
from shared.core.errors import SourceRefused
from shared.core.link import Link
from shared.core.ticket_system import StateName
from shared.mapping.templates import compile_template
from shared.payloads.values import given
from shared.platform.log import record

#: Longest comment; Microsoft names no limit, and a ticket's number and address need less.
_MOST_COMMENT = 1_000

#: Opens Microsoft Graph for a tenant.
Open = Callable[[str], SecureScores]


class ScoreWriteBack:
    """The write-back of Secure Score. See ``shared.delivery.write_back.WriteBackTarget``.

    Args:
        telling: what tickets mean to Secure Score.
        open_tenant: opens Microsoft Graph for a tenant; raises SourceRefused for one that is not configured.
        state_name: what people call states, for comments.
    """

    def __init__(self, telling: ControlStateRules, open_tenant: Open, state_name: StateName) -> None:
        self._telling = telling
        self._open = open_tenant
        self._state_name = state_name

    def wants(self, link: Link) -> str:
        """See ``WriteBackTarget.wants``. Nothing for controls whose state nobody may set."""
        _, _, control = link.origin.partition("/")
        if not control or not is_settable(control):
            return ""
        wanted = self._telling.wanted(link)
        return "" if wanted is None else wanted.text

    async def push(self, link: Link, what: str) -> None:
        """See ``WriteBackTarget.push``."""
        wanted = self._telling.wanted(link)
        if wanted is None or wanted.text != what:
            return  # it was ordered of another link than this
        tenant, _, control = link.origin.partition("/")
        scores = self._open(tenant)
        try:
            profile = await scores.profile(control)
            if profile is None or _says(profile, wanted.control, link.owner):
                return
            vendor = profile.get("vendorInformation")
            vendor = vendor if isinstance(vendor, dict) else {}
            await scores.update(control, wanted.control, self._comment(wanted, link), link.owner, vendor)
        except SourceRefused as error:
            if error.status != 404:
                raise
        else:
            record("secure_score_pushed", key=link.key, control=control, tenant=tenant, state=wanted.control)
        finally:
            await scores.aclose()

    def _comment(self, wanted: Wanted, link: Link) -> str:
        ticket = {
            "number": link.ticket.number or link.ticket.id if link.ticket is not None else "",
            "url": link.ticket.url if link.ticket is not None else "",
            "state": self._state_name(link.connection, link.kind, link.state) or link.stage.value,
            "kind": link.kind.value,
            "owner": link.owner,
            "close_code": link.close_code,
        }
        return compile_template(wanted.comment)({"ticket": ticket}, [])[:_MOST_COMMENT]


def _says(profile: Mapping[str, Any], control: str, owner: str) -> bool:
    """Whether a profile says already what it is to say. Graph spells states in several ways."""
    update = effective_update(profile)
    state = given(update.get("state")) or "Default"
    same_owner = not owner or given(update.get("assignedto")).casefold() == owner.casefold()
    return state.casefold() == control.casefold() and same_owner
