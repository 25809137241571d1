"""``/dataCollectionRules/{immutable id}/streams/{stream}``: the Logs Ingestion API.

Sources: Microsoft Learn, "Logs Ingestion API in Azure Monitor" (address, headers, 204, codes of errors), "Azure Monitor
service limits" (1 MB for a call, compressed and not); troubleshooting guides of Azure's clients of the API (text of the
403). The texts of other errors are documented nowhere.
"""

from __future__ import annotations

import json
import math
import re
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from local.azure.arm.access import Access
from local.azure.call import Call, Refusal
from local.azure.demo.identities import MONITOR_AUDIENCES
from local.azure.entra.tokens import TokenProblem, Tokens
from local.azure.ingestion.rules import PUBLISH, DataCollectionRule, table_of
from local.azure.ingestion.store import TableStore
from local.azure.ingestion.values import BadValue, read_rows
from local.azure.inventory import Inventory
from local.azure.settings import Settings
from local.simulator_kit.calls import Answer
from local.simulator_kit.clock import Clock

OPERATION = "streams/write"

_ROOT = "/datacollectionrules/"
_PATH = re.compile(r"/dataCollectionRules/(?P<rule>[^/]+)/streams/(?P<stream>[^/]+)/?", re.IGNORECASE)
_VERSIONS = frozenset({"2021-11-01-preview", "2023-01-01"})
_GZIP = 16 + zlib.MAX_WBITS

Headers = list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Added:
    """Rows that a call added: what it committed."""

    table: str
    rows: int


def is_ingestion(path: str) -> bool:
    """Whether a path belongs to the Logs Ingestion API."""
    return path.lower().startswith(_ROOT)


