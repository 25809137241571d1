"""Log alerts of old (V1): query results in the payload, in the common schema and in the two flat forms.

Source: Microsoft Learn, "Common alert schema", log alert contexts; "Webhook actions for log alert rules". The three
forms differ in a few names only, and those are spelt in more than one way.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from connectors.azure_monitor.payloads.condition import Criterion, sentence, shown, window_words, words_of
from connectors.azure_monitor.payloads.essentials import Essentials
from connectors.azure_monitor.payloads.log_query import RESOURCE_NAMES, add_named, read_search_link
from connectors.azure_monitor.payloads.metric import read_dimensions
from shared.core.signal import SignalState
from shared.payloads.builder import SignalBuilder
from shared.payloads.text import Fields, anything, array_of, cut, fold, given, line, object_of, squash

#: Rows that are searched for resources, and rows and columns that are shown.
_MOST_ROWS = 50
_SHOWN_ROWS = 10
_SHOWN_COLUMNS = 12
_MOST_COLUMNS = 200
_CELL = 100


def read_log_results(builder: SignalBuilder, essentials: Essentials, context: Fields) -> None:
    """Fill in what a log alert V1 says. ``context`` is the folded alertContext or the flat body."""
    _read_details(builder, context)
    read_dimensions(builder, context.get("dimensions"))
    builder.condition = _say(builder, context)
    for name in ("linktofilteredsearchresultsui", "linktosearchresults", "linktosearchresultsui"):
        read_search_link(builder, context.get(name))
    builder.api_link = given(context.get("linktosearchresultsapi"))
    results = object_of(context.get("searchresults")) or object_of(context.get("searchresult"))
    tables = [fold(table) for table in array_of(results.get("tables"))[:5]]
    add_named(builder, builder.pairs)
    for table in tables:
        for pairs in _named_cells(table):
            add_named(builder, pairs)
    builder.resources.add_all(context.get("affectedconfigurationitems"))
    builder.resources.add_all(essentials.items)
    builder.resources.add_all(essentials.targets)
    for source in array_of(results.get("datasources"))[:10]:
        if builder.resources.vague:
            builder.resources.add(fold(source).get("resourceid"))
    if tables:
        builder.detail("result_rows", _table(tables[0]))


def _read_details(builder: SignalBuilder, context: Fields) -> None:
    builder.detail("search_query", context.get("searchquery"))
    builder.detail("result_count", context.get("resultcount"))
    builder.detail("alert_type", context.get("alerttype"))
    builder.detail("workspace_id", context.get("workspaceid"))
    builder.detail("application_id", context.get("applicationid"))
    builder.time_detail("window_start", context.get("searchintervalstarttimeutc"))
    builder.time_detail("window_end", context.get("searchintervalendtimeutc"))
    window = (
        window_words(context.get("searchintervaldurationmin"))
        or window_words(context.get("searchintervalinminutes"))
        or window_words(context.get("searchintervalinseconds"), unit=1)
    )
    if window:
        builder.details["window"] = window


def _say(builder: SignalBuilder, context: Fields) -> str:
    operator = given(context.get("operator")) or given(context.get("alertthresholdoperator"))
    raw = context.get("threshold") if context.get("threshold") is not None else context.get("alertthresholdvalue")
    threshold = shown(raw)
    count = shown(context.get("resultcount"))
    builder.detail("operator", operator)
    builder.detail("threshold", threshold)
    if not (count or threshold):
        return ""
    window = builder.details.get("window", "")
    if threshold and squash(context.get("alerttype")) == "metricmeasurement":
        # what is compared is the column AggregatedValue, and the count is that of the rows beyond the threshold
        limit = f"{words_of(operator)} {threshold}"
        over = f" over {window}" if window else ""
        if builder.state is SignalState.FIRED:
            return f"Aggregated value is {limit}{f' in {count} rows' if count else ''}{over}"
        return f"Aggregated value, condition: {limit}{over}"
    return sentence(Criterion("Count of rows", count, operator, threshold, window=window), builder.state)


def _columns(table: Fields) -> list[str]:
    columns = array_of(table.get("columns"))[:_MOST_COLUMNS]
    return [line(given(fold(column).get("name")) or given(column)) for column in columns]


def _named_cells(table: Fields) -> Iterator[list[tuple[str, str]]]:
    """Per row, the cells of the columns that name a resource."""
    places = [(place, name) for place, name in enumerate(_columns(table)) if name.lower() in RESOURCE_NAMES]
    if not places:
        return
    for row in array_of(table.get("rows"))[:_MOST_ROWS]:
        cells = row if isinstance(row, list) else []
        yield [(name, found) for place, name in places if place < len(cells) and (found := given(cells[place]))]


def _table(table: Fields) -> str:
    """The first rows, one line each below the column names, cells parted by a bar."""
    columns = _columns(table)[:_SHOWN_COLUMNS]
    rows = array_of(table.get("rows"))
    if not columns or not rows:
        return ""
    shown_rows = [row[:_SHOWN_COLUMNS] for row in rows[:_SHOWN_ROWS] if isinstance(row, list)]
    lines = [" | ".join(columns), *(" | ".join(map(_cell, row)) for row in shown_rows)]
    if len(rows) > _SHOWN_ROWS:
        lines.append(f"... and {len(rows) - _SHOWN_ROWS} more rows")
    return "\n".join(lines)


def _cell(value: Any) -> str:
    if isinstance(value, str):
        value = value[: _CELL * 20]
    return cut(line(anything(value)), _CELL)
