"""What Secure Score has to know of a ticket, as text that a link remembers. Pure: a function of the link."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from connectors.secure_score.settings import TicketStateSettings
from shared.core.link import Link, LinkStage
from shared.core.signal import RESOLVED_RANK
from shared.core.ticket_system import StateName
from shared.mapping.routes import matches_any

DEFAULT = "Default"
_NOTHING = "nothing"
_BETWEEN = "|"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be told.

    Attributes:
        control: state of the control.
        comment: template of the comment.
        text: what the link remembers: state, number of the ticket, who works on it.
    """

    control: str
    comment: str
    text: str


def told_state(told: str) -> str:
    """The control's state that a link's ``told`` says, empty for none."""
    return told.partition(_BETWEEN)[0]


class ControlStateRules:
    """What tickets mean to Secure Score, by one configuration.

    Args:
        states: of the configuration, the first that fits wins.
        state_name: what people call states.
    """

    def __init__(self, states: Sequence[TicketStateSettings], state_name: StateName) -> None:
        self._entries = [(state, _test(state, state_name)) for state in states]

    def wanted(self, link: Link) -> Wanted | None:
        """What Secure Score has to know now; None when it need not be told anything.

        A problem that is over by Secure Score's own word (full score, settled in the portal) is no news to it, whoever
        resolved or closed the ticket then.
        """
        if link.ticket is None or link.stage is LinkStage.NONE:
            return None
        if link.latest is not None and link.latest[1] == RESOLVED_RANK:
            return None
        entry = next((state for state, fits in self._entries if fits(link)), None)
        control = _NOTHING if entry is None else entry.control
        comment = "" if entry is None else entry.comment
        if control == _NOTHING:
            if link.stage is not LinkStage.OPEN or told_state(link.last_pushed) in ("", DEFAULT):
                return None
            control, comment = DEFAULT, "{{ ticket.number }} was opened again: {{ ticket.url }}"
        text = _BETWEEN.join((control, link.ticket.number or link.ticket.id, link.owner))
        return Wanted(control, comment, text)


def _test(state: TicketStateSettings, state_name: StateName) -> Callable[[Link], bool]:
    codes = None if state.close_code is None else matches_any(state.close_code)

    def fits(link: Link) -> bool:
        if state.phase is not None and link.stage.value != state.phase:
            return False
        if state.state is not None:
            wanted = state.state.strip().casefold()
            name = state_name(link.connection, link.kind, link.state)
            if wanted not in (link.state.casefold(), name.casefold()):
                return False
        return codes is None or codes(link.close_code)

    return fits
