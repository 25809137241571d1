"""The Batch API: ``POST /api/now[/v1]/batch``.

Source: ServiceNow docs, "Batch API". Items run one after the other with the outer credentials; they are no transaction,
and whatever the time limit does not reach is listed as unserviced and was not run. An item whose answer does not fit
was run all the same, and is listed too: the documentation does not exclude it.

Whether rate limit rules count the items is not documented: the switch ``rate_limit_counts_batch_items``.
"""

from __future__ import annotations

import base64
import binascii
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote

from multidict import CIMultiDict

from local.servicenow.errors import ApiError, execution_time_exceeded, oversize, unreadable
from local.servicenow.exchange import Call
from local.servicenow.faults import error_answer
from local.servicenow.instance import Instance
from local.servicenow.media import read_body
from local.servicenow.wire import encode_body
from local.simulator_kit.calls import Answer, read_params
from local.simulator_kit.faults import Dropped

OUTPUT_LIMIT_HEADER = "X-BATCHREQUEST-MAX-OUTPUT-SIZE"


class BatchApi:
    """Serves the call; ``serve`` runs one item."""

    def __init__(self, instance: Instance, serve: Callable[[Call], Answer]) -> None:
        self._instance = instance
        self._serve = serve

    def run(self, call: Call) -> Answer:
        """Run every item within the time and size limits; the outer status is 200 whatever the items say."""
        limit = self._instance.properties.number("glide.rest.batch.max.inputSize", 5_242_880)
        if len(call.body) > limit:
            raise oversize(len(call.body), limit, int(self._instance.settings.oversize_status))
        body = read_body(call)
        items = body.get("rest_requests") if isinstance(body, dict) else None
        if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
            raise unreadable("The payload is not valid JSON.")
        ends = self._instance.faults.batch(call)
        fitting = len(items) if ends is None else min(int(ends.params["items"]), len(items))
        serviced, unserviced = self._run_items(call, items[:fitting])
        if ends is not None and ends.params["then"] == "cut":
            raise Dropped
        if ends is not None and ends.params["then"] == "error":
            raise execution_time_exceeded()
        if ends is not None and ends.params["then"] == "unserviced":
            unserviced += [str(item.get("id", "")) for item in items[fitting:]]
        payload = {
            "batch_request_id": str(body.get("batch_request_id", "")),
            "serviced_requests": serviced,
            "unserviced_requests": unserviced,
        }
        return Answer(200, payload)

    def seconds(self, call: Call) -> float:
        """How long the items of a batch take; the time limit ends it. 0 for what cannot be read."""
        each = self._instance.settings.batch_item_ms / 1000
        if each <= 0:
            return 0.0
        try:
            body = read_body(call)
        except ApiError:
            return 0.0
        items = body.get("rest_requests") if isinstance(body, dict) else None
        count = len(items) if isinstance(items, list) else 0
        return min(count * each, self._instance.settings.batch_timeout_s)

    def _run_items(self, call: Call, items: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], list[str]]:
        """Answers of the items that the limits of time and size let run, and the ids of the others."""
        settings = self._instance.settings
        deadline, taken = time.monotonic() + settings.batch_timeout_s, 0.0
        room = self._output_limit(call)
        serviced: list[dict[str, Any]] = []
        unserviced: list[str] = []
        for item in items:
            item_id = str(item.get("id", ""))
            taken += settings.batch_item_ms / 1000
            if unserviced or time.monotonic() >= deadline or taken > settings.batch_timeout_s:
                unserviced.append(item_id)
                continue
            done = self._run_item(call, item, item_id)
            room -= len(done.get("body", ""))
            if room < 0 and serviced:
                unserviced.append(item_id)
                continue
            serviced.append(done)
        return serviced, unserviced

    def _output_limit(self, call: Call) -> int:
        limit = self._instance.properties.number("glide.rest.batch.max.outputSize", 10_485_760)
        try:
            return min(limit, int(call.headers.get(OUTPUT_LIMIT_HEADER, limit)))
        except ValueError:
            return limit

    def _run_item(self, outer: Call, item: dict[str, Any], item_id: str) -> dict[str, Any]:
        started = time.perf_counter()
        answer, accept = self._answer(outer, item)
        data, content_type = encode_body(answer, accept)
        headers = [("Content-Type", content_type), *answer.headers] if content_type else list(answer.headers)
        done: dict[str, Any] = {
            "id": item_id,
            "body": base64.b64encode(data).decode(),
            "status_code": answer.status,
            "status_text": HTTPStatus(answer.status).phrase,
            "headers": [{"name": name, "value": value} for name, value in headers],
            "execution_time": round((time.perf_counter() - started) * 1000),
        }
        if item.get("exclude_response_headers"):
            done["headers"] = []
        return done

    def _answer(self, outer: Call, item: dict[str, Any]) -> tuple[Answer, str]:
        """The item's answer, and the Accept header it was asked with."""
        url = str(item.get("url", ""))
        path, _, query = url.partition("?")
        if not path.startswith("/"):
            path = "/" + path
        headers = CIMultiDict(
            (str(header.get("name", "")), str(header.get("value", "")))
            for header in item.get("headers") or []
            if isinstance(header, dict)
        )
        try:
            body = base64.b64decode(item.get("body") or "", validate=False)
        except (binascii.Error, TypeError, ValueError):
            return error_answer(unreadable("Body is not base64")), ""
        call = Call(
            method=str(item.get("method", "GET")).upper(),
            path=unquote(path),
            query=query,
            headers=headers,
            body=body,
            base_url=outer.base_url,
            entry=outer.entry,
            identity=outer.identity,
            params=read_params(query),
            in_batch=True,
        )
        table = outer.entry.target
        answer = self._serve(call)
        outer.entry.target = table
        outer.changes += call.changes
        return answer, headers.get("Accept", "")
