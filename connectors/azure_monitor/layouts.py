"""How tickets present alerts of Azure Monitor. Kinds that are not named here have the plain layout."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from shared.mapping.layouts import Layout

LAYOUTS: Mapping[str, Layout] = MappingProxyType(
    {
        "log": Layout(texts=(("result_rows", "Rows that the query returned"),)),
        "activity": Layout(
            facts=(
                ("operation", "Operation"),
                ("status", "Status"),
                ("caller", "Done by"),
                ("caller_application", "With the application"),
                ("caller_address", "From address"),
                ("event_time", "Time of the event"),
                ("correlation_id", "Correlation id"),
            ),
            texts=(("policies", "Policies"), ("remediation_steps", "Remediation steps")),
        ),
        "service_health": Layout(
            facts=(
                ("tracking_id", "Tracking id"),
                ("incident_type", "Type"),
                ("stage", "Stage"),
                ("service", "Services"),
                ("region", "Regions"),
                ("impact_start", "Impact began"),
                ("impact_end", "Impact ends"),
            ),
        ),
    }
)
