"""Section ``defender`` of bridge.yaml. The docstrings go into the JSON Schema and docs."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, StrictStr, model_validator

from connectors.microsoft.settings import SignIn
from shared.core.clouds import CloudName
from shared.core.conditions import Patterns, When
from shared.core.field_values import FieldValue, Name
from shared.core.settings import Duration, Guid, SettingsModel
from shared.core.ticket_system import TicketKind

_SCOPES = (
    re.compile(r"/", re.ASCII),
    re.compile(r"/tenants/[0-9a-f-]{36}", re.ASCII | re.IGNORECASE),
    re.compile(r"/providers/Microsoft\.Management/managementGroups/[\w.()-]{1,90}", re.ASCII | re.IGNORECASE),
    re.compile(r"/subscriptions/[0-9a-f-]{36}", re.ASCII | re.IGNORECASE),
    re.compile(r"/subscriptions/[0-9a-f-]{36}/resourceGroups/[\w.()-]{1,90}", re.ASCII | re.IGNORECASE),
    re.compile(
        r"/subscriptions/[0-9a-f-]{36}/resourceGroups/[\w.()-]{1,90}"
        r"/providers/Microsoft\.Security/securityConnectors/[\w.()-]{1,90}",
        re.ASCII | re.IGNORECASE,
    ),
)


def _scope(value: str) -> str:
    value = value.rstrip("/") or "/"
    if not any(pattern.fullmatch(value) for pattern in _SCOPES):
        raise ValueError(
            "not a scope. Fix: write / (everything), /tenants/ID, /subscriptions/ID, "
            "/subscriptions/ID/resourceGroups/NAME, /providers/Microsoft.Management/managementGroups/NAME, "
            "or the id of a security connector (AWS, GCP)"
        )
    return value


#: A part of the estate, by its ARM id. Compared without case.
Scope = Annotated[StrictStr, AfterValidator(_scope)]


class DefenderTenant(SettingsModel):
    """A tenant whose findings are read and told of their tickets."""

    tenant: Guid | None = None
    """Id of the tenant; only needed where several are listed."""
    sign_in: SignIn | None = None
    """For a tenant that is not the app's own and not delegated by Azure Lighthouse. Left out: the app's identity."""
    subscriptions: Annotated[list[Guid] | None, Field(min_length=1, max_length=1000)] = None
    """Only these subscriptions. Left out (and no management groups): all that the identity may read."""
    management_groups: Annotated[list[StrictStr] | None, Field(min_length=1, max_length=10)] = None
    """Only what lies below these management groups, by name."""

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.subscriptions is not None and self.management_groups is not None:
            raise ValueError("give either 'subscriptions' or 'management_groups'")
        return self


class DefenderPollSettings(SettingsModel):
    """Reads findings from Azure Resource Graph, so that nothing depends on exports, and no paid plan is needed where
    the data is free."""

    every: Annotated[Duration, Field(ge=timedelta(minutes=15), le=timedelta(days=7))] = timedelta(hours=1)
    """How often all findings are read and compared with those of the time before. The timer runs every 15 minutes."""
    kinds: Annotated[
        tuple[Literal["recommendation", "sub_assessment", "security_alert"], ...], Field(min_length=1, max_length=3)
    ] = ("recommendation",)
    """What is read."""
    when: When = When()
    """Which findings count. Left out: all."""
    unassigned: Literal["nothing", "routes"] = "nothing"
    """What becomes of recommendations that no governance rule assigns: ``nothing``, or they take the ``routes`` like
    alerts. Findings of the other kinds always take the routes."""


IntegrationKind = Literal[TicketKind.INCIDENT, TicketKind.CHANGE_REQUEST, TicketKind.PROBLEM]


class IntegrationSettings(SettingsModel):
    """Where the tickets of recommendations go, for one part of the estate. The nearest scope wins."""

    name: Name
    """Shown in lists, logs and previews."""
    disabled: bool = False
    """True: it takes no new recommendations, which go to the integration with the next nearest scope, or to the routes.
    Tickets that it made stay with it."""
    scope: Scope = "/"
    """``/``, a tenant, management group, subscription, resource group, or security connector (AWS, GCP)."""
    connection: Name
    """Name of a connection."""
    ticket: IntegrationKind = TicketKind.INCIDENT
    """Kind of ticket where nobody asks for another: incident, change_request or problem."""
    one_ticket_per: Literal["resource", "recommendation", "owner"] = "resource"
    """``resource``: each recommendation of each resource has its own ticket; ``recommendation``: one for all resources
    that share it; ``owner``: one for all that somebody has to fix."""
    fields: dict[IntegrationKind, dict[str, FieldValue]] | Literal["default"] = "default"
    """``default``: title, description, remediation steps, owner, due date and caller. Otherwise customised per kind of
    ticket: field to constant, template or look-up, over the defaults; ``null`` removes a default. A customised kind
    must give the fields for title, owner and requester (ServiceNow: ``short_description``, ``assigned_to``, and
    ``caller_id`` or ``requested_by``). Kinds that are not named keep the defaults."""
    resolve_fields: dict[str, FieldValue] = Field(default_factory=dict)
    """Fields written when the finding is gone, over the defaults, for tickets of the kind ``ticket``: for example
    ``close_code``."""
    reopen_window: Duration | None = None
    """How long after its end a finding that returns reopens its ticket instead of opening a new one. Left out:
    ``delivery.reopen_window``."""
    caller: str = ""
    """Who the tickets' caller is where nobody is named: user name or e-mail address. Empty: nobody."""


