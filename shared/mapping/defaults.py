"""Fields that a ticket has when the configuration says nothing, by role, as templates."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from shared.core.fields import FieldRole

#: Written when a ticket is created.
FIELDS: Mapping[FieldRole, str] = MappingProxyType(
    {
        FieldRole.TITLE: "{{ signal.title }}",
        FieldRole.BODY: "{{ summary }}",
        FieldRole.IMPACT: "{{ levels.impact }}",
        FieldRole.URGENCY: "{{ levels.urgency }}",
        FieldRole.CONFIGURATION_ITEM: "{{ resource.id or resource.name or '' }}",
    }
)

#: Written when a Resolved resolves a ticket; state and code come from the connector where they are not given.
CLOSING_NOTE = (
    "{% if signal.details.withdrawn %}{{ signal.details.withdrawn }}{% else %}"
    "{{ signal.rule or signal.title }} ended at {{ signal.resolved_at or signal.occurred_at }}"
    "{% if signal.details.resolution %} ({{ signal.details.resolution | replace('_', ' ') }}){% endif %}"
    ", reported by {{ source.name }}."
    "{% if signal.details.communication %}{{ '\\n\\n' ~ signal.details.communication }}{% endif %}{% endif %}"
)
