"""Microsoft Graph: ``secureScores`` and ``secureScoreControlProfiles`` of security, ``applications(appId=...)``.

Source: Microsoft Graph docs, "List secureScores", "List secureScoreControlProfiles", "Update
secureScoreControlProfile", "Microsoft Graph error responses". ``If-Match`` is not
documented for these and is not looked at.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote, urlencode

from local.azure.call import Call, Caller, Refusal
from local.azure.demo.identities import GRAPH_API, GRAPH_AUDIENCES
from local.azure.entra.tokens import TokenProblem, Tokens
from local.azure.graph.applications import Applications, is_application
from local.azure.graph.store import SecureScores
from local.azure.settings import Settings
from local.azure.times import iso0, iso7
from local.simulator_kit.calls import Answer
from local.simulator_kit.clock import Clock
from local.simulator_kit.journal import Journal

_READ = frozenset({"SecurityEvents.Read.All", "SecurityEvents.ReadWrite.All"})
_WRITE = frozenset({"SecurityEvents.ReadWrite.All"})
_STATES = {"default": "default", "ignored": "ignored", "thirdparty": "thirdParty", "reviewed": "reviewed"}
_FILTER = re.compile(r"\s*([\w/]+)\s+eq\s+(?:'((?:[^']|'')*)'|(true|false|null|-?\d+(?:\.\d+)?))\s*", re.IGNORECASE)
_VERSIONS = ("v1.0", "beta")
_COLLECTIONS = {"securescores": "secureScores", "securescorecontrolprofiles": "secureScoreControlProfiles"}


class Graph:
    """Answers ``/v1.0`` and ``/beta``."""

    def __init__(
        self, store: SecureScores, tokens: Tokens, clock: Clock, journal: Journal, settings: Callable[[], Settings]
    ) -> None:
        self._store = store
        self._tokens = tokens
        self._clock = clock
        self._journal = journal
        self._settings = settings
        self._applications = Applications(lambda: tokens.directory, clock)

    def prepare(self, call: Call) -> None:
        """Sign in and say what the call is about; scenarios look at both.

        Raises:
            Refusal: 401.
        """
        try:
            caller = self._tokens.check(call.headers.get("Authorization", ""), (*GRAPH_AUDIENCES, GRAPH_API))
        except TokenProblem as problem:
            text = {
                "AuthenticationFailed": "Access token is empty.",
                "InvalidAuthenticationTokenAudience": "Access token validation failure. Invalid audience.",
                "ExpiredAuthenticationToken": "Access token has expired or is not yet valid.",
            }.get(problem.code, problem.text)
            raise self.error(call, 401, "InvalidAuthenticationToken", text) from problem
        call.caller = caller
        call.entry.user = caller.name
        segments = _segments(call)
        if is_application(segments):
            call.operation = call.entry.target = "applications/read"
            return
        collection = _COLLECTIONS.get(segments[2].lower(), "") if len(segments) > 2 else ""
        if collection:
            call.operation = call.entry.target = f"{collection}/{'write' if call.method == 'PATCH' else 'read'}"

    def serve(self, call: Call) -> Answer:
        """Answer one prepared request.

        Raises:
            Refusal: with Graph's error body.
        """
        segments = _segments(call)
        if is_application(segments):
            return self._applications.serve(call, segments[1], self.error)
        if not call.operation or segments[1].lower() != "security" or len(segments) > 4:
            raise self.error(call, 404, "ResourceNotFound", f"Resource not found for the segment '{segments[-1]}'.")
        collection = call.operation.partition("/")[0]
        if len(segments) == 3 and call.method == "GET":
            self._allow(call, call.who, _READ)
            return self._list(call, collection)
        if len(segments) == 4 and call.method == "GET":
            self._allow(call, call.who, _READ)
            return Answer(200, {**self._context(collection, "/$entity"), **self._one(call, collection, segments[3])})
        if len(segments) == 4 and call.method == "PATCH" and collection == "secureScoreControlProfiles":
            self._allow(call, call.who, _WRITE)
            return self._patch(call, segments[3])
        raise self.error(
            call, 405, "Request_BadRequest", "Specified HTTP method is not allowed for the request target."
        )

    def _allow(self, call: Call, caller: Caller, roles: frozenset[str]) -> None:
        if not roles & set(caller.roles):
            text = "Insufficient privileges to complete the operation."
            raise self.error(call, 403, "Authorization_RequestDenied", text)

    def _items(self, tenant: str, collection: str) -> list[dict[str, Any]]:
        if collection == "secureScores":
            return self._store.listed(tenant)
        return list(self._store.profiles.get(tenant, {}).values())

    def _one(self, call: Call, collection: str, name: str) -> dict[str, Any]:
        for item in self._items(call.who.tenant, collection):
            if item["id"] == name:
                return item
        raise self.error(call, 404, "ResourceNotFound", f"Resource '{name}' does not exist.")

    def _list(self, call: Call, collection: str) -> Answer:
        items = self._items(call.who.tenant, collection)
        wanted = call.param("$filter")
        if wanted:
            items = self._filtered(call, items, wanted)
        top = self._count(call, "$top", self._settings().graph_page_size, 1)
        skip = self._count(call, "$skip", 0, 0)
        body: dict[str, Any] = self._context(collection, "")
        if call.param("$count").lower() == "true":
            body["@odata.count"] = len(items)
        body["value"] = items[skip : skip + top]
        if skip + top < len(items):
            query = [(name, value) for name, value in call.params if name.lower() != "$skip"]
            body["@odata.nextLink"] = f"{call.base_url}{call.path}?{urlencode([*query, ('$skip', str(skip + top))])}"
        return Answer(200, body)

    def _count(self, call: Call, name: str, default: int, least: int) -> int:
        text = call.param(name)
        if not text:
            return default
        if not text.isdecimal() or int(text) < least:
            raise self.error(call, 400, "BadRequest", f"Invalid value '{text}' for {name} query option found.")
        return int(text)

    def _filtered(self, call: Call, items: list[dict[str, Any]], text: str) -> list[dict[str, Any]]:
        """``property eq value``, several joined by ``and``: all that these lists document."""
        for condition in re.split(r"\s+and\s+", text, flags=re.IGNORECASE):
            found = _FILTER.fullmatch(condition)
            if not found or not any(found[1].partition("/")[0] in item for item in items):
                raise self.error(call, 400, "BadRequest", f"Invalid filter clause: '{text}'.")
            quoted = found[2] is not None
            wanted = found[2].replace("''", "'") if quoted else found[3].lower()
            items = [item for item in items if _equal(_at(item, found[1]), wanted, quoted)]
        return items

    def _patch(self, call: Call, name: str) -> Answer:
        before = self._one(call, "secureScoreControlProfiles", name)
        body = call.json_object()
        if not body:
            raise self.error(call, 400, "BadRequest", "The request body is empty or not a JSON object.")
        given = body.get("vendorInformation")
        if not isinstance(given, dict) or not given.get("provider") or not given.get("vendor"):
            raise self.error(call, 400, "BadRequest", "vendorInformation with provider and vendor is required.")
        if name.lower().startswith("scid_"):
            raise self.error(call, 400, "BadRequest", f"The control '{name}' cannot be updated.")
        changes: dict[str, Any] = {key: body[key] for key in ("assignedTo", "comment", "state") if key in body}
        if any(value is not None and not isinstance(value, str) for value in changes.values()):
            raise self.error(call, 400, "BadRequest", "assignedTo, comment and state are texts.")
        if "state" in changes:
            known = _STATES.get(str(changes["state"]).lower())
            if known is None:
                raise self.error(call, 400, "BadRequest", f"'{changes['state']}' is no state of a control.")
            if self._settings().state_spelling == "camel":
                changes["state"] = known
        after = self._store.update_profile(call.who.tenant, name, changes, call.who.client_id)
        now = iso7(self._clock.now())
        self._journal.record(call, now, name, before["controlStateUpdates"], after["controlStateUpdates"])
        if "return=representation" not in call.headers.get("Prefer", "").replace(" ", "").lower():
            return Answer(204)
        body = {**self._context("secureScoreControlProfiles", "/$entity"), **after}
        return Answer(200, body, headers=[("Preference-Applied", "return=representation")])

    @staticmethod
    def _context(collection: str, tail: str) -> dict[str, Any]:
        return {"@odata.context": f"https://graph.microsoft.com/v1.0/$metadata#security/{collection}{tail}"}

    def error(self, call: Call, status: int, code: str, message: str, *headers: tuple[str, str]) -> Refusal:
        """A refusal in Graph's shape."""
        inner = {
            "date": iso0(self._clock.now()).rstrip("Z"),
            "request-id": call.entry.id,
            "client-request-id": call.headers.get("client-request-id", call.entry.id),
        }
        body = {"error": {"code": code, "message": message, "innerError": inner}}
        return Refusal(Answer(status, body, headers=list(headers)), note=f"{code}: {message}")

    @staticmethod
    def headers(call: Call) -> list[tuple[str, str]]:
        """Headers that every answer bears."""
        return [
            ("request-id", call.entry.id),
            ("client-request-id", call.headers.get("client-request-id", str(uuid.uuid4()))),
            ("x-ms-ags-diagnostic", '{"ServerInfo":{"DataCenter":"West Europe","Slice":"E","Ring":"5"}}'),
            ("Cache-Control", "no-cache"),
        ]


def _segments(call: Call) -> list[str]:
    return [unquote(part) for part in call.path.strip("/").split("/")]


def is_graph(path: str) -> bool:
    """Does an address belong to Graph?"""
    return path.strip("/").partition("/")[0].lower() in _VERSIONS


def _at(item: Any, path: str) -> Any:
    for name in path.split("/"):
        item = item.get(name) if isinstance(item, dict) else None
    return item


def _equal(value: Any, wanted: str, quoted: bool) -> bool:
    if quoted:
        return isinstance(value, str) and value.lower() == wanted.lower()
    if isinstance(value, bool) or value is None:
        return wanted == {True: "true", False: "false", None: "null"}[value]
    return isinstance(value, (int, float)) and wanted not in ("true", "false", "null") and float(wanted) == value