class OwnerSettings(SettingsModel):
    """Whose the finding is: a fixed value, or what a tag of the resource says."""

    value: Annotated[str | None, Field(min_length=1, max_length=200)] = None
    """E-mail address or user name."""
    tag: Annotated[str | None, Field(min_length=1, max_length=512)] = None
    """Name of a tag of the resource, compared without case."""
    otherwise: str = ""
    """Owner where the resource has no such tag. Empty: it has no owner."""

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.value is None) == (self.tag is None):
            raise ValueError("give either 'value' or 'tag'")
        return self


class GovernanceRuleSettings(SettingsModel):
    """Assigns recommendations by itself: who has to fix them, and until when."""

    name: Annotated[str, Field(min_length=1, max_length=80)]
    """Shown in assignments and tickets."""
    priority: Annotated[int, Field(ge=1, le=1000)] = 500
    """The lowest number is tried first; equal ones in the order of the file."""
    scope: Scope = "/"
    """Part of the estate."""
    excluded_scopes: list[Scope] = Field(default_factory=list)
    """Parts of it that are left out."""
    when: When = When()
    """Which findings, for example ``severity: [1]``. Left out: all."""
    recommendations: Patterns | None = None
    """Names or assessment keys of recommendations. Left out: all."""
    owner: OwnerSettings
    """Who has to fix it."""
    days: Literal[7, 14, 30, 90] = 30
    """Time to fix it, counted from when the finding was first assigned."""
    ticket: IntegrationKind | None = None
    """Kind of ticket. Left out: the integration's."""
    grace: bool = False
    """Within that time the finding does not lower the secure score."""
    notify_owner: bool = True
    """Defender for Cloud writes to the owner once a week."""
    notify_manager: bool = False
    """And to the owner's manager."""
    remind_every: Annotated[Duration | None, Field(ge=timedelta(days=1), le=timedelta(days=90))] = timedelta(days=7)
    """How often the ticket of an overdue finding is reminded. ``null``: never."""
    remind_with: Literal["work_note", "comment"] = "work_note"
    """A ``work_note``, or a ``comment`` that the caller sees as well."""
    remind_manager: bool = False
    """The owner's manager (of the ticket system's user record) is put on the ticket's watch list when it is overdue."""
    disabled: bool = False
    """Nothing new is assigned by it; what it has assigned stays."""


class DefenderSettings(SettingsModel):
    """Reads findings of Defender for Cloud, assigns them, and writes their tickets back to it; see docs/defender.md."""

    tenants: Annotated[list[DefenderTenant], Field(min_length=1, max_length=100)] = Field(
        default_factory=lambda: [DefenderTenant()]
    )
    """Tenants. Left out: all that the app's own identity may read."""
    cloud: CloudName = "public"
    """Cloud of these tenants: ``public``, ``us_government`` or ``china``."""
    poll: DefenderPollSettings | None = None
    """Left out: findings only come by ``POST /api/recommendations`` or by the Event Hub."""
    integrations: list[IntegrationSettings] = Field(default_factory=list)
    """Where tickets go, by part of the estate."""
    governance: list[GovernanceRuleSettings] = Field(default_factory=list)
    """Rules that assign recommendations by themselves."""
    write_back: bool = True
    """Whether governance assignments in Defender for Cloud are written (needs Defender CSPM). ``false``: owner, due
    date and ticket are known to the bridge and in the ticket alone."""

    @model_validator(mode="after")
    def _names(self) -> Self:
        for what, names in (
            ("integration", [one.name for one in self.integrations]),
            ("governance rule", [one.name for one in self.governance]),
        ):
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                raise ValueError(f"two are called '{twice[0]}'. Fix: give each {what} a name of its own")
        scopes = [one.scope.casefold() for one in self.integrations]
        for scope in scopes:
            if scopes.count(scope) > 1:
                raise ValueError(f"two integrations have the scope {scope}. Fix: one integration per scope")
        if self.governance and not self.integrations:
            raise ValueError("governance rules need an integration that says where their tickets go")
        if len(self.tenants) > 1 and any(one.tenant is None for one in self.tenants):
            raise ValueError("name the 'tenant' of each entry where there are several")
        return self
