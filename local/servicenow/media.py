"""Bodies: which media types are taken and given, reading JSON (leniently) and XML, writing both.

Source: ServiceNow docs, "REST API HTTP response codes" (406, 415) and Table API samples, which use single-quoted JSON.
"""

from __future__ import annotations

import ast
import gzip
import json
import re
from typing import Any
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

from local.servicenow.errors import SUPPORTED_MEDIA, ApiError, unreadable
from local.servicenow.exchange import Call

JSON_TYPE = "application/json;charset=UTF-8"
XML_TYPE = "application/xml;charset=UTF-8"
_XML = ("application/xml", "text/xml")
_SUPPORTED = ("application/json", *_XML)
#: Beyond this a body is not tried as lenient JSON: the reader is meant for small documentation samples.
_LENIENT_LIMIT = 1_000_000
_XML_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def accepted(accept: str, prefix: str) -> str:
    """The media type to answer with, for an Accept header.

    Raises:
        ApiError: 406, nothing that is offered is accepted. ``prefix`` is the first sentence of its message.
    """
    media = preferred(accept)
    if media is None:
        sentence = f"Supported response media types for this service are: {SUPPORTED_MEDIA}"
        raise ApiError(406, f"{prefix} {sentence}".strip())
    return media


def preferred(accept: str) -> str | None:
    """JSON unless XML is preferred; None when neither is accepted."""
    if not accept:
        return JSON_TYPE
    wanted = []
    for position, part in enumerate(accept.split(",")):
        media, *params = (piece.strip().lower() for piece in part.split(";"))
        quality = next((_quality(param[2:]) for param in params if param.startswith("q=")), 1.0)
        wanted.append((-quality, position, media))
    for quality_negative, _, media in sorted(wanted):
        if quality_negative == 0:
            continue
        if media in ("*/*", "application/*", "application/json"):
            return JSON_TYPE
        if media in _XML or media == "text/*":
            return XML_TYPE
    return None


def _quality(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 1.0


def read_body(call: Call) -> Any:
    """The body of a write as an object; an empty body is an empty object.

    Raises:
        ApiError: 415 for another media type, 400 for a body that cannot be read.
    """
    media = call.headers.get("Content-Type", "").split(";")[0].strip().lower()
    if media and media not in _SUPPORTED:
        text = f"Invalid content-type. Supported request media types for this service are: {SUPPORTED_MEDIA}"
        raise ApiError(415, text)
    if not call.body.strip():
        return {}
    if media in _XML:
        return _read_xml(call.body)
    try:
        return json.loads(call.body)
    except (ValueError, RecursionError):
        return _read_lenient(call.body)


def _read_lenient(body: bytes) -> Any:
    """JSON with single quotes or trailing commas, as the instance's own parser takes it."""
    refusal = unreadable("The payload is not valid JSON.")
    if len(body) > _LENIENT_LIMIT:
        raise refusal
    try:
        tree = ast.parse(body.decode("utf-8").strip(), mode="eval")
        return _literal(tree.body)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise refusal from error


_NAMES = {"true": True, "false": False, "null": None}


def _literal(node: ast.expr) -> Any:
    if isinstance(node, ast.Constant) and isinstance(node.value, (str, int, float)):
        return node.value
    if isinstance(node, ast.Name) and node.id in _NAMES:
        return _NAMES[node.id]
    if isinstance(node, ast.List):
        return [_literal(item) for item in node.elts]
    if isinstance(node, ast.Dict):
        keys = [_literal(key) if key is not None else None for key in node.keys]
        if all(isinstance(key, str) for key in keys):
            return dict(zip(keys, (_literal(value) for value in node.values), strict=True))
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        value = _literal(node.operand)
        if isinstance(value, (int, float)):
            return -value
    raise ValueError("not JSON")


def _read_xml(body: bytes) -> Any:
    """``<request><entry><field>text</field></entry></request>``, with or without the inner element."""
    try:
        root = ET.fromstring(body)
    except ET.ParseError as error:
        raise unreadable("The payload is not valid XML.") from error
    children = list(root)
    if len(children) == 1 and len(children[0]):
        children = list(children[0])
    return {child.tag: child.text or "" for child in children}


def one_record(body: Any) -> dict[str, Any]:
    """The record of a write: an object, or the first element of a list (the others are ignored).

    Raises:
        ApiError: 400; it is neither.
    """
    if isinstance(body, list):
        body = body[0] if body else {}
    if not isinstance(body, dict):
        raise unreadable("The payload is not valid JSON.")
    return body


def write_json(payload: Any) -> bytes:
    """Compact JSON, UTF-8."""
    return json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def write_xml(payload: Any) -> bytes:
    """The same answer as XML below ``<response>``; a list becomes repeated elements."""
    return f'<?xml version="1.0" encoding="UTF-8"?><response>{_element_body(payload)}</response>'.encode()


def _element_body(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, dict):
        return "".join(_elements(str(key), item) for key, item in value.items())
    if isinstance(value, bool):
        return "true" if value else "false"
    return escape(_XML_FORBIDDEN.sub("", str(value)))


def _elements(name: str, value: Any) -> str:
    if isinstance(value, list):
        return "".join(_elements(name, item) for item in value)
    inner = _element_body(value)
    return f"<{name}>{inner}</{name}>" if inner else f"<{name}/>"


def compress(data: bytes) -> bytes:
    """gzip, quick rather than small."""
    return gzip.compress(data, compresslevel=1, mtime=0)
