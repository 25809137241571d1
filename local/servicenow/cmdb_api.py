"""The CMDB Instance API (``/api/now[/v1]/cmdb/instance``) and the IRE API (``/api/now[/v1]/identifyreconcile``).

Source: ServiceNow docs, "CMDB Instance API" and "Identification and Reconciliation API".
"""

from __future__ import annotations

from typing import Any

from local.servicenow.errors import ApiError, insufficient_rights, record_not_found, unreadable
from local.servicenow.exchange import Call, result
from local.servicenow.identification import Identification, Outcome, require_text
from local.servicenow.instance import Instance
from local.servicenow.media import one_record, read_body
from local.servicenow.query.parser import parse
from local.servicenow.reading import Reader
from local.servicenow.rendering import Shape
from local.servicenow.routes import Route, route
from local.servicenow.store import Row
from local.servicenow.table_api import require_table, write_context
from local.simulator_kit.calls import Answer

DEFAULT_LIMIT = 10_000
_DIRECTIONS = {"inbound_relations": ("child", "parent"), "outbound_relations": ("parent", "child")}


class CmdbApi:
    """Serves the calls."""

    def __init__(self, instance: Instance) -> None:
        self._instance = instance
        self._engine = Identification(instance)

    def listing(self, call: Call, class_name: str) -> Answer:
        """GET of a class: ids and names."""
        self._require_class(class_name)
        if not self._instance.access.may(call.user, "read", class_name):
            raise insufficient_rights()
        reader = self._instance.reader(call.user)
        offset = max(0, call.number("sysparm_offset", 0))
        limit = max(0, call.number("sysparm_limit", DEFAULT_LIMIT))
        rows = reader.select(class_name, parse(call.param("sysparm_query")))[offset : offset + limit]
        return result([{"sys_id": row.sys_id, "name": row.get("name")} for row in rows if reader.may_see(row)])

    def one(self, call: Call, class_name: str, sys_id: str) -> Answer:
        """GET of an item with its relations."""
        return result(self._shown(call, self._find(call, class_name, sys_id)))

    def create(self, call: Call, class_name: str) -> Answer:
        """POST of an item: it may turn out to be one that exists."""
        self._require_class(class_name)
        body = one_record(read_body(call))
        outcome = self._engine.reconcile(call, class_name, _attributes(body), str(body.get("source", "")))
        if outcome.row is None:
            return Answer(400, {"result": {"items": [outcome.as_json(0)]}})
        self._relate(call, outcome.row, body)
        return result(self._shown(call, outcome.row))

    def change(self, call: Call, class_name: str, sys_id: str) -> Answer:
        """PUT or PATCH of an item's attributes."""
        row = self._find(call, class_name, sys_id)
        attributes = _attributes(one_record(read_body(call)))
        require_text(attributes)
        updated = self._instance.writer.update(row, attributes, write_context(self._instance, call))
        return result(self._shown(call, updated))

    def add_relations(self, call: Call, class_name: str, sys_id: str) -> Answer:
        """POST of relations of an item."""
        row = self._find(call, class_name, sys_id)
        self._relate(call, row, one_record(read_body(call)))
        return result(self._shown(call, row))

    def remove_relation(self, call: Call, class_name: str, sys_id: str, relation_id: str) -> Answer:
        """DELETE of a relation of an item: 204."""
        row = self._find(call, class_name, sys_id)
        relation = self._instance.store.get("cmdb_rel_ci", relation_id)
        if relation is None or row.sys_id not in (relation.get("parent"), relation.get("child")):
            raise record_not_found()
        self._instance.writer.delete(relation, write_context(self._instance, call))
        return Answer(204)

    def identify(self, call: Call, *, write: bool) -> Answer:
        """POST of items and relations to the IRE; errors are told item by item."""
        body = one_record(read_body(call))
        items = body.get("items")
        if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
            raise unreadable("The payload has no list of items.")
        source = call.param("sysparm_data_source")
        outcomes = [
            self._engine.reconcile(
                call,
                str(item.get("className", "")),
                _attributes({"attributes": item.get("values")}),
                source,
                write=write,
            )
            for item in items
        ]
        payload = {
            "items": [outcome.as_json(index) for index, outcome in enumerate(outcomes)],
            "relations": self._relations(call, body.get("relations"), outcomes, write),
            "additionalCommittedItems": [],
            "additionalCommittedRelations": [],
        }
        return result(payload)

    def _relations(self, call: Call, relations: Any, outcomes: list[Outcome], write: bool) -> list[dict[str, Any]]:
        done = []
        for index, relation in enumerate(relations if isinstance(relations, list) else []):
            ends = [_outcome(outcomes, relation, side) for side in ("parent", "child")]
            kind = self._engine.relation_type(str(relation.get("type", ""))) if isinstance(relation, dict) else ""
            shown: dict[str, Any] = {"className": "cmdb_rel_ci", "inputIndices": [index]}
            parent, child = ends
            if parent is None or child is None or parent.errors or child.errors or not kind:
                errors = [{"error": "INVALID_INPUT_DATA", "message": "In payload invalid relation exists"}]
                done.append({**shown, "errorCount": 1, "errors": errors})
                continue
            operation = "INSERT"
            if parent.row is not None and child.row is not None:
                operation = self._engine.relate(call, parent.row.sys_id, child.row.sys_id, kind, write=write)
            done.append({**shown, "operation": operation, "errorCount": 0})
        return done

    def _require_class(self, class_name: str) -> None:
        require_table(self._instance, class_name)
        if self._instance.dictionary.base(class_name) != "cmdb":
            raise ApiError(400, f"Invalid class {class_name}", "The class does not extend cmdb")

    def _find(self, call: Call, class_name: str, sys_id: str) -> Row:
        self._require_class(class_name)
        row = self._instance.reader(call.user).find(class_name, sys_id)
        if row is None:
            raise record_not_found()
        return row

    def _relate(self, call: Call, row: Row, body: dict[str, Any]) -> None:
        for direction, (own, _) in _DIRECTIONS.items():
            for relation in body.get(direction) or []:
                kind = self._engine.relation_type(str(relation.get("type", "")))
                other = self._instance.store.get("cmdb_ci", str(relation.get("target", "")))
                if not kind or other is None:
                    raise ApiError(400, "Invalid relation", "type and target must be sys_ids of existing records")
                parent, child = (row, other) if own == "parent" else (other, row)
                self._engine.relate(call, parent.sys_id, child.sys_id, kind)

    def _shown(self, call: Call, row: Row) -> dict[str, Any]:
        reader = self._instance.reader(call.user)
        base = f"{call.base_url}/api/now/table"
        whole = reader.renderer(Shape(display="all", link_base=base)).record(row, row.table, None)
        attributes = {name: value if "link" in value else value["value"] for name, value in whole.items()}
        related = {direction: self._related(reader, row, *ends, base) for direction, ends in _DIRECTIONS.items()}
        return {"attributes": attributes, **related}

    def _related(self, reader: Reader, row: Row, own: str, other: str, base: str) -> list[dict[str, Any]]:
        renderer = reader.renderer(Shape(display="all", link_base=base))
        columns = self._instance.dictionary.columns("cmdb_rel_ci")
        return [
            {
                "sys_id": relation.sys_id,
                "type": renderer.value(relation, columns["type"]),
                "target": renderer.value(relation, columns[other]),
            }
            for relation in self._instance.store.scan("cmdb_rel_ci")
            if relation.get(own) == row.sys_id
        ]


