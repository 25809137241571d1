"""The addresses of the Change Management API."""

from __future__ import annotations

from local.servicenow.change_api import TABLE, TASK_TABLE, TEMPLATES, ChangeApi
from local.servicenow.instance import Instance
from local.servicenow.routes import Route, route

_BASE = r"/api/sn_chg_rest/(?:v1/)?change"
_ID = r"(?P<id>[0-9a-fA-F]{32})"
#: A change is addressed with or without its type.
_ONE = rf"{_BASE}(?:/(?:normal|emergency|standard))?/{_ID}"


def change_routes(instance: Instance) -> list[Route]:
    """The routes of one instance, the more special ones first."""
    change = ChangeApi(instance)
    return [
        route(
            rf"{_BASE}(?:/(?P<kind>normal|emergency))?",
            {
                "GET": lambda call, at: change.listing(call, at["kind"]),
                "POST": lambda call, at: change.create(call, at["kind"]),
            },
            table=TABLE,
        ),
        route(rf"{_BASE}/(?P<kind>standard)", {"GET": lambda call, at: change.listing(call, at["kind"])}, table=TABLE),
        route(
            rf"{_BASE}/standard/template(?:/{_ID})?",
            {"GET": lambda call, at: change.templates(call, at["id"])},
            table=TEMPLATES,
        ),
        route(rf"{_BASE}/(?P<what>model)", {"GET": lambda call, _: change.models(call)}, table="chg_model"),
        route(
            rf"{_BASE}/standard/{_ID}",
            {
                "GET": lambda call, at: change.one(call, at["id"]),
                "POST": lambda call, at: change.create_standard(call, at["id"]),
                "PATCH": lambda call, at: change.change(call, at["id"]),
                "DELETE": lambda call, at: change.delete(call, at["id"]),
            },
            table=TABLE,
        ),
        route(
            _ONE,
            {
                "GET": lambda call, at: change.one(call, at["id"]),
                "PATCH": lambda call, at: change.change(call, at["id"]),
                "DELETE": lambda call, at: change.delete(call, at["id"]),
            },
            table=TABLE,
        ),
        route(f"{_ONE}/nextstates", {"GET": lambda call, at: change.next_states(call, at["id"])}, table=TABLE),
        route(f"{_ONE}/approvals", {"PATCH": lambda call, at: change.approve(call, at["id"])}, table=TABLE),
        route(
            f"{_ONE}/conflict",
            dict.fromkeys(("GET", "POST", "DELETE"), lambda call, at: change.conflict(call, at["id"])),
            table=TABLE,
        ),
        route(
            f"{_ONE}/task",
            {
                "GET": lambda call, at: change.tasks(call, at["id"]),
                "POST": lambda call, at: change.create_task(call, at["id"]),
            },
            table=TASK_TABLE,
        ),
        route(
            f"{_ONE}/task/(?P<task>[^/]+)",
            dict.fromkeys(("GET", "PATCH", "DELETE"), lambda call, at: change.task(call, at["id"], at["task"])),
            table=TASK_TABLE,
        ),
    ]
