"""Log alerts: those of today, whose payload holds criteria, and those of old (V1), whose payload holds query results.

Sources: Microsoft Learn, "Common alert schema", log alert contexts; "Webhook actions for log alert rules", payloads up
to API version 2018-04-16.

* ``Log Alerts V2`` and ``Simple Log Alert``: criteria of type LogQueryCriteria. Query results are not part of these
  payloads, except that a simple log alert brings its one row in ``event``. The affected machine stands in the
  dimensions, in an order of preference that the first page gives; the target is usually just the workspace.
* V1 in the common schema and in two flat forms: at the top for Log Analytics, one level down for Application Insights.
  The three differ in a few names only, and those are spelt in more than one way. The flat forms name no occurrence and
  never resolve: the key is the rule in its workspace or application, with its dimensions. The end of the search
  interval is the closest to a firing time.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from connectors.azure_monitor.payloads.common import Essentials, alert_builder, is_test, severity
from connectors.azure_monitor.payloads.metric import (
    Criterion,
    join,
    periods_of,
    read_dimensions,
    sentence,
    shown,
    subject_of,
    window_words,
    words_of,
)
from connectors.microsoft.azure_resources import canonical, is_precise
from shared.core.payload_schema import Fields
from shared.core.signal import Signal, SignalState
from shared.payloads.builder import SignalBuilder
from shared.payloads.keys import Unidentified, make_key, series
from shared.payloads.values import anything, array_of, cut, fold, given, line, moment, object_of, squash, text

#: Dimensions and columns that name a resource, the most precise first.
RESOURCE_NAMES = ("_resourceid", "resourceid", "resource", "computer")

_MOST_CRITERIA = 10
_MOST_EVENT_ROWS = 10
_MOST_EVENT_CELLS = 20
_EVENT_CELL = 200


def read_log_query(builder: SignalBuilder, essentials: Essentials, context: Fields) -> None:
    """Fill in what a log search alert says. ``context`` is the folded alertContext."""
    builder.detail("condition_type", context.get("conditiontype"))
    condition = object_of(context.get("condition"))
    window = window_words(condition.get("windowsize"))
    sentences = []
    rows: list[str] = []
    criteria = array_of(condition.get("allof"))
    builder.resources.incomplete = builder.resources.incomplete or len(criteria) > _MOST_CRITERIA
    for item in criteria[:_MOST_CRITERIA]:
        criterion = fold(item)
        if criterion:
            read_dimensions(builder, criterion.get("dimensions"))
            read_search_link(builder, criterion.get("linktofilteredsearchresultsui"))
            read_search_link(builder, criterion.get("linktosearchresultsui"))
            builder.api_link = builder.api_link or given(criterion.get("linktosearchresultsapi"))
            found = _event_rows(builder, criterion.get("event"))
            rows.extend(found)
            sentences.append(_query_sentence(builder, criterion, window, bool(found)))
    builder.condition = join(sentences)
    if window:
        builder.details.setdefault("window", window)
    builder.time_detail("window_start", condition.get("windowstarttime"))
    builder.time_detail("window_end", condition.get("windowendtime"))
    builder.detail("result_rows", "\n\n".join(rows[:_MOST_EVENT_ROWS]))
    add_named(builder, builder.pairs)
    builder.resources.add_all(essentials.items)
    builder.resources.add_all(essentials.targets)


def read_search_link(builder: SignalBuilder, value: Any) -> None:
    """Link the search results of the first criterion that has them; only pages for people, never the API."""
    if given(value):
        builder.link("search", value)


def add_named(builder: SignalBuilder, pairs: list[tuple[str, str]]) -> None:
    """Add the resources that dimensions or columns name, in the order of :data:`RESOURCE_NAMES`.

    A computer's name beside the id of its resource means that resource and is not listed on its own.
    """
    found = {name: [value for key, value in pairs if key.lower() == name] for name in RESOURCE_NAMES}
    has_id = any(map(is_precise, found["_resourceid"] + found["resourceid"]))
    for name in RESOURCE_NAMES:
        for value in found[name]:
            if name == "computer" and has_id:
                builder.resources.alias(value)
            else:
                builder.resources.add(value)


def _event_rows(builder: SignalBuilder, value: Any) -> list[str]:
    """Rows of a simple log alert, each a list of name and value, as text; their resources are noted."""
    rows = []
    listed = array_of(value)
    note_unread(builder, listed)
    for number, row in enumerate(listed[:_MOST_ROWS]):
        cells = [fold(cell) for cell in array_of(row)[:_MOST_COLUMNS]]
        named = [(line(given(cell.get("name"))), cell.get("value")) for cell in cells]
        add_named(builder, [(name, anything(found)) for name, found in named if name.lower() in RESOURCE_NAMES])
        if number >= _MOST_EVENT_ROWS:
            continue
        pairs = [(name, anything(found)) for name, found in named[:_MOST_EVENT_CELLS]]
        rows.append("\n".join(f"{name}: {cut(line(found), _EVENT_CELL)}" for name, found in pairs if name and found))
    return [row for row in rows if row]


def _query_sentence(builder: SignalBuilder, criterion: Fields, window: str, has_row: bool) -> str:
    column = line(given(criterion.get("metricmeasurecolumn")) or given(criterion.get("metricmeasure")))
    aggregation = given(criterion.get("timeaggregation"))
    value, threshold = shown(criterion.get("metricvalue")), shown(criterion.get("threshold"))
    operator = given(criterion.get("operator"))
    periods = periods_of(object_of(criterion.get("failingperiods")))
    sensitivity = given(criterion.get("alertsensitivity"))
    if "search_query" not in builder.details:
        builder.detail("search_query", criterion.get("searchquery"))
        builder.detail("measure_column", column)
        builder.detail("metric_value", criterion.get("metricvalue"))
        builder.detail("operator", operator)
        builder.detail("threshold", criterion.get("threshold"))
        builder.detail("time_aggregation", aggregation)
        builder.detail("failing_periods", periods)
        builder.detail("sensitivity", sensitivity)
        builder.detail("target_resource_types", criterion.get("targetresourcetypes"))
    if has_row and not threshold:
        return "A row matched the query"
    if not (value or threshold or criterion.get("searchquery")):
        return ""
    measured = column or ("rows" if aggregation.lower() == "count" else "query result")
    return sentence(
        Criterion(
            subject=subject_of(aggregation, measured) if aggregation else "Query result",
            value=value,
            operator=operator,
            threshold=threshold,
            window=window,
            periods=periods,
            dynamic=bool(sensitivity),
            sensitivity=sensitivity,
        ),
        builder.state,
    )


#: Rows that are searched for resources, and rows and columns that are shown.
_MOST_ROWS = 1_000
_SHOWN_ROWS = 10
_SHOWN_COLUMNS = 12
_MOST_COLUMNS = 200
_CELL = 100


def read_log_results(builder: SignalBuilder, essentials: Essentials, context: Fields) -> None:
    """Fill in what a log alert V1 says. ``context`` is the folded alertContext or the flat body."""
    _read_details(builder, context)
    read_dimensions(builder, context.get("dimensions"))
    builder.condition = _results_sentence(builder, context)
    for name in ("linktofilteredsearchresultsui", "linktosearchresults", "linktosearchresultsui"):
        read_search_link(builder, context.get(name))
    builder.api_link = given(context.get("linktosearchresultsapi"))
    results = object_of(context.get("searchresults")) or object_of(context.get("searchresult"))
    tables = [fold(table) for table in array_of(results.get("tables"))[:5]]
    add_named(builder, builder.pairs)
    for table in tables:
        for pairs in _named_cells(builder, table):
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


def _results_sentence(builder: SignalBuilder, context: Fields) -> str:
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


def note_unread(builder: SignalBuilder, rows: list[Any]) -> None:
    """Note that there are rows that are not searched for resources."""
    builder.resources.incomplete = builder.resources.incomplete or len(rows) > _MOST_ROWS


def _named_cells(builder: SignalBuilder, table: Fields) -> Iterator[list[tuple[str, str]]]:
    """Per row, the cells of the columns that name a resource."""
    positions = [(position, name) for position, name in enumerate(_columns(table)) if name.lower() in RESOURCE_NAMES]
    if not positions:
        return
    rows = array_of(table.get("rows"))
    note_unread(builder, rows)
    for row in rows[:_MOST_ROWS]:
        cells = row if isinstance(row, list) else []
        yield [
            (name, found) for position, name in positions if position < len(cells) and (found := given(cells[position]))
        ]


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


def read_flat_log(body: Fields, received_at: datetime) -> Signal:
    """Read a log alert V1, its fields at the top or in ``data``. Raises Unidentified when it names no rule."""
    fields = body if "alertrulename" in body else object_of(body.get("data"))
    rule = given(fields.get("alertrulename"))
    if not rule:
        raise Unidentified("it names no rule (AlertRuleName)")
    resource, subscription = given(fields.get("resourceid")), given(fields.get("subscriptionid"))
    builder = alert_builder("log", received_at)
    builder.rule = rule
    builder.severity = severity(fields.get("severity"))
    builder.fired_at = moment(fields.get("searchintervalendtimeutc"))
    essentials = Essentials(rule=rule, targets=[resource] if resource else [])
    read_log_results(builder, essentials, fields)
    if builder.resources.vague and subscription:
        builder.resources.add(f"/subscriptions/{subscription}")
    builder.prose.append(text(fields.get("description")))
    builder.test = is_test(essentials)
    where = given(fields.get("workspaceid")) or given(fields.get("applicationid")) or subscription
    builder.key = make_key("log", rule, where or canonical(resource), series(builder.pairs))
    return builder.finish()
