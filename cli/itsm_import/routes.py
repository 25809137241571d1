"""Writes routes of bridge.yaml from ITSM actions; comments say what could not be carried over."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from app.configuration import parse_config
from cli.itsm_import.exports import Exports, ItsmAction
from shared.core.errors import ConfigurationError

#: Custom property that tells groups apart whose alert rules are not known.
PROPERTY = "itsm_action_group"

_KINDS = {"incident": "incident", "event": "event", "alert": "event"}

#: A connection that is never called: the loader needs one to judge a route.
_CONNECTION = {
    "type": "servicenow",
    "url": "https://example.service-now.com",
    "auth": {"type": "api_key", "key": {"secret": "unused"}},
}

_WORD = re.compile(r"[a-z_][a-z0-9_]*")

_HEAD = """\
# Routes made from {actions} of {groups} by bridge.py import-itsm-actions.
# Put them into bridge.yaml under 'routes', before routes that take more, and run bridge.py validate.
# An alert does not say which action group sent it. So a route names the alert rules of its group, where they were in
# the files, or else a custom property that the rules have to get.
# Resolved resolves the same ticket, for every kind of alert; Microsoft's connector made a second one."""


def routes_text(found: Exports, connections: Mapping[str, str]) -> str:
    """The YAML of all routes.

    Args:
        found: what was read; without mistakes.
        connections: name in bridge.yaml by id of a connection, lower case; ``""`` for every other.
    """
    groups: dict[str, list[ItsmAction]] = {}
    for action in found.actions:
        groups.setdefault(action.group.lower(), []).append(action)
    head = _HEAD.format(
        actions=_counted(len(found.actions), "ITSM action"), groups=_counted(found.groups, "action group")
    )
    lines = [*head.splitlines(), "routes:"]
    names: set[str] = set()
    for group, actions in groups.items():
        lines += ["", *_group(actions, found.rules.get(group, []), connections, names)]
    if not any(line.startswith("  - name: ") for line in lines):
        lines[lines.index("routes:")] = "routes: []"
    return "\n".join(lines) + "\n"


def _group(
    actions: list[ItsmAction], rules: list[str], connections: Mapping[str, str], names: set[str]
) -> Iterator[str]:
    """The route of a group, and a comment for every further action of it."""
    first = actions[0]
    yield f"  # Action group {_plain(first.group)}, ITSM action {_plain(first.name)}"
    if not first.enabled:
        yield "  # The action group is disabled, so there is no route for it."
        return
    yield from (f"  #   {line}" for line in _notes(first, connections))
    yield f"  - name: {_scalar(_name(first, names))}"
    yield from _when(first, rules)
    yield f"    connection: {_scalar(_connection(first, connections))}"
    yield f"    ticket: {_kind(first)}"
    if first.per_row or first.per_item:
        yield f"    group: {{by: {'row' if first.per_row else 'item'}}}"
    good, bad = _fields(first)
    if good:
        yield "    fields:"
        yield from (
            f"      {name if _WORD.fullmatch(name) else _scalar(name)}: {_scalar(value)}"
            for name, value in good.items()
        )
    yield from (f"    # not carried over: {line}" for line in bad)
    for other in actions[1:]:
        what = "the same" if _same(first, other) else f"{other.work_item} on connection {_plain(other.connection)}"
        yield f"  # Its ITSM action {_plain(other.name)} ({what}) made a second work item of each alert."
        yield "  #   The bridge makes exactly one ticket of an alert, so there is no route for it."


