"""Sections ``secure_webhook`` and ``accept_only`` of bridge.yaml. The docstrings go into the JSON Schema and docs."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Self

from pydantic import AfterValidator, Field, StrictStr, model_validator

from shared.core.clouds import CLOUDS, CloudName
from shared.core.conditions import Patterns
from shared.core.settings import Duration, Guid, SettingsModel
from shared.platform.addresses import web_origin


def _authority(value: str) -> str:
    found = web_origin(value)
    if not found:
        raise ValueError("not an address of the form https://host (http for this machine only)")
    return found


Audience = Annotated[StrictStr, Field(min_length=1, max_length=255)]


class SecureWebhook(SettingsModel):
    """Action Groups that sign in with Microsoft Entra, at ``POST /api/secure/alerts``. Left out: it answers 404."""

    tenants: Annotated[list[Guid], Field(min_length=1, max_length=100)]
    """Ids of the Entra tenants whose tokens are accepted."""
    audiences: Annotated[list[Audience], Field(min_length=1, max_length=20)]
    """Accepted audiences of the token: the Application ID URI (``api://...``, tokens of version 1) and the client id
    (version 2) of the bridge's app registration."""
    cloud: CloudName = "public"
    """Cloud of these tenants: ``public``, ``us_government`` or ``china``. It decides issuers, keys and callers."""
    callers: Annotated[list[Guid] | None, Field(min_length=1, max_length=20)] = None
    """Application ids that may call. Left out: Action Groups' own application in that cloud; none is published for
    ``china``, so it has to be given there."""
    role: Annotated[str, Field(min_length=1, max_length=120)] = "ActionGroupsSecureWebhook"
    """App role that the caller must have been given."""
    leeway: Annotated[Duration, Field(le=timedelta(minutes=10))] = timedelta(minutes=2)
    """How far the clocks may differ when a token's times are compared."""
    authority: Annotated[str, AfterValidator(_authority)] | None = None
    """Address where the signing keys are fetched instead of the cloud's own, for a private cloud or a stand-in. The
    issuers stay those of the cloud."""

    @model_validator(mode="after")
    def _has_callers(self) -> Self:
        if self.callers is None and not CLOUDS[self.cloud].callers:
            raise ValueError(
                f"callers is missing, and none is known for {self.cloud}. Fix: give the application id of the service "
                "principal 'AzNS AAD Webhook' in your tenant"
            )
        return self


class AcceptOnly(SettingsModel):
    """Which signals may become tickets, by the content of the payload. All given conditions must hold. A signal that
    fails one is stored in quarantine (code ``not_allowed``), and makes no ticket.

    Patterns compare whole values without case; ``*`` stands for any text, ``?`` for one character. Unlike a route's
    conditions these hold only when everything that the signal names matches, and when it names something.
    """

    tenants: Patterns | None = None
    """Tenant, id or domain. Few payloads name one (log alerts do, in their links); those that name none pass this
    condition, so give ``subscriptions`` too, and ``secure_webhook.tenants`` for what the token proves."""
    subscriptions: Patterns | None = None
    """Subscription ids of the alert, its rule and every affected resource."""
    resource_groups: Patterns | None = None
    """Resource groups of every affected resource. Alerts about a whole subscription name none and are not accepted."""
    rules: Patterns | None = None
    """Name or id of the alert rule. Alerts that name none are not accepted."""
