"""The REST API as a whole: which path and method leads where, and what every call passes on its way.

Source: ServiceNow docs, "REST API reference".
"""

from __future__ import annotations

from local.servicenow.aggregate_api import AggregateApi
from local.servicenow.attachment_api import AttachmentApi
from local.servicenow.batch_api import BatchApi
from local.servicenow.change_routes import change_routes
from local.servicenow.cmdb_api import cmdb_routes
from local.servicenow.errors import ApiError
from local.servicenow.events_api import EventsApi
from local.servicenow.exchange import Call, result
from local.servicenow.faults import error_answer
from local.servicenow.import_api import ImportApi
from local.servicenow.instance import Instance
from local.servicenow.media import accepted, one_record, read_body
from local.servicenow.problem_action import ProblemAction
from local.servicenow.routes import Route, route
from local.servicenow.table_api import TableApi
from local.simulator_kit.calls import Answer

_OPERATIONS = {"GET": "query", "POST": "insert", "PUT": "update", "PATCH": "update", "DELETE": "delete"}
#: The Table API has two versions; the other APIs have one.
_VERSIONS = r"(?P<version>(?:v[12]/)?)"
_VERSION = r"(?P<version>(?:v1/)?)"


class Api:
    """Routes and serves the calls of one instance."""

    def __init__(self, instance: Instance) -> None:
        self._instance = instance
        self._batch = BatchApi(instance, self.serve_item)
        self._routes = [*self._table_routes(), *self._other_routes(), *change_routes(instance), *cmdb_routes(instance)]

    def _table_routes(self) -> list[Route]:
        table = TableApi(self._instance)
        return [
            route(
                rf"/api/now/{_VERSIONS}table/(?P<table>[^/]+)",
                {
                    "GET": lambda call, at: table.listing(call, at["version"], at["table"]),
                    "POST": lambda call, at: table.create(call, at["version"], at["table"]),
                },
                elsewhere=("PUT", "PATCH", "DELETE"),
            ),
            route(
                rf"/api/now/{_VERSIONS}table/(?P<table>[^/]+)/(?P<id>[^/]+)",
                {
                    "GET": lambda call, at: table.one(call, at["version"], at["table"], at["id"]),
                    "PUT": lambda call, at: table.change(call, at["version"], at["table"], at["id"]),
                    "PATCH": lambda call, at: table.change(call, at["version"], at["table"], at["id"]),
                    "DELETE": lambda call, at: table.delete(call, at["table"], at["id"]),
                },
            ),
        ]

    def _other_routes(self) -> list[Route]:
        instance = self._instance
        attachment = AttachmentApi(instance)
        stats = AggregateApi(instance)
        imports = ImportApi(instance)
        events = EventsApi(instance)
        batch = self._batch
        problem = ProblemAction(instance)
        files = rf"/api/now/{_VERSION}attachment"
        staging = rf"/api/now/{_VERSION}import/(?P<table>[^/]+)"
        return [
            route(files, {"GET": lambda call, at: attachment.listing(call, at["version"])}, table="sys_attachment"),
            route(
                files + "/file",
                {"POST": lambda call, at: attachment.upload_raw(call, at["version"])},
                table="sys_attachment",
            ),
            route(
                files + "/upload",
                {"POST": lambda call, at: attachment.upload_form(call, at["version"])},
                table="sys_attachment",
            ),
            route(
                files + "/(?P<id>[^/]+)",
                {
                    "GET": lambda call, at: attachment.one(call, at["version"], at["id"]),
                    "DELETE": lambda call, at: attachment.delete(call, at["id"]),
                },
                table="sys_attachment",
            ),
            route(
                files + "/(?P<id>[^/]+)/file",
                {"GET": lambda call, at: attachment.download(call, at["version"], at["id"])},
                table="sys_attachment",
                any_media=True,
            ),
            route(
                rf"/api/now/{_VERSION}stats/(?P<table>[^/]+)", {"GET": lambda call, at: stats.stats(call, at["table"])}
            ),
            route(staging, {"POST": lambda call, at: imports.one(call, at["table"])}),
            route(staging + "/insertMultiple", {"POST": lambda call, at: imports.several(call, at["table"])}),
            route(staging + "/(?P<id>[^/]+)", {"GET": lambda call, at: imports.read(call, at["table"], at["id"])}),
            route(rf"/api/now/{_VERSION}tinyurl", {"POST": lambda call, _: self._tiny(call)}),
            route(rf"/api/now/{_VERSION}batch", {"POST": lambda call, _: batch.run(call)}),
            route(r"/api/global/em/jsonv2", {"POST": lambda call, _: events.receive(call)}, table="em_event"),
            route(
                r"/api/sn_em_connector/em/inbound_event",
                {"POST": lambda call, _: events.azure_alert(call)},
                table="em_event",
            ),
            route(
                r"/api/(?!now/)[^/]+/azure_itsm_bridge/problem/(?P<id>[0-9a-fA-F]{32})",
                {"PATCH": lambda call, at: problem.walk(call, at["id"])},
                table="problem",
            ),
            route(
                r"/api/(?!now/).+/(?P<id>[^/]+)/new_state/(?P<state>[^/]+)",
                {
                    "PATCH": lambda call, at: problem.move(call, at["id"], at["state"]),
                    "POST": lambda call, at: problem.move(call, at["id"], at["state"]),
                },
                table="problem",
            ),
        ]

    def locate(self, call: Call) -> tuple[Route, dict[str, str]] | None:
        """The route of a call; notes table and operation in the call for log and scenarios."""
        path = call.path.rstrip("/") or "/"
        for candidate in self._routes:
            found = candidate.pattern.fullmatch(path)
            if found is not None:
                at = found.groupdict(default="")
                call.table = call.entry.target = candidate.table or at.get("table", "")
                call.operation = _OPERATIONS.get(call.method, "") if call.table else ""
                return candidate, at
        return None

    def seconds(self, call: Call) -> float:
        """How long a call takes beside the latency of every call."""
        return self._batch.seconds(call) if call.path.rstrip("/").endswith("/batch") else 0.0

    def serve(self, call: Call, *, count_rate: bool = True) -> Answer:
        """Run an authenticated call through gates and scenarios to its handler.

        Raises:
            ApiError: it is refused.
        """
        located = self.locate(call)
        self._instance.authentication.gate(call.user)
        headers = self._instance.faults.handling(call, count_rate=count_rate)
        try:
            answer = self._handle(call, located)
        except ApiError as error:
            answer = error_answer(error)
        answer.headers += headers
        return answer

    def serve_item(self, call: Call) -> Answer:
        """Run one item of a batch; a refusal is an answer like any other."""
        self.locate(call)
        failed = self._instance.faults.item(call)
        if failed is not None:
            return failed
        try:
            return self.serve(call, count_rate=self._instance.settings.rate_limit_counts_batch_items)
        except ApiError as error:
            return error_answer(error)

    def _handle(self, call: Call, located: tuple[Route, dict[str, str]] | None) -> Answer:
        settings = self._instance.settings
        unknown = ApiError(int(settings.unknown_uri_status), "Requested URI does not represent any resource")
        if located is None:
            raise unknown
        place, at = located
        handler = place.methods.get(call.method)
        if handler is None:
            if call.method in place.elsewhere:
                raise unknown
            detail = settings.method_not_supported.replace("{method}", call.method)
            raise ApiError(405, "Method not supported", detail)
        media = accepted(call.headers.get("Accept", ""), settings.not_acceptable) if not place.any_media else ""
        answer = handler(call, at)
        if not answer.content_type and not answer.empty:
            answer.content_type = media
        return answer

    def _tiny(self, call: Call) -> Answer:
        """``POST /api/now/tinyurl``: a short id for a long address; the answer is a page address that bears it."""
        url = one_record(read_body(call)).get("url")
        if not isinstance(url, str) or not url:
            raise ApiError(400, "Invalid URL", "url is missing")
        path = url.partition("?")[0].rstrip("/")
        table = path.rpartition("/")[2].removesuffix(".do").removesuffix("_list")
        return result(f"{table}_list.do?sysparm_tiny={self._instance.add_tiny_url(url)}", 201)
