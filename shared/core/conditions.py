"""Conditions on signals, as routes, maintenance windows and throttles use them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StrictStr

from shared.core.settings import SettingsModel

Patterns = StrictStr | list[StrictStr]


class When(SettingsModel):
    """Conditions on a signal. All given ones must hold; of the patterns of one condition, any.

    Patterns compare whole values without case; ``*`` stands for any text, ``?`` for one character. Conditions on
    resources hold when any affected resource matches. ``not``, ``any`` and ``all`` take conditions in their turn.
    """

    source: Patterns | None = None
    """Who noticed: azure_monitor, defender, secure_score, manual for tickets by hand, or bridge for its own problems
    (section ``report_itself``)."""
    kind: Patterns | None = None
    """What sort of signal. Azure Monitor: metric, log, activity, service_health, resource_health, prometheus,
    smart_detection, budget, backup, autoscale, other. Defender for Cloud: recommendation, sub_assessment,
    security_alert. Secure Score: control. The bridge itself: the reasons of ``report_itself``."""
    severity: Literal[0, 1, 2, 3, 4, "unknown"] | list[Literal[0, 1, 2, 3, 4, "unknown"]] | None = None
    """0 (critical) to 4 (verbose), or ``unknown`` for signals that have none."""
    rule: Patterns | None = None
    """Name of the alert rule."""
    title: Patterns | None = None
    """The signal's title."""
    subscription: Patterns | None = None
    """Subscription id of an affected resource."""
    resource_group: Patterns | None = None
    """Resource group of an affected resource."""
    resource_type: Patterns | None = None
    """Type of an affected resource, for example ``microsoft.compute/virtualmachines``."""
    resource: Patterns | None = None
    """Name or id of an affected resource."""
    custom_properties: dict[str, Patterns] | None = None
    """Custom properties of the alert rule or its action: name to pattern."""
    dimensions: dict[str, Patterns] | None = None
    """Dimensions of the alert: name to pattern. Facts of Defender for Cloud and Secure Score are dimensions too, for
    example ``categories``, ``implementationEffort``, ``riskLevel``, ``assessmentKey``, ``tier``, ``userImpact``."""
    details: dict[str, Patterns] | None = None
    """Facts of the signal's kind: name to pattern, for example ``{cause: UserInitiated}`` of Resource Health,
    ``{incident_type: Maintenance}`` of Service Health, ``{is_test: "true"}``. ``bridge.py preview`` shows the details
    that a payload has."""
    tags: dict[str, Patterns] | None = None
    """Tags that the signal brings: name to pattern. Azure Monitor sends none of the resource; looked at are Prometheus
    labels, the content of a dimension or custom property called ``tags``, and then the custom properties
    themselves."""
    resource_tags: dict[str, Patterns] | None = None
    """Tags of an affected resource in Azure, else of its resource group, else of its subscription: name to pattern.
    They are read from Azure; see docs/owners.md."""
    not_: Annotated[When | None, Field(alias="not")] = None
    """Conditions that must not hold together: ``not: {details: {cause: UserInitiated}}``. It is fulfilled too where the
    signal has no such value. For none of several: ``not: {any: [{...}, {...}]}``."""
    any: list[When] | None = None
    """Alternatives: at least one of these sets of conditions must hold."""
    all: list[When] | None = None
    """Every one of these sets of conditions must hold: for two lists of alternatives."""
