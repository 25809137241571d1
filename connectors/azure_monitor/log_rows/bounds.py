"""What a query of an alert may do here: it comes from a payload, and the app's identity runs it. Pure.

KQL only reads. What it may read is bounded by the role of the identity and by ``log_rows.scopes``; how much of it by a
time span, a number of rows and a number of bytes. It may not fetch addresses, and where scopes are given it may not
leave them.

Sources: Microsoft Learn, "Kusto Query Language", "externaldata operator", "http_request plugin", "render operator";
"Query across resources with Azure Monitor" (workspace, app, resource), "Correlate data in Azure Data Explorer and Azure
Resource Graph with data in a Log Analytics workspace" (adx, arg); "Create a log search alert rule" (at most two days of
look-back).
"""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta

from connectors.azure_monitor.payloads.search_link import LogSearch
from shared.core.errors import SourceRefused

#: The longest look-back of an alert rule.
LONGEST_SPAN = timedelta(days=2)

_FETCHES = re.compile(
    r"\b(externaldata|external_data|http_request(?:_post)?|cosmosdb_sql_request|sql_request)\b", re.IGNORECASE
)
_LEAVES = re.compile(r"\b(workspace|app|resource|adx|arg|cluster|database)\s*\(", re.IGNORECASE)
_RESOURCE_GRAPH = re.compile(r"\s*arg\(\s*(?:\"\"|'')\s*\)\s*\.\s*", re.IGNORECASE)
_RENDERED = re.compile(r"\|\s*render\b[^|]*\Z", re.IGNORECASE)


def bounded_search(search: LogSearch, *, inside: bool) -> LogSearch:
    """The query as it may be run: over two days at most, without a chart.

    Args:
        search: of the payload.
        inside: it may not read outside of its scope.

    Raises SourceRefused for one that may not be run.
    """
    if found := _FETCHES.search(search.query):
        raise SourceRefused(f"the query of the alert is not run: it uses {found[1].lower()}, which fetches addresses")
    if inside and (found := _LEAVES.search(search.query)):
        raise SourceRefused(
            f"the query of the alert is not run: it uses {found[1].lower()}(), which leaves log_rows.scopes"
        )
    begin = max(search.begin, search.end - LONGEST_SPAN)
    return replace(search, query=_RENDERED.sub("", search.query).rstrip().rstrip(";"), begin=begin)


def resource_graph_query(query: str) -> str:
    """The part of a query that Resource Graph runs, where it reads nothing else; ``""`` for a query of logs."""
    found = _RESOURCE_GRAPH.match(query)
    rest = query[found.end() :] if found else ""
    return "" if _LEAVES.search(rest) else rest
