"""The section ``defender`` of bridge.yaml, and the mistakes in it that no single value shows."""

from __future__ import annotations

from typing import Any

from connectors.defender.settings import DefenderSettings
from shared.config.condition_sets import covers, patterns_cover
from shared.core.fields import FieldMap, FieldRole
from shared.core.plugins import ConfigPath, ConfigView, Mistake, Section
from shared.core.ticket_system import TicketKind

#: What a customised set of fields has to give, where tickets of that kind have such a field.
_REQUIRED = (FieldRole.REQUESTER, FieldRole.OWNER, FieldRole.TITLE)

#: What integrations take.
_RECOMMENDATIONS = {"source": "defender", "kind": "recommendation"}


def sections() -> tuple[Section, ...]:
    """The section."""
    return (
        Section(
            "defender",
            DefenderSettings,
            "Microsoft Defender for Cloud. Left out: findings that are pushed are handled by the routes; nothing is "
            "read, assigned or written back.",
            check=_check,
            warn=_warn,
            makes_tickets=lambda data: isinstance(data, dict) and bool(data.get("integrations")),
            reserved="integration",
        ),
    )


def _check(view: ConfigView) -> list[Mistake]:
    """Connections and fields of the integrations, conditions of the poll and of rules."""
    mistakes: list[Mistake] = []
    for path, integration in _entries(view, "integrations"):
        mistakes += _check_integration(view, path, integration)
    for path, rule in _entries(view, "governance"):
        mistakes += view.check_when((*path, "when"), rule.get("when"))
    defender = view.data.get("defender")
    poll = defender.get("poll") if isinstance(defender, dict) else None
    if isinstance(poll, dict):
        mistakes += view.check_when(("defender", "poll", "when"), poll.get("when"))
    return mistakes


def _entries(view: ConfigView, name: str) -> list[tuple[ConfigPath, dict[str, Any]]]:
    defender = view.data.get("defender")
    found = defender.get(name) if isinstance(defender, dict) else None
    return [
        (("defender", name, index), entry)
        for index, entry in enumerate(found if isinstance(found, list) else [])
        if isinstance(entry, dict)
    ]


def _warn(view: ConfigView) -> list[Mistake]:
    """Governance rules that one with a lower number makes unreachable, and routes that integrations leave nothing."""
    return [*_unused_rules(view), *_routes_without_findings(view)]


def _routes_without_findings(view: ConfigView) -> list[Mistake]:
    """Routes for recommendations only, where a rule assigns every recommendation and an integration takes them all."""
    everywhere = [one for _, one in _entries(view, "integrations") if not one.get("disabled") and _is_root(one)]
    assigns_all = [
        rule
        for _, rule in _entries(view, "governance")
        if not rule.get("disabled")
        and _is_root(rule)
        and not rule.get("excluded_scopes")
        and rule.get("recommendations") is None
        and covers(rule.get("when"), _RECOMMENDATIONS, view.kinds)
    ]
    if not everywhere or not assigns_all:
        return []
    taken, by = everywhere[0].get("name"), assigns_all[0].get("name")
    text = (
        f"never reached: the governance rule '{by}' assigns every recommendation, and the integration '{taken}' takes "
        "those that are assigned. Fix: narrow the rule, or remove the route"
    )
    routes = view.data.get("routes")
    return [
        (("routes", index, "when"), text)
        for index, route in enumerate(routes if isinstance(routes, list) else [])
        if isinstance(route, dict) and covers(_RECOMMENDATIONS, route.get("when"), view.kinds)
    ]


def _is_root(entry: dict[str, Any]) -> bool:
    return str(entry.get("scope", "/")).strip() == "/"


def _unused_rules(view: ConfigView) -> list[Mistake]:
    """Governance rules that one with a lower number makes unreachable."""
    rules = [(path, rule) for path, rule in _entries(view, "governance") if not rule.get("disabled")]
    rules.sort(key=lambda one: int(one[1].get("priority", 500)))
    found: list[Mistake] = []
    for index, (path, rule) in enumerate(rules):
        for _, earlier in rules[:index]:
            if _covers(view, earlier, rule):
                name = earlier.get("name")
                text = (
                    f"never used: the rule '{name}' is tried before and takes all of its findings. Fix: give this one a"
                )
                found.append((path, f"{text} lower priority than '{name}', or remove it"))
                break
    return found


def _covers(view: ConfigView, wide: dict[str, Any], narrow: dict[str, Any]) -> bool:
    """Whether a rule takes every finding that another one would take."""
    scope, inner = (str(rule.get("scope", "/")).rstrip("/").casefold() for rule in (wide, narrow))
    if inner != scope and not (scope == "" or (scope.startswith("/subscriptions/") and inner.startswith(f"{scope}/"))):
        return False
    if wide.get("excluded_scopes") or not covers(wide.get("when"), narrow.get("when"), view.kinds):
        return False
    wanted, given = wide.get("recommendations"), narrow.get("recommendations")
    return wanted is None or (given is not None and patterns_cover(_texts(wanted), _texts(given)))


def _texts(given: Any) -> list[str]:
    return [given] if isinstance(given, str) else [str(one) for one in given]


def _check_integration(view: ConfigView, path: ConfigPath, integration: dict[str, Any]) -> list[Mistake]:
    connection = integration.get("connection")
    mistakes = view.connection_mistakes((*path, "connection"), connection)
    kind = integration.get("ticket", TicketKind.INCIDENT.value)
    mistakes += view.check_closing((*path, "resolve_fields"), integration.get("resolve_fields"), connection, kind)
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
