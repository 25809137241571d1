"""Log search alerts of today (``Log Alerts V2``, ``Simple Log Alert``): criteria of type LogQueryCriteria.

Source: Microsoft Learn, "Common alert schema", log alert contexts. Query results are not part of these payloads,
except that a simple log alert brings its one row in ``event``. The affected machine stands in the dimensions, in an
order of preference that the same page gives; the target is usually just the workspace.
"""

from __future__ import annotations

from typing import Any

from connectors.azure_monitor.payloads.condition import (
    Criterion,
    join,
    periods_of,
    sentence,
    shown,
    subject_of,
    window_words,
)
from connectors.azure_monitor.payloads.essentials import Essentials
from connectors.azure_monitor.payloads.metric import read_dimensions
from shared.payloads.builder import SignalBuilder
from shared.payloads.resources import is_precise
from shared.payloads.text import Fields, anything, array_of, cut, fold, given, line, object_of

#: Dimensions and columns that name a resource, the most precise first.
RESOURCE_NAMES = ("_resourceid", "resourceid", "resource", "computer")

_MOST_CRITERIA = 10
_MOST_ROWS = 10
_MOST_CELLS = 20
_CELL = 200


def read_log_query(builder: SignalBuilder, essentials: Essentials, context: Fields) -> None:
    """Fill in what a log search alert says. ``context`` is the folded alertContext."""
    builder.detail("condition_type", context.get("conditiontype"))
    condition = object_of(context.get("condition"))
    window = window_words(condition.get("windowsize"))
    sentences = []
    rows: list[str] = []
    for item in array_of(condition.get("allof"))[:_MOST_CRITERIA]:
        criterion = fold(item)
        if criterion:
            read_dimensions(builder, criterion.get("dimensions"))
            read_search_link(builder, criterion.get("linktofilteredsearchresultsui"))
            read_search_link(builder, criterion.get("linktosearchresultsui"))
            builder.api_link = builder.api_link or given(criterion.get("linktosearchresultsapi"))
            found = _rows(builder, criterion.get("event"))
            rows.extend(found)
            sentences.append(_say(builder, criterion, window, bool(found)))
    builder.condition = join(sentences)
    if window:
        builder.details.setdefault("window", window)
    builder.time_detail("window_start", condition.get("windowstarttime"))
    builder.time_detail("window_end", condition.get("windowendtime"))
    builder.detail("result_rows", "\n\n".join(rows[:_MOST_ROWS]))
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


def _rows(builder: SignalBuilder, value: Any) -> list[str]:
    """Rows of a simple log alert, each a list of name and value, as text; their resources are noted."""
    rows = []
    for row in array_of(value)[:_MOST_ROWS]:
        cells = [fold(cell) for cell in array_of(row)[:_MOST_CELLS]]
        pairs = [(line(given(cell.get("name"))), anything(cell.get("value"))) for cell in cells]
        add_named(builder, pairs)
        rows.append("\n".join(f"{name}: {cut(line(found), _CELL)}" for name, found in pairs if name and found))
    return [row for row in rows if row]


def _say(builder: SignalBuilder, criterion: Fields, window: str, has_row: bool) -> str:
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
