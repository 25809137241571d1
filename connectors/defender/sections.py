"""The section ``defender`` of bridge.yaml, and the mistakes in it that no single value shows."""

from __future__ import annotations

from typing import Any

from connectors.defender.settings import DefenderSettings
from shared.core.fields import FieldMap, FieldRole
from shared.core.plugins import ConfigPath, ConfigView, Mistake, Section
from shared.core.ticket_system import TicketKind

#: What a customised set of fields has to give, where tickets of that kind have such a field.
_REQUIRED = (FieldRole.REQUESTER, FieldRole.OWNER, FieldRole.TITLE)


def sections() -> tuple[Section, ...]:
    """The section."""
    return (
        Section(
            "defender",
            DefenderSettings,
            "Microsoft Defender for Cloud. Left out: findings that are pushed are handled by the routes; nothing is "
            "read, assigned or written back.",
            check=_check,
            makes_tickets=lambda data: isinstance(data, dict) and bool(data.get("integrations")),
            reserved="integration",
        ),
    )


def _check(view: ConfigView) -> list[Mistake]:
    """Connections and fields of the integrations."""
    defender = view.data.get("defender")
    integrations = defender.get("integrations") if isinstance(defender, dict) else None
    mistakes: list[Mistake] = []
    for index, integration in enumerate(integrations if isinstance(integrations, list) else []):
        if isinstance(integration, dict):
            mistakes += _check_integration(view, ("defender", "integrations", index), integration)
    return mistakes


def _check_integration(view: ConfigView, path: ConfigPath, integration: dict[str, Any]) -> list[Mistake]:
    connection = integration.get("connection")
    mistakes = view.connection_mistakes((*path, "connection"), connection)
    mistakes += view.check_fields((*path, "resolve_fields"), integration.get("resolve_fields"), None, None)
    kinds = integration.get("fields")
    columns = view.fields.get(connection) if isinstance(connection, str) else None
    for kind, fields in kinds.items() if isinstance(kinds, dict) else ():
        mistakes += view.check_fields((*path, "fields", str(kind)), fields, connection, kind)
        if columns is not None and isinstance(fields, dict):
            mistakes += _missing(path, str(kind), fields, columns)
    return mistakes


def _missing(path: ConfigPath, kind: str, fields: dict[str, Any], columns: FieldMap) -> list[Mistake]:
    known = next((one for one in TicketKind if one.value == kind), None)
    if known is None:
        return []
    required = [column for role in _REQUIRED for column in columns.named(known, role)[:1]]
    missing = [column for column in required if fields.get(column) in (None, "")]
    if not missing:
        return []
    fix = f"Fix: add {'them' if len(missing) > 1 else 'it'} to fields.{kind}, or write fields: default"
    return [(path, f"the customised fields of '{kind}' do not say {' and '.join(missing)}. {fix}")]
