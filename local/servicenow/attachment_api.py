"""The Attachment API: ``/api/now[/v1]/attachment``.

Source: ServiceNow docs, "Attachment API". Metadata are text throughout; ``Location`` of an upload ends in ``/file``.
"""

from __future__ import annotations

import gzip
import hashlib
import json
from email.parser import BytesHeaderParser
from typing import Any

from local.servicenow.errors import ApiError, acl_refusal, insufficient_rights, record_not_found, unreadable
from local.servicenow.exchange import Call, result
from local.servicenow.instance import Instance
from local.servicenow.query.parser import Condition, Term, parse
from local.servicenow.reading import Reader
from local.servicenow.schema.describe import words
from local.servicenow.store import Row
from local.servicenow.table_api import require_table, write_context
from local.simulator_kit.calls import Answer

DEFAULT_LIMIT = 1000
_FIELDS = words(
    """
    sys_id table_name table_sys_id file_name content_type size_bytes size_compressed compressed hash chunk_size_bytes
    image_height image_width average_image_color state encryption_context sys_created_on sys_created_by
    sys_updated_on sys_updated_by sys_mod_count sys_tags
    """
)


class AttachmentApi:
    """Serves the calls."""

    def __init__(self, instance: Instance) -> None:
        self._instance = instance

    def _metadata(self, call: Call, version: str, row: Row) -> dict[str, Any]:
        values = {name: row.get(name) for name in _FIELDS}
        link = f"{call.base_url}/api/now/{version}attachment/{row.sys_id}/file"
        return {**values, "download_link": link}

    def listing(self, call: Call, version: str) -> Answer:
        """GET: metadata of attachments whose record the caller may read."""
        reader = self._instance.reader(call.user)
        if not self._instance.access.may(call.user, "read", "sys_attachment"):
            raise insufficient_rights()
        query = parse(call.param("sysparm_query"))
        plain: list[list[Term]] = [
            [Condition(name, "=", value)] for name, value in call.params if not name.startswith("sysparm_")
        ]
        query.groups = [group + plain for group in query.groups]
        rows = reader.select("sys_attachment", query)
        offset = max(0, call.number("sysparm_offset", 0))
        limit = max(0, call.number("sysparm_limit", DEFAULT_LIMIT))
        page = [row for row in rows[offset : offset + limit] if self._readable(reader, row)]
        headers = [("X-Total-Count", str(len(rows)))]
        return result([self._metadata(call, version, row) for row in page], headers=headers)

    def _readable(self, reader: Reader, row: Row) -> bool:
        if not reader.may_see(row):
            return False
        table = row.get("table_name")
        return table in self._instance.dictionary and reader.find(table, row.get("table_sys_id")) is not None

    def _find(self, call: Call, sys_id: str) -> Row:
        reader = self._instance.reader(call.user)
        row = reader.find("sys_attachment", sys_id)
        if row is None or not self._readable(reader, row):
            raise record_not_found()
        return row

    def one(self, call: Call, version: str, sys_id: str) -> Answer:
        """GET of one attachment's metadata."""
        return result(self._metadata(call, version, self._find(call, sys_id)))

    def download(self, call: Call, version: str, sys_id: str) -> Answer:
        """GET of the content; the metadata travel in a header."""
        row = self._find(call, sys_id)
        metadata = json.dumps(self._metadata(call, version, row), ensure_ascii=True, separators=(",", ":"))
        headers = [("X-Attachment-Metadata", metadata)]
        content_type = row.get("content_type") or "application/octet-stream"
        data = self._instance.attachments.get(row.sys_id)
        return Answer(200, raw=data, content_type=content_type, headers=headers)

    def upload_raw(self, call: Call, version: str) -> Answer:
        """POST of a file as the body, its place in the query."""
        wanted = {name: call.param(name) for name in ("table_name", "table_sys_id", "file_name")}
        content_type = call.headers.get("Content-Type", "").strip() or "application/octet-stream"
        return self._create(call, version, wanted, content_type, call.body)

    def upload_form(self, call: Call, version: str) -> Answer:
        """POST of a form: ``table_name``, ``table_sys_id``, and the file as its last part."""
        fields: dict[str, str] = {}
        for headers, content in _parts(call):
            file_name = headers.get_param("filename", header="Content-Disposition")
            name = headers.get_param("name", header="Content-Disposition")
            if file_name is None:
                fields[str(name)] = content.decode("utf-8", "replace")
                continue
            wanted = {"table_name": "", "table_sys_id": "", **fields, "file_name": str(file_name)}
            content_type = headers.get("Content-Type", "application/octet-stream")
            return self._create(call, version, wanted, content_type, content)
        raise ApiError(400, "No file found in the request", "The file must be the last part of the form")

    def _create(self, call: Call, version: str, wanted: dict[str, str], content_type: str, data: bytes) -> Answer:
        missing = [name for name in ("table_name", "table_sys_id", "file_name") if not wanted.get(name)]
        if missing:
            raise ApiError(400, "Missing required parameter", f"Missing parameter: {', '.join(missing)}")
        limit = self._instance.properties.number("com.glide.attachment.max_size", 1024) * 1024 * 1024
        if len(data) > limit:
            raise unreadable(f"File size exceeds the limit of {limit} bytes", 413)
        table = require_table(self._instance, wanted["table_name"])
        target = self._instance.reader(call.user).find(table, wanted["table_sys_id"])
        if target is None:
            raise record_not_found()
        if not self._instance.access.may(call.user, "write", target.table):
            raise acl_refusal("Insert")
        packed = len(gzip.compress(data, compresslevel=1))
        values = {
            "file_name": wanted["file_name"],
            "table_name": table,
            "table_sys_id": target.sys_id,
            "content_type": content_type,
            "size_bytes": str(len(data)),
            "size_compressed": str(packed),
            "compressed": "true",
            "hash": hashlib.sha256(data).hexdigest(),
            "chunk_size_bytes": "734003",
            "state": "pending",
        }
        row = self._instance.writer.insert("sys_attachment", values, write_context(self._instance, call))
        self._instance.attachments.put(row.sys_id, data)
        location = f"{call.base_url}/api/now/{version}attachment/{row.sys_id}/file"
        return result(self._metadata(call, version, row), 201, [("Location", location)])

    def delete(self, call: Call, sys_id: str) -> Answer:
        """DELETE of an attachment: 204."""
        row = self._find(call, sys_id)
        self._instance.writer.delete(row, write_context(self._instance, call))
        return Answer(204)


def _parts(call: Call) -> list[tuple[Any, bytes]]:
    """Headers and content of every part of a multipart body, in order.

    Raises:
        ApiError: 400; it is no multipart form, or not a complete one.
    """
    parser = BytesHeaderParser()
    content_type = call.headers.get("Content-Type", "")
    boundary = parser.parsebytes(f"Content-Type: {content_type}\r\n\r\n".encode()).get_param("boundary")
    if not content_type.lower().startswith("multipart/form-data") or not boundary:
        raise ApiError(400, "Invalid multipart request", "The request has no multipart boundary")
    marker = b"--" + str(boundary).encode()
    sections = (b"\r\n" + call.body).split(b"\r\n" + marker)
    if len(sections) < 3 or not sections[-1].startswith(b"--"):
        raise ApiError(400, "Invalid multipart request", "The form is not complete")
    found = []
    for section in sections[1:-1]:
        head, _, content = section.removeprefix(b"\r\n").partition(b"\r\n\r\n")
        found.append((parser.parsebytes(head + b"\r\n\r\n"), content))
    return found
