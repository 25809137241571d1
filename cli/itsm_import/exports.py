"""Reads exported action groups and alert rules: ARM templates, lists of the REST API, and what the Azure CLI prints.

An ITSM action (``itsmReceivers`` of ``Microsoft.Insights/actionGroups``) has ``name``, ``connectionId``,
``workspaceId`` (subscription and workspace with a bar between them), ``region`` and ``ticketConfiguration``, a JSON
text whose ``WorkItemData`` is again JSON as text. Sources: Microsoft Learn, "Microsoft.Insights actionGroups" (template
reference) and "New-AzActionGroupItsmReceiverObject"; hashicorp/terraform-provider-azurerm, issue 11595 and pull request
18190.

Alert rules name their action groups in a different place for each type. Sources: Microsoft Learn, template references
of metricAlerts, scheduledQueryRules, activityLogAlerts, smartDetectorAlertRules and prometheusRuleGroups.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

_PARAMETER = re.compile(r"parameters\(\s*'([^']+)'\s*\)")
_LITERAL = re.compile(r"'([^']*)'")
_GROUP_ID = re.compile(r"/actiongroups/([^/]+)/?$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ItsmAction:
    """An ITSM action.

    Attributes:
        group: name of its action group. name: its own.
        enabled: whether its group is. connection: id of the connection. workspace: as exported.
        work_item: Incident, Event or Alert.
        template: whether the fields came from a template of the ticket system.
        per_item, per_row: one work item for each configuration item, or for each row of a log alert.
        fields: fixed values of the work item.
    """

    group: str
    name: str
    enabled: bool
    connection: str
    workspace: str
    work_item: str
    template: bool
    per_item: bool
    per_row: bool
    fields: Mapping[str, Any]


@dataclass(slots=True)
class Exports:
    """What was read.

    Attributes:
        groups: how many action groups. actions: their ITSM actions, in the order of the files.
        rules: names of alert rules by the action group that they call, lower case.
        mistakes: what could not be read: file, place and fix, one sentence each.
    """

    groups: int = 0
    actions: list[ItsmAction] = field(default_factory=list)
    rules: dict[str, list[str]] = field(default_factory=dict)
    mistakes: list[str] = field(default_factory=list)


def read_export(name: str, content: bytes, found: Exports) -> None:
    """Read one file into what was found. Never raises: mistakes are noted there.

    Args:
        name: of the file, for messages.
        content: of the file.
        found: is added to.
    """
    try:
        data = json.loads(content.decode("utf-8-sig"))
    except json.JSONDecodeError as error:
        found.mistakes.append(
            f"{name}:{error.lineno}:{error.colno}: no JSON: {error.msg}. Fix: export it again, for example with "
            "az monitor action-group list"
        )
        return
    except (UnicodeDecodeError, RecursionError):
        found.mistakes.append(f"{name}: no JSON in UTF-8. Fix: save it as UTF-8")
        return
    try:
        json.dumps(data, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        found.mistakes.append(rf"{name}: a text has half of a surrogate pair, such as \ud800. Fix: export it again")
        return
    _File(name, data, found).read()


class _File:
    """One file."""

    def __init__(self, name: str, data: Any, found: Exports) -> None:
        self._name = name
        self._data = data
        self._found = found
        parameters = data.get("parameters") if isinstance(data, dict) else None
        self._parameters: Mapping[str, Any] = parameters if isinstance(parameters, dict) else {}

    def read(self) -> None:
        """Read everything in it that is an action group or an alert rule."""
        before = self._found.groups + sum(map(len, self._found.rules.values()))
        for resource in _resources(self._data):
            kind = str(resource.get("type", "")).lower()
            body = resource.get("properties")
            body = body if isinstance(body, dict) else resource
            if kind.endswith("/actiongroups") or (not kind and ("itsmReceivers" in body or "groupShortName" in body)):
                self._group(resource, body)
            else:
                self._rule(resource, body)
        if self._found.groups + sum(map(len, self._found.rules.values())) == before:
            fix = "Fix: export the resource group, or use az monitor action-group list"
            self._mistake("", f"has no action group and no alert rule. {fix}")

    def _mistake(self, place: str, text: str) -> None:
        self._found.mistakes.append(f"{self._name}: {f'{place}: ' if place else ''}{text}")

    def _group(self, resource: Mapping[str, Any], body: Mapping[str, Any]) -> None:
        self._found.groups += 1
        group = self._text(resource.get("name"), "action group", "name")
        receivers = body.get("itsmReceivers") or []
        if not isinstance(receivers, list):
            self._mistake(f"action group {group}", "itsmReceivers is no list. Fix: export it again")
            return
        for number, receiver in enumerate(receivers):
            place = f"action group {group}: itsmReceivers[{number}]"
            if not isinstance(receiver, dict):
                self._mistake(place, "is no object. Fix: export it again")
                continue
            action = self._action(group, body.get("enabled") is not False, receiver, place)
            if action is not None and action not in self._found.actions:  # several exports may show the same group
                self._found.actions.append(action)

    def _action(self, group: str, enabled: bool, receiver: Mapping[str, Any], place: str) -> ItsmAction | None:
        name = self._text(receiver.get("name"), place, "name")
        ticket = self._json(receiver.get("ticketConfiguration"), place, "ticketConfiguration")
        if not name or ticket is None:
            return None
        values = self._json(ticket.get("WorkItemData") or {}, place, "ticketConfiguration.WorkItemData")
        if values is None:
            return None
        return ItsmAction(
            group=group,
            name=name,
            enabled=enabled,
            connection=str(receiver.get("connectionId") or ""),
            workspace=str(receiver.get("workspaceId") or ""),
            work_item=str(ticket.get("WorkItemType") or "Incident"),
            template=ticket.get("UseTemplate") is True,
            per_item=ticket.get("CreateOneWIPerCI") is True,
            per_row=ticket.get("CreateOneWIPerLog") is True,
            fields=values,
        )

    def _json(self, value: Any, place: str, field_name: str) -> dict[str, Any] | None:
        """An object, or the one in a JSON text; None, and a mistake, for anything else."""
        if isinstance(value, str):
            resolved = self._resolved(value)
            try:
                value = json.loads(resolved)
            except ValueError as error:
                self._mistake(place, f"{field_name} is no JSON: {error}. Fix: export the action group again")
                return None
        if not isinstance(value, dict):
            self._mistake(
                place,
                f"{field_name} is {'missing' if value is None else 'no JSON object'}. Fix: export the "
                "action group again",
            )
            return None
        return value

    def _text(self, value: Any, place: str, field_name: str) -> str:
        found = " ".join(self._resolved(value).split()) if isinstance(value, str) else ""
        if not found:
            self._mistake(place, f"{field_name} is missing. Fix: export it again")
        elif found.startswith("[") and not found.startswith("[["):
            self._mistake(place, f"{field_name} is the expression {found[:80]}. Fix: write its value into the file")
        return found

    def _resolved(self, value: str) -> str:
        """A text of a template with the default value of its parameter; an expression that is more stays."""
        inner = value[1:-1].strip() if value.startswith("[") and value.endswith("]") else ""
        match = _PARAMETER.fullmatch(inner)
        if match is None:
            return value
        parameter = self._parameters.get(match[1])
        default = parameter.get("defaultValue") if isinstance(parameter, dict) else None
        return default if isinstance(default, str) else value

    def _rule(self, resource: Mapping[str, Any], body: Mapping[str, Any]) -> None:
        """Note an alert rule for each action group that it calls."""
        inner = body.get("rules")
        if isinstance(inner, list):  # Prometheus: alerts name the group and the rule
            for rule in inner:
                if isinstance(rule, dict) and isinstance(rule.get("alert"), str):
                    self._note_rule(resource, rule, f"/{rule['alert']}")
        else:
            self._note_rule(resource, body, "")

    def _note_rule(self, resource: Mapping[str, Any], body: Mapping[str, Any], ending: str) -> None:
        groups = {name for one in _mentioned(body) if (name := self._group_name(one))}
        name = self._text(resource.get("name"), "alert rule", "name") if groups else ""
        for group in sorted(groups):
            names = self._found.rules.setdefault(group, [])
            if name and name + ending not in names:
                names.append(name + ending)

    def _group_name(self, reference: str) -> str:
        """Name of the action group of an id, or of a template's ``resourceId(...)``; lower case, empty for others."""
        text = self._resolved(reference)
        match = _GROUP_ID.search(text)
        if match is not None:
            return match[1].lower()
        if "actiongroups" in text.lower() and text.startswith("["):
            last = text[1:-1].rsplit(",", 1)[-1].strip(" )")
            literal = _LITERAL.fullmatch(last)
            parameter = _PARAMETER.search(f"{last})")
            found = literal[1] if literal else self._resolved(f"[{parameter[0]}]") if parameter else ""
            return found.lower()
        return ""


def _resources(data: Any) -> Iterator[Mapping[str, Any]]:
    """The resources of an export: one, a list, the ``value`` of a REST answer, or those of a template."""
    if isinstance(data, dict):
        inner = next((data[key] for key in ("resources", "value") if isinstance(data.get(key), list)), None)
        data = [data] if inner is None else inner
    if isinstance(data, list):
        for one in data:
            if isinstance(one, dict):
                yield one


def _mentioned(body: Mapping[str, Any]) -> Iterator[str]:
    """Every text in a rule that may name an action group: what is below a name with ``action``."""
    for key, inner in body.items():
        if "action" in str(key).lower():
            yield from _texts(inner)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _texts(inner)
