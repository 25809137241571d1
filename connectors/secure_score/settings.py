"""Section ``secure_score`` of bridge.yaml. The docstrings go into the JSON Schema and docs."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, StrictStr, model_validator

from connectors.microsoft.settings import SignIn
from shared.core.clouds import CloudName
from shared.core.conditions import Patterns
from shared.core.field_values import FieldValue, Name
from shared.core.settings import Duration, Guid, SettingsModel
from shared.core.ticket_system import TicketKind

#: 1 critical to 4 low.
Priority = Annotated[int, Field(ge=1, le=4)]


class ScoreTenant(SettingsModel):
    """A tenant whose secure score is read and written."""

    tenant: Guid | None = None
    """Id of the tenant; only needed where several are listed."""
    sign_in: SignIn | None = None
    """Left out: the app's own identity, which needs the permission in its own tenant."""

    @model_validator(mode="after")
    def _same_tenant(self) -> Self:
        if self.tenant is not None and self.sign_in is not None and self.tenant != self.sign_in.tenant:
            raise ValueError("'tenant' and 'sign_in.tenant' are not the same. Fix: leave 'tenant' out")
        return self

    @property
    def id(self) -> str:
        """Id of the tenant; empty for the one of the app's own identity where it is not given."""
        return self.tenant or (self.sign_in.tenant if self.sign_in is not None else "")


#: Words of Microsoft Graph, by condition. Source: Graph reference, "secureScoreControlProfile resource type".
WORDS: Mapping[str, tuple[str, ...]] = {
    "category": ("Identity", "Data", "Device", "Devices", "Apps", "Infrastructure"),
    "tier": ("Core", "Defense in Depth", "Advanced"),
    "user_impact": ("Low", "Moderate", "High"),
    "implementation_cost": ("Low", "Moderate", "High"),
}


def _category(given: Patterns | None) -> Patterns | None:
    """Graph says Device where Microsoft's pages say Devices: both are understood."""
    if given is None:
        return None
    texts = [given] if isinstance(given, str) else given
    return [*texts, *("Device" for text in texts if text.casefold() == "devices")]


class ScoreWhen(SettingsModel):
    """Conditions on a control. All given ones must hold; of the patterns of one condition, any. Patterns compare
    without case, ``*`` stands for any text. Controls that are complete, settled in the portal, deprecated or without
    a score in the tenant never match."""

    category: Annotated[Patterns | None, AfterValidator(_category)] = None
    """Identity, Data, Device, Apps or Infrastructure. ``Devices`` means Device."""
    service: Patterns | None = None
    """Service as Microsoft abbreviates it, for example ``EXO``, ``AzureAD``, ``MDE``."""
    tier: Patterns | None = None
    """Core, Defense in Depth or Advanced."""
    control: Patterns | None = None
    """Id of the control, for example ``AdminMFAV2`` or ``scid_*``."""
    max_score: Annotated[float | None, Field(gt=0, le=1000)] = None
    """The control can bring at least so many points."""
    rank: Annotated[int | None, Field(ge=1)] = None
    """It is among the first so many in Microsoft's ranking."""
    user_impact: Patterns | None = None
    """Low, Moderate or High."""
    implementation_cost: Patterns | None = None
    """Low, Moderate or High."""
    below: Annotated[float | None, Field(gt=0, le=100)] = None
    """Its score is below so many per cent of what is possible."""
    dropped: bool = False
    """Its score is lower than when it was read before."""


class ScoreRuleSettings(SettingsModel):
    """What becomes a ticket by itself. The first rule that matches a control wins."""

    name: Annotated[str, Field(min_length=1, max_length=80)]
    """Shown in tickets, previews and logs."""
    when: ScoreWhen = ScoreWhen()
    """Which controls. Left out: all that are not complete."""
    priority: Priority | None = None
    """Priority of the ticket: 1 critical, 2 high, 3 moderate, 4 low. Left out: by the points that the control can
    bring (from 8: 2, from 4: 3, below: 4)."""
    due_in: Annotated[Duration | None, Field(ge=timedelta(hours=1), le=timedelta(days=3650))] = None
    """Time until the ticket's due date. Left out: it has none."""
    fields: dict[str, FieldValue] = Field(default_factory=dict)
    """Ticket fields on top of those of the section, for example ``assignment_group``."""


