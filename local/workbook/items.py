"""The parts of a workbook's JSON that ours uses.

Sources: Microsoft Learn, "Azure Workbooks time parameters", "Azure Workbooks drop-down parameters", "Azure Workbooks
link actions", "Azure Workbooks grid visualizations"; the templates in the public repository
microsoft/Application-Insights-Workbooks for the names in the JSON.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

#: What the template replaces when it deploys: the workspace's id, and the portal of the cloud.
WORKSPACE: Final = "__WORKSPACE__"
PORTAL: Final = "__PORTAL__"

_RESOURCE_TYPE: Final = "microsoft.operationalinsights/workspaces"
_DAY: Final = 86_400_000

#: The queries say themselves which time they mean. Workbooks limit TimeGenerated all the same: to as much as is kept.
_ALL_TIME: Final = {"durationMs": 730 * _DAY}

_LOGS: Final = 0  # queryType: Log Analytics
_TEXT, _DROP_DOWN, _TIME = 1, 2, 4  # types of parameters
_LINK, _HIDDEN, _BAR, _DATE = 1, 5, 4, 6  # formatters of columns


@dataclass(frozen=True, slots=True)
class Columns:
    """How columns of a table look.

    Attributes:
        links: columns with the one that holds their address.
        hidden: columns for links and parameters alone.
        bars: numbers with a bar behind them.
        dates: times.
    """

    links: tuple[tuple[str, str], ...] = ()
    hidden: tuple[str, ...] = ()
    bars: tuple[str, ...] = ()
    dates: tuple[str, ...] = ()

    def formatters(self) -> list[dict[str, Any]]:
        """As a workbook names them."""
        links = [
            {"columnMatch": f"^{name}$", "formatter": _LINK, "formatOptions": {"linkColumn": to, "linkTarget": "Url"}}
            for name, to in self.links
        ]
        bars = [
            {"columnMatch": f"^{name}$", "formatter": _BAR, "formatOptions": {"min": 0, "palette": "blue"}}
            for name in self.bars
        ]
        plain = [(name, _HIDDEN) for name in self.hidden] + [(name, _DATE) for name in self.dates]
        return links + bars + [{"columnMatch": f"^{name}$", "formatter": kind} for name, kind in plain]


def text(name: str, markdown: str) -> dict[str, Any]:
    """A text."""
    return {"type": 1, "content": {"json": markdown}, "name": name}


def query(
    name: str,
    title: str,
    kql: str,
    visualization: str = "table",
    *,
    width: int = 100,
    columns: Columns | None = None,
    chart: dict[str, Any] | None = None,
    exported: Mapping[str, str] | None = None,
    shown_with: str = "",
) -> dict[str, Any]:
    """A table or chart.

    Args:
        name: of the item, unique in the workbook. title: above it. kql: its query.
        visualization: ``table``, ``timechart``, ``barchart`` or ``categoricalbar``.
        width: percent of the page.
        columns: of a table. chart: ``xAxis``, ``yAxis`` and ``group`` of a chart.
        exported: parameters that take a value of the selected row, each with the column.
        shown_with: parameter that must have a value.
    """
    content: dict[str, Any] = {
        "version": "KqlItem/1.0",
        "query": kql,
        "size": 0,
        "title": title,
        "noDataMessage": "No rows.",
        "timeContext": _ALL_TIME,
        "queryType": _LOGS,
        "resourceType": _RESOURCE_TYPE,
        "crossComponentResources": [WORKSPACE],
        "visualization": visualization,
    }
    if columns is not None:
        content["gridSettings"] = {"formatters": columns.formatters(), "filter": True, "rowLimit": 250}
    if chart is not None:
        content["chartSettings"] = chart
    if exported is not None:
        content["exportedParameters"] = [
            {"fieldName": column, "parameterName": parameter, "parameterType": _TEXT}
            for parameter, column in exported.items()
        ]
    item: dict[str, Any] = {"type": 3, "content": content, "name": name}
    if width != 100:
        item["customWidth"] = str(width)
    if shown_with:
        item["conditionalVisibility"] = {"parameterName": shown_with, "comparison": "isNotEqualTo", "value": ""}
    return item


def parameters(*found: dict[str, Any]) -> dict[str, Any]:
    """The row of parameters."""
    content = {
        "version": "KqlParameterItem/1.0",
        "parameters": list(found),
        "style": "pills",
        "queryType": _LOGS,
        "resourceType": _RESOURCE_TYPE,
    }
    return {"type": 9, "content": content, "name": "parameters"}


def time_parameter(name: str, label: str, days: tuple[int, ...], default: int) -> dict[str, Any]:
    """A time range: so many days until now, or any other."""
    return _parameter(name, label, _TIME) | {
        "isRequired": True,
        "value": {"durationMs": default * _DAY},
        "typeSettings": {"selectableValues": [{"durationMs": one * _DAY} for one in days], "allowCustom": True},
    }


def choice_parameter(name: str, label: str, kql: str) -> dict[str, Any]:
    """Several values of a query, or all of them."""
    return _parameter(name, label, _DROP_DOWN) | {
        "isRequired": True,
        "multiSelect": True,
        "quote": "'",
        "delimiter": ",",
        "query": kql,
        "crossComponentResources": [WORKSPACE],
        "typeSettings": {"additionalResourceOptions": ["value::all"], "selectAllValue": "*", "showDefault": False},
        "timeContext": _ALL_TIME,
        "defaultValue": "value::all",
        "value": ["value::all"],
        "queryType": _LOGS,
        "resourceType": _RESOURCE_TYPE,
    }


def fixed_parameter(name: str, value: str) -> dict[str, Any]:
    """A text that readers do not see."""
    return _parameter(name, name, _TEXT) | {"isHiddenWhenLocked": True, "value": value}


def _parameter(name: str, label: str, kind: int) -> dict[str, Any]:
    return {"id": name.lower(), "version": "KqlParameterItem/1.0", "name": name, "label": label, "type": kind}
