"""The Aggregate API: ``GET /api/now[/v1]/stats/{table}``.

Source: ServiceNow docs, "Aggregate API".
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from local.servicenow.errors import ApiError, insufficient_rights
from local.servicenow.exchange import Call, result
from local.servicenow.instance import Instance
from local.servicenow.query.parser import parse
from local.servicenow.reading import Reader
from local.servicenow.store import Row
from local.servicenow.table_api import require_table
from local.simulator_kit.calls import Answer

_FUNCTIONS = ("avg", "min", "max", "sum")
_HAVING = re.compile(r"(?P<function>\w+)\^(?P<field>[\w.]*)\^(?P<op>>=|<=|!=|=|>|<)\^(?P<value>-?\d+(?:\.\d+)?)")
_Group = tuple[tuple[str, ...], list[Row]]
_Groups = list[_Group]


class AggregateApi:
    """Serves the call."""

    def __init__(self, instance: Instance) -> None:
        self._instance = instance

    def stats(self, call: Call, table: str) -> Answer:
        """Count, average, minimum, maximum and sum, of everything or by group."""
        require_table(self._instance, table)
        if not self._instance.access.may(call.user, "read", table):
            raise insufficient_rights()
        columns = {name: _names(call.param(f"sysparm_{name}_fields")) for name in _FUNCTIONS}
        count = call.flag("sysparm_count")
        if not count and not any(columns.values()):
            raise ApiError(400, "No request parameter for aggregate operation specified")
        reader = self._instance.reader(call.user)
        rows = [row for row in reader.select(table, parse(call.param("sysparm_query"))) if reader.may_see(row)]
        known = self._instance.dictionary.columns(table)
        group_by = [name for name in _names(call.param("sysparm_group_by")) if name in known]
        if not group_by:
            return result({"stats": self._numbers(rows, count, columns)})
        groups: dict[tuple[str, ...], list[Row]] = {}
        for row in rows:
            groups.setdefault(tuple(row.get(name) for name in group_by), []).append(row)
        chosen = self._having(list(groups.items()), call.param("sysparm_having"))
        self._order(chosen, group_by, call.param("sysparm_order_by"))
        payload = [
            {
                "stats": self._numbers(members, count, columns),
                "groupby_fields": self._group_fields(reader, table, group_by, key, call),
            }
            for key, members in chosen
        ]
        return result(payload)

    def _numbers(self, rows: list[Row], count: bool, columns: dict[str, list[str]]) -> dict[str, Any]:
        stats: dict[str, Any] = {"count": str(len(rows))} if count else {}
        for function in _FUNCTIONS:
            if columns[function]:
                stats[function] = {name: aggregate(function, rows, name) for name in columns[function]}
        return stats

    def _group_fields(
        self, reader: Reader, table: str, names: list[str], key: tuple[str, ...], call: Call
    ) -> list[dict[str, str]]:
        display = call.param("sysparm_display_value", "false").lower()
        fields = []
        for name, value in zip(names, key, strict=True):
            column = self._instance.dictionary.columns(table)[name]
            text = reader.displays.of(table, column, value) if display != "false" else ""
            if display == "true":
                fields.append({"field": name, "value": text})
            elif display == "all":
                fields.append({"field": name, "value": value, "display_value": text})
            else:
                fields.append({"field": name, "value": value})
        return fields

    def _having(self, groups: _Groups, having: str) -> _Groups:
        """Keep groups that fit ``count^state^>^3`` (several separated by commas)."""
        for condition in filter(None, having.split(",")):
            found = _HAVING.fullmatch(condition)
            if found is None:
                continue
            limit = float(found["value"])
            groups = [
                (key, rows)
                for key, rows in groups
                if _compare(_number(aggregate(found["function"].lower(), rows, found["field"])), found["op"], limit)
            ]
        return groups

    def _order(self, groups: _Groups, group_by: list[str], order_by: str) -> None:
        """Sort by ``AVG^field``, ``COUNT^field`` or a group field, ``DESC`` before it or after it."""
        groups.sort(key=lambda group: group[0])
        for name in reversed(_names(order_by)):
            descending = name.upper().endswith("^DESC") or name.upper().startswith("DESC^")
            parts = [part for part in name.split("^") if part.upper() not in ("DESC", "ASC")]
            function, field = (parts[0].lower(), parts[-1]) if len(parts) == 2 else ("", parts[-1] if parts else "")
            key = _sort_key(function, field, group_by)
            if key is not None:
                groups.sort(key=key, reverse=descending)


def _sort_key(function: str, field: str, group_by: list[str]) -> Callable[[_Group], tuple[float, str]] | None:
    if function:
        return lambda group: (_number(aggregate(function, group[1], field)), "")
    if field.lower() == "count":
        return lambda group: (len(group[1]), "")
    if field in group_by:
        at = group_by.index(field)
        return lambda group: (0.0, group[0][at])
    return None


def aggregate(function: str, rows: list[Row], name: str) -> str:
    """One figure as text; averages have four decimals, empty columns do not count."""
    if function == "count":
        return str(len(rows))
    values = [row.get(name) for row in rows if row.get(name)]
    if not values:
        return ""
    try:
        numbers = [float(value) for value in values]
    except ValueError:
        return min(values) if function == "min" else max(values) if function == "max" else ""
    if function == "avg":
        return f"{sum(numbers) / len(numbers):.4f}"
    figures: dict[str, float] = {"sum": sum(numbers, 0.0), "min": min(numbers), "max": max(numbers)}
    figure = figures.get(function)
    if figure is None:
        return ""
    return str(int(figure)) if figure.is_integer() else str(figure)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0


def _compare(left: float, operator: str, right: float) -> bool:
    return {
        "=": left == right,
        "!=": left != right,
        ">": left > right,
        ">=": left >= right,
        "<": left < right,
        "<=": left <= right,
    }[operator]


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]
