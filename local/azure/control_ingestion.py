"""The part of the control API over what the Logs Ingestion API took."""

from __future__ import annotations

from typing import Any

from local.azure.cloud import Cloud
from local.azure.ingestion.rules import rule_from
from local.simulator_kit.control import Endpoints


class IngestionControl:
    """Endpoints over rules and tables of one cloud."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud

    def endpoints(self) -> Endpoints:
        """By method and path, with help."""
        return {
            ("POST", "data-collection-rules"): (
                self._declare,
                '{"immutable_id", "resource_id", "streams": {"Custom-X_CL": {"TimeGenerated": "datetime", ...}}}: make '
                "one or replace it; a table whose columns differ is emptied.",
            ),
            ("GET", "ingested"): (self._tables, "Tables with their columns and how many rows each has."),
            ("GET", "ingested/{id}"): (
                self._rows,
                "Rows of a table, the oldest first; ?limit=100, ?distinct=COLUMN counts different values.",
            ),
            ("DELETE", "ingested"): (self._clear, "Remove all rows."),
            ("POST", "ingested/{id}"): (self._query, 'ingested/query: {"kql"}: columns and rows of a query.'),
        }

    def _declare(self, body: dict[str, Any], *_: Any) -> Any:
        rule = rule_from(body)
        self._cloud.ingestion.declare(rule)
        return {"immutable_id": rule.immutable_id, "resource_id": rule.resource_id, "streams": list(rule.streams)}

    def _tables(self, *_: Any) -> Any:
        store = self._cloud.ingestion.store
        return {
            "tables": [
                {"name": name, "columns": dict(columns), "count": store.count(name)}
                for name, columns in store.tables.items()
            ]
        }

    def _rows(self, _body: dict[str, Any], query: dict[str, str], table: str) -> Any:
        store = self._cloud.ingestion.store
        distinct = query.get("distinct", "")
        counted = {"distinct": store.count(table, distinct)} if distinct else {}
        return {"count": store.count(table), **counted, "rows": store.rows(table, int(query.get("limit", 100)))}

    def _clear(self, *_: Any) -> Any:
        return {"removed": self._cloud.ingestion.store.clear()}

    def _query(self, body: dict[str, Any], _query: dict[str, str], tail: str) -> Any:
        if tail != "query":
            raise KeyError(tail)
        kql = body.get("kql")
        if not isinstance(kql, str) or not kql.strip():
            raise ValueError("kql: a text is needed")
        cloud = self._cloud
        return cloud.ingestion.store.query(kql, cloud.clock.now()).as_json()