class Ingestion:
    """Takes rows."""

    def __init__(
        self,
        store: TableStore,
        rules: Sequence[DataCollectionRule],
        tokens: Tokens,
        access: Access,
        inventory: Inventory,
        clock: Clock,
        settings: Callable[[], Settings],
    ) -> None:
        self.store = store
        self._rules: dict[str, DataCollectionRule] = {}
        self._tokens = tokens
        self._access = access
        self._inventory = inventory
        self._clock = clock
        self._settings = settings
        for rule in rules:
            self.declare(rule)

    def declare(self, rule: DataCollectionRule) -> None:
        """Add a rule or replace one, and make its tables.

        Raises:
            ValueError: the subscription of its resource id is not known.
        """
        if not self._inventory.tenant_of(rule.resource_id):
            raise ValueError(f"resource_id: the subscription of {rule.resource_id} is not known")
        self._rules[rule.immutable_id] = rule
        for stream, columns in rule.streams.items():
            self.store.declare(table_of(stream), columns)

    def prepare(self, call: Call) -> None:
        """Sign in and say what the call is about.

        Raises:
            Refusal: 401 without a good token, 403 with one for something else.
        """
        try:
            caller = self._tokens.check(call.headers.get("Authorization", ""), MONITOR_AUDIENCES)
        except TokenProblem as problem:
            status = 403 if problem.code == "InvalidAuthenticationTokenAudience" else 401
            raise self.error(status, problem.code, problem.text) from problem
        call.caller = caller
        call.entry.user = caller.name
        call.operation = call.entry.target = OPERATION

    def serve(self, call: Call) -> Answer:
        """Answer one prepared call.

        Raises:
            Refusal: with the error body of the API.
        """
        path = _PATH.fullmatch(call.path)
        if path is None:
            raise self.error(404, "NotFound", "The requested path does not exist.")
        if call.method != "POST":
            raise self.error(405, "MethodNotAllowed", "Only POST is supported.")
        version = call.param("api-version")
        if version not in _VERSIONS:
            raise self.error(400, "UnsupportedApiVersion", f"The api-version '{version}' is not supported.")
        rule = self._rule(call, path["rule"])
        columns = rule.streams.get(path["stream"])
        if columns is None:
            text = f"The stream {path['stream']} was not found in the data collection rule '{rule.immutable_id}'."
            raise self.error(404, "InvalidStream", text)
        sent = self._rows(call)
        strict = self._settings().ingestion_unsuitable == "refuse"
        try:
            rows = read_rows(sent, columns, self._clock.now(), strict=strict)
        except BadValue as problem:
            raise self.error(400, "InvalidRecord", str(problem)) from problem
        table = table_of(path["stream"])
        self.store.add(table, rows)
        call.changes.append(Added(table, len(rows)))
        return Answer(204)

    def headers(self, call: Call) -> Headers:
        """What every answer has."""
        sent = call.headers.get("x-ms-client-request-id")
        return [("x-ms-request-id", call.entry.id), *([("x-ms-client-request-id", sent)] if sent else [])]

    def throttled(self, seconds: int | None) -> Refusal:
        """429, with or without Retry-After."""
        headers = [("Retry-After", str(seconds))] if seconds is not None else []
        return self.error(429, "TooManyRequests", "The data collection rule takes no more rows now.", headers)

    def forbidden(self, call: Call, resource: str = "") -> Refusal:
        """403 for a caller without the role."""
        found = _PATH.fullmatch(call.path)
        text = (
            "The authentication token provided does not have access to ingest data for the data collection rule with "
            f"immutable Id '{found['rule'] if found else ''}' PipelineAccessResult: AccessGranted: False, "
            f"IsRbacPresent: False, IsDcrDceBindingValid: , DcrArmId: {resource}, Message: Required authorization "
            f"action was not found for tenantId {call.who.tenant} objectId {call.who.object_id} on resourceId "
            f"{resource}."
        )
        return self.error(403, "OperationFailed", text)

    def error(self, status: int, code: str, message: str, headers: Headers | None = None) -> Refusal:
        """A refusal in the shape of the API."""
        body = {"error": {"code": code, "message": message}}
        own = [("x-ms-error-code", code), *(headers or [])]
        if status == 401:
            own.append(("WWW-Authenticate", 'Bearer error="invalid_token"'))
        return Refusal(Answer(status, body, headers=own), message)

    def _rule(self, call: Call, immutable_id: str) -> DataCollectionRule:
        """The rule that an address names, if the caller may send rows to it."""
        rule = self._rules.get(immutable_id.lower())
        if rule is None:
            text = f"Data collection rule with immutable Id '{immutable_id}' not found."
            raise self.error(404, "NotFound", text)
        resource, caller = rule.resource_id, call.who
        known = self._inventory.tenant_of(resource) == caller.tenant
        if not known or not self._access.allowed(caller, PUBLISH, resource):
            raise self.forbidden(call, resource)
        return rule

    def _rows(self, call: Call) -> list[dict[str, Any]]:
        data = self._body(call)
        if not data:
            raise self.error(500, "InternalServerError", "An unexpected error occurred.")
        try:
            text = data.decode()
            sent = json.loads(text, parse_float=_finite, parse_constant=_finite)
            if "\\ud" in text.lower():
                json.dumps(sent, ensure_ascii=False).encode()  # fails where half of a surrogate pair stands alone
        except (ValueError, RecursionError) as problem:
            raise self._malformed("The body is no valid JSON in UTF-8.") from problem
        if not isinstance(sent, list) or not all(isinstance(row, dict) for row in sent):
            raise self._malformed("The body must be a JSON array of objects.")
        marker = self._settings().ingestion_refused_text
        if marker and marker in text:
            for number, row in enumerate(sent):
                if any(isinstance(value, str) and marker in value for value in row.values()):
                    raise self.error(400, "InvalidRecord", f"Record {number} cannot be ingested.")
        return sent

    def _malformed(self, text: str) -> Refusal:
        """The answer to a body that is no list of rows: 204, as for one that is stored, unless the setting says 400.
        Source: issues of the API's clients, where lone objects and broken JSON were answered so."""
        if self._settings().ingestion_malformed == "accept":
            return Refusal(Answer(204), text)
        return self.error(400, "InvalidPayload", text)

    def _body(self, call: Call) -> bytes:
        """The body, decompressed. Raises Refusal: 413 above the limit, 415 for an unknown encoding, 400."""
        limit = self._settings().ingestion_body_limit
        encoding = call.headers.get("Content-Encoding", "identity").strip().lower()
        if encoding not in ("identity", "gzip", ""):
            text = f"The Content-Encoding '{encoding}' is not supported."
            raise self.error(415, "UnsupportedMediaType", text)
        data = call.body
        if encoding == "gzip" and len(data) <= limit and not call.oversized:
            try:
                reader = zlib.decompressobj(_GZIP)
                data = reader.decompress(call.body, limit + 1)
            except zlib.error as problem:
                raise self.error(400, "InvalidPayload", "The body is no gzip data.") from problem
            if len(data) <= limit and not reader.eof:
                raise self.error(400, "InvalidPayload", "The gzip data end too early.")
        if call.oversized or len(data) > limit:
            text = f"The body is larger than {limit} bytes."
            raise self.error(413, "ContentLengthLimitExceeded", text)
        return data


def _finite(text: str) -> float:
    """A number of JSON. Raises ValueError for one that is not, or too large."""
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is no number")
    return value
