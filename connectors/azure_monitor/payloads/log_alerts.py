"""Log alerts: those of today, whose payload holds criteria, and those of old (V1), whose payload holds query results.

Sources: Microsoft Learn, "Common alert schema", log alert contexts; "Webhook actions for log alert rules", payloads up
to API version 2018-04-16.

* ``Log Alerts V2`` and ``Simple Log Alert``: criteria of type LogQueryCriteria. Query results are not part of these
  payloads, except that a simple log alert brings its one row in ``event``; what they say of the query is kept, so that
  it can be run (``search_link``). The affected machine stands in the dimensions, in an order of preference that the
  first page gives; the target is usually just the workspace.
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
from connectors.azure_monitor.payloads.log_rows import RESOURCE_NAMES, columns_of, read_event, read_table
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
from connectors.azure_monitor.payloads.search_link import LogSearch, search, search_of_link
from connectors.microsoft.azure_resources import canonical, is_id, is_precise
from shared.core.payload_schema import Fields
from shared.core.signal import Rows, Signal, SignalState
from shared.payloads.builder import SignalBuilder
from shared.payloads.keys import Unidentified, make_key, series
from shared.payloads.tables import MOST_ROWS, TableLimits, table_text
from shared.payloads.values import anything, array_of, fold, given, line, moment, object_of, squash, text

_NO_RESOURCE = (
    "The query names no resource. Return a column _ResourceId, ResourceId, Resource or Computer, or split the alert by "
    "it, so that the ticket gets its configuration item."
)

_MOST_CRITERIA = 10

#: What tickets show where the configuration says nothing of rows.
_SHOWN = TableLimits()
_SHOWN_EVENT = TableLimits(columns=20, cell=200)


def read_log_query(builder: SignalBuilder, essentials: Essentials, context: Fields) -> None:
    """Fill in what a log search alert says. ``context`` is the folded alertContext."""
    builder.detail("condition_type", context.get("conditiontype"))
    condition = object_of(context.get("condition"))
    window = window_words(condition.get("windowsize"))
    sentences = []
    begin, end = moment(condition.get("windowstarttime")), moment(condition.get("windowendtime"))
    criteria = array_of(condition.get("allof"))
    builder.resources.incomplete = builder.resources.incomplete or len(criteria) > _MOST_CRITERIA
    for item in criteria[:_MOST_CRITERIA]:
        criterion = fold(item)
        if criterion:
            read_dimensions(builder, criterion.get("dimensions"))
            read_search_link(builder, criterion.get("linktofilteredsearchresultsui"))
            read_search_link(builder, criterion.get("linktosearchresultsui"))
            builder.api_link = builder.api_link or given(criterion.get("linktosearchresultsapi"))
            if builder.rows is None:
                builder.rows = _event_rows(builder, criterion.get("event"))
            found = None if builder.rows_from else _search_of(criterion, essentials, begin, end)
            builder.rows_from = builder.rows_from if found is None else found.text()
            sentences.append(_query_sentence(builder, criterion, window, builder.rows is not None))
    builder.condition = join(sentences)
    if window:
        builder.details.setdefault("window", window)
    builder.time_detail("window_start", condition.get("windowstarttime"))
    builder.time_detail("window_end", condition.get("windowendtime"))
    if builder.rows is not None:
        builder.rows_from = ""
        builder.detail("result_rows", table_text(builder.rows, _SHOWN_EVENT))
    add_named(builder, builder.pairs)
    builder.resources.add_all(essentials.items)
    builder.resources.add_all(essentials.targets)
    warn_without_resource(builder)


def warn_without_resource(builder: SignalBuilder) -> None:
    """Say that the query names no resource: the ticket is bound to the workspace, or to no configuration item."""
    if builder.resources.vague:
        builder.warn(_NO_RESOURCE)


def _search_of(
    criterion: Fields, essentials: Essentials, begin: datetime | None, end: datetime | None
) -> LogSearch | None:
    """The query of a criterion: of its link, which filters by the dimensions; else by the fields that say the same."""
    for name in ("linktofilteredsearchresultsapi", "linktosearchresultsapi"):
        found = search_of_link(given(criterion.get(name)), begin, end)
        if found is not None:
            return found
    target = next((one for one in essentials.targets if is_id(one)), "")
    if not target or begin is None or end is None or array_of(criterion.get("dimensions")):
        return None
    return search(target, given(criterion.get("searchquery")), begin, end)


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


def _event_rows(builder: SignalBuilder, value: Any) -> Rows | None:
    """Rows of a simple log alert; their resources are noted."""
    listed = array_of(value)
    note_unread(builder, listed)
    for row in listed[:MOST_ROWS]:
        cells = [fold(cell) for cell in array_of(row)]
        named = [(line(given(cell.get("name"))), cell.get("value")) for cell in cells]
        add_named(builder, [(name, anything(found)) for name, found in named if name.lower() in RESOURCE_NAMES])
    return read_event(value)


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
    warn_without_resource(builder)
    builder.rows = read_table(tables[0], [name for name, _ in builder.pairs]) if tables else None
    if builder.rows is not None:
        builder.detail("result_rows", table_text(builder.rows, _SHOWN))


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


def note_unread(builder: SignalBuilder, rows: list[Any]) -> None:
    """Note that there are rows that are not searched for resources."""
    builder.resources.incomplete = builder.resources.incomplete or len(rows) > MOST_ROWS


def _named_cells(builder: SignalBuilder, table: Fields) -> Iterator[list[tuple[str, str]]]:
    """Per row, the cells of the columns that name a resource."""
    positions = [(position, name) for position, name in enumerate(columns_of(table)) if name.lower() in RESOURCE_NAMES]
    if not positions:
        return
    rows = array_of(table.get("rows"))
    note_unread(builder, rows)
    for row in rows[:MOST_ROWS]:
        cells = row if isinstance(row, list) else []
        yield [
            (name, found) for position, name in positions if position < len(cells) and (found := given(cells[position]))
        ]


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