def _attributes(body: dict[str, Any]) -> dict[str, Any]:
    attributes = body.get("attributes")
    if not isinstance(attributes, dict):
        raise unreadable("The payload has no attributes.")
    return attributes


def _outcome(outcomes: list[Outcome], relation: Any, side: str) -> Outcome | None:
    at = relation.get(side) if isinstance(relation, dict) else None
    return outcomes[at] if isinstance(at, int) and 0 <= at < len(outcomes) else None


def cmdb_routes(instance: Instance) -> list[Route]:
    """The routes of one instance."""
    cmdb = CmdbApi(instance)
    item_class = r"/api/now/(?:v1/)?cmdb/instance/(?P<table>[^/]+)"
    item = item_class + r"/(?P<id>[^/]+)"
    ire = r"/api/now/(?:v1/)?identifyreconcile"
    return [
        route(
            item_class,
            {
                "GET": lambda call, at: cmdb.listing(call, at["table"]),
                "POST": lambda call, at: cmdb.create(call, at["table"]),
            },
        ),
        route(
            item,
            {
                "GET": lambda call, at: cmdb.one(call, at["table"], at["id"]),
                "PUT": lambda call, at: cmdb.change(call, at["table"], at["id"]),
                "PATCH": lambda call, at: cmdb.change(call, at["table"], at["id"]),
            },
        ),
        route(item + "/relation", {"POST": lambda call, at: cmdb.add_relations(call, at["table"], at["id"])}),
        route(
            item + "/relation/(?P<relation>[^/]+)",
            {"DELETE": lambda call, at: cmdb.remove_relation(call, at["table"], at["id"], at["relation"])},
        ),
        route(f"{ire}(?:/enhanced)?", {"POST": lambda call, _: cmdb.identify(call, write=True)}, table="cmdb_ci"),
        route(f"{ire}/query(?:Enhanced)?", {"POST": lambda call, _: cmdb.identify(call, write=False)}, table="cmdb_ci"),
    ]