class TicketStateSettings(SettingsModel):
    """What Secure Score is told of a ticket in some state. The first entry that fits wins."""

    phase: Literal["open", "resolved", "closed"] | None = None
    """Phase of the ticket. For a change request Review counts as closed; see docs/servicenow.md."""
    state: StrictStr | None = None
    """Or one state, by its name on the connection or by its stored value."""
    close_code: Patterns | None = None
    """Only tickets with such a close code."""
    control: Literal["Default", "Ignored", "ThirdParty", "Reviewed", "nothing"]
    """State of the control: Default (to address), Ignored (risk accepted), ThirdParty (resolved through third party),
    Reviewed (resolved through alternate mitigation), or ``nothing``: the control is left alone."""
    comment: str = "{{ ticket.number }} is {{ ticket.state }}: {{ ticket.url }}"
    """Template of the comment. It may use ``ticket.number``, ``ticket.state``, ``ticket.url``, ``ticket.kind``,
    ``ticket.owner`` and ``ticket.close_code``."""

    @model_validator(mode="after")
    def _says_which(self) -> Self:
        if self.phase is not None and self.state is not None:
            raise ValueError("give either 'phase' or 'state'")
        if self.phase is None and self.state is None and self.close_code is None:
            raise ValueError("say which tickets: 'phase', 'state' or 'close_code'")
        return self


_UNSOLVED = ["unsuccessful", "not solved*", "no resolution*"]

#: What stands for ``states`` where the file does not say.
STATES = (
    TicketStateSettings(state="Canceled", control="nothing"),
    TicketStateSettings(close_code=_UNSOLVED, control="nothing"),
    TicketStateSettings(phase="resolved", control="Reviewed"),
    TicketStateSettings(phase="closed", control="Reviewed"),
)


class SecureScoreSettings(SettingsModel):
    """Makes tickets of the improvement actions of Microsoft 365 Secure Score, by rules and on demand, and writes
    the result back to Secure Score; see docs/secure-score.md."""

    tenants: Annotated[list[ScoreTenant], Field(min_length=1, max_length=100)] = Field(
        default_factory=lambda: [ScoreTenant()]
    )
    """Tenants. Left out: that of the app's own identity."""
    cloud: CloudName = "public"
    """Cloud of these tenants: ``public``, ``us_government`` or ``china`` (where Microsoft does not offer this API
    yet)."""
    every: Annotated[Duration, Field(ge=timedelta(hours=1), le=timedelta(days=30))] = timedelta(days=1)
    """How often each tenant is read; Microsoft computes the score once a day. The timer runs every hour."""
    connection: Name
    """Name of a connection."""
    ticket: Literal[TicketKind.CHANGE_REQUEST, TicketKind.INCIDENT] = TicketKind.CHANGE_REQUEST
    """Kind of ticket: change_request or incident."""
    fields: dict[str, FieldValue] = Field(default_factory=dict)
    """Ticket fields: constants, templates or look-ups, added to the defaults of docs/secure-score.md; ``null`` removes
    a default."""
    requested_by: str = ""
    """Who asks for the tickets that rules make (a change's requester, an incident's caller): user name or e-mail
    address. Empty: nobody."""
    rules: list[ScoreRuleSettings] = Field(default_factory=list)
    """Which controls become tickets automatically. Left out: none, tickets are made on demand only."""
    resolve: Literal["resolve", "comment", "nothing"] = "resolve"
    """What a control that is done does to its ticket: ``resolve`` it, a ``comment``, or ``nothing``."""
    resolve_fields: dict[str, FieldValue] = Field(default_factory=dict)
    """Fields written when resolving, as under ``resolve.fields`` of a route."""
    updates: Literal["comment", "nothing"] = "comment"
    """What a score that changed does while the ticket is open: a work note, or nothing."""
    reopen_window: Duration | None = None
    """How long after its end a control whose score falls again reopens its ticket. Left out:
    ``delivery.reopen_window``."""
    write_back: bool = True
    """Whether states of tickets are written back to Secure Score (needs SecurityEvents.ReadWrite.All)."""
    states: list[TicketStateSettings] = Field(default_factory=lambda: list(STATES))
    """What is written back to Secure Score, by the state of the ticket. Left out: Reviewed when a ticket is resolved or
    closed, unless it was cancelled or its close code says that nothing was solved. A reopened ticket sets the control
    back to Default where no entry says otherwise."""

    @model_validator(mode="after")
    def _names(self) -> Self:
        names = [rule.name for rule in self.rules]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"two rules are called '{twice[0]}'. Fix: give each a name of its own")
        ids = [one.id for one in self.tenants]
        if len(ids) > 1 and "" in ids:
            raise ValueError("name the 'tenant' of each entry where there are several")
        twice = sorted({one for one in ids if ids.count(one) > 1})
        if twice:
            raise ValueError(f"tenant {twice[0]} is given twice")
        return self