def _notes(action: ItsmAction, connections: Mapping[str, str]) -> Iterator[str]:
    name = _connection(action, connections)
    yield (
        f"connection {_plain(action.connection)} of workspace {_plain(action.workspace)}: check that '{name}' is that "
        "instance"
    )
    if action.work_item.lower() == "alert":
        yield "work item type Alert: the bridge sends an event, of which Event Management makes the alert"
    elif action.work_item.lower() not in _KINDS:
        yield f"work item type {_plain(action.work_item)} is not known; this makes an incident"
    if action.template:
        yield "UseTemplate: the values of the ServiceNow template are not in the export. Repeat them under 'fields'"
    if action.per_row:
        yield "CreateOneWIPerLog: a ticket for each row of a log alert, each with its own end. Name the columns that"
        yield "tell rows apart if the usual ones do not (docs/rows.md)"
    elif action.per_item:
        yield "CreateOneWIPerCI: a ticket for each configuration item that an alert names, each with its own end"
    else:
        yield (
            "CreateOneWIPerCI off: log alerts of one rule shared a work item. For that add  group: {by: rule}  to a "
            "route for  kind: log"
        )


def _when(action: ItsmAction, rules: list[str]) -> Iterator[str]:
    good = [rule for rule in rules if not _mistake(when={"rule": [rule]})]
    if good:
        yield f"    when: {{rule: [{', '.join(map(_scalar, good))}]}}"
    else:
        value = action.group
        if _mistake(when={"custom_properties": {PROPERTY: value}}):
            value = re.sub(r"\W", "-", value) or "group"
        yield f"    when: {{custom_properties: {{{PROPERTY}: {_scalar(value)}}}}}"
        yield f"    # Its alert rules were not in the files: give each of them the custom property {PROPERTY} with this"
        yield "    # value, or add an export of the rules to the files."
    yield from (f"    # not carried over: alert rule {_plain(rule)}" for rule in rules if rule not in good)


def _fields(action: ItsmAction) -> tuple[dict[str, Any], list[str]]:
    """Fields that the configuration takes, and for the others a sentence."""
    good: dict[str, Any] = {}
    bad: list[str] = []
    for name, value in action.fields.items():
        if value in (None, ""):
            continue
        if not isinstance(value, str | int) or isinstance(value, bool):
            bad.append(f"{_plain(name)}: the value is neither text nor a number")
            continue
        if isinstance(value, str) and ("{{" in value or "{%" in value or "${" in value):
            bad.append(f"{_plain(name)}: the value has characters of a template; write it by hand")
            continue
        problem = _mistake(ticket=_kind(action), fields={str(name): value})
        if problem:
            bad.append(f"{_plain(name)}: {_plain(problem)}")
        else:
            good[str(name)] = value
    return good, bad


def _mistake(**route: Any) -> str:
    """What the configuration has against a route with these parts; empty for nothing."""
    whole = {"name": "r", "when": {"source": "azure_monitor"}, "connection": "c", **route}
    text = json.dumps({"version": 1, "connections": {"c": _CONNECTION}, "routes": [whole]})
    try:
        parse_config(text, settings={})
    except ConfigurationError as error:
        place, _, sentence = error.problems[0].partition("routes[0].")
        return sentence or place
    return ""


def _kind(action: ItsmAction) -> str:
    return _KINDS.get(action.work_item.lower(), "incident")


def _connection(action: ItsmAction, connections: Mapping[str, str]) -> str:
    return connections.get(action.connection.lower()) or connections[""]


def _same(one: ItsmAction, other: ItsmAction) -> bool:
    return (one.work_item, one.connection, dict(one.fields)) == (other.work_item, other.connection, dict(other.fields))


def _name(action: ItsmAction, names: set[str]) -> str:
    """A route's name that no other has."""
    wanted = action.group[:70].replace("${", "$ {")
    found, number = wanted, 2
    while found.lower() in names:
        found, number = f"{wanted} {number}", number + 1
    names.add(found.lower())
    return found


def _scalar(value: str | int) -> str:
    """A value as YAML on one line."""
    if isinstance(value, int):
        return str(value)
    return str(yaml.safe_dump(value, default_style='"', allow_unicode=True, width=math.inf)).strip()


def _plain(text: str) -> str:
    """Text for a comment: one line, of a length that can be read."""
    printable = "".join(one if one.isprintable() else " " for one in text)
    return " ".join(printable.split())[:200] or "-"


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
