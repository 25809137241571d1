"""What a log search alert says of the query behind it: where it runs, its text, and its time span. Pure.

The links of a payload are read and never followed: only the scope, the text and the span are taken out of them, each is
checked, and the host is that of the configured cloud.

Sources: Microsoft Learn, "Azure Monitor Log Analytics API request format" (``/v1/workspaces/<id>/query``),
"Azure resource log queries" (``/v1/<resource id>/query``), "Sample alert payloads" (linkToSearchResultsAPI and
linkToFilteredSearchResultsAPI); azure-sdk-for-python, ``azure-monitor-query`` (hosts of the clouds).
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import parse_qs, unquote, urlsplit

from shared.core.times import optional_moment, rfc3339
from shared.payloads.values import moment

#: Hosts of the query API, in all clouds: a link to any other is none of Log Analytics'.
_HOSTS = frozenset(
    {
        "api.loganalytics.io",
        "api.loganalytics.azure.com",
        "api.loganalytics.us",
        "api.loganalytics.azure.us",
        "api.loganalytics.azure.cn",
        "management.azure.com",
        "management.usgovcloudapi.net",
        "management.chinacloudapi.cn",
    }
)

#: Longest text of a query: that of an alert rule may have 10,000 characters, and the link adds filters.
LONGEST_QUERY = 16_000

_GUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_NAME = r"[\w.()~-]{1,260}"
_SCOPE = re.compile(
    rf"workspaces/{_GUID}"
    rf"|subscriptions/{_GUID}(?:/resourcegroups/{_NAME})?(?:/providers/[\w.]{{1,100}}(?:/\w{{1,100}}/{_NAME}){{1,5}})?",
    re.IGNORECASE | re.ASCII,
)
_PATH = re.compile(r"/(?:v\d|beta)/(.+)/query/?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class LogSearch:
    """A query of a payload.

    Attributes:
        scope: ``workspaces/<GUID>``, or the id of a subscription, resource group or resource, without leading slash.
        query: its text.
        begin, end: its time span.
    """

    scope: str
    query: str
    begin: datetime
    end: datetime

    def text(self) -> str:
        """As ``Signal.rows_from`` carries it."""
        return json.dumps([self.scope, self.query, rfc3339(self.begin), rfc3339(self.end)], separators=(",", ":"))


def is_scope(value: str) -> bool:
    """Whether a text is a place where queries run."""
    return _SCOPE.fullmatch(value) is not None and ".." not in value


def parse_search(text: str) -> LogSearch | None:
    """Read what :meth:`LogSearch.text` wrote; None for anything else."""
    try:
        scope, query, begin, end = json.loads(text)
        began, ended = optional_moment(begin), optional_moment(end)
    except (TypeError, ValueError):
        return None
    return None if began is None or ended is None else search(scope, query, began, ended)


def search(scope: str, query: str, begin: datetime, end: datetime) -> LogSearch | None:
    """A query whose parts are checked; None when one of them is not what it has to be."""
    scope = scope.strip("/")
    if not is_scope(scope) or not query.strip() or len(query) > LONGEST_QUERY or begin >= end:
        return None
    return LogSearch(scope, query, begin, end)


def search_of_link(link: str, begin: datetime | None, end: datetime | None) -> LogSearch | None:
    """The query that a link of a payload names; None for a link that names none.

    Args:
        link: linkToSearchResultsAPI, or linkToFilteredSearchResultsAPI.
        begin, end: of the alert's window, for a link without a whole time span.
    """
    try:
        parts = urlsplit(link)
        values = parse_qs(parts.query, max_num_fields=20)
    except ValueError:
        return None
    path = _PATH.fullmatch(parts.path)
    if parts.scheme != "https" or parts.netloc.lower() not in _HOSTS or path is None:
        return None
    first, _, last = values.get("timespan", [""])[0].partition("/")
    began, ended = moment(first), moment(last)
    if began is None or ended is None:
        began, ended = begin, end
    if began is None or ended is None:
        return None
    return search(unquote(path[1]), values.get("query", [""])[0], began, ended)
