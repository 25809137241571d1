"""A record as a page, for people who follow a ticket's link. Read only, and open to whoever reaches this machine's
loopback interface: the real page asks people to sign in, which nobody needs for demo data.

Source of the addresses: ServiceNow docs, "Navigate to a record by URL" (``nav_to.do?uri=<table>.do?sys_id=<id>``).
"""

from __future__ import annotations

import re
from html import escape
from urllib.parse import unquote

from local.servicenow.exchange import Call
from local.servicenow.identity import SYSTEM
from local.servicenow.instance import Instance
from local.servicenow.rendering import Shape
from local.simulator_kit.calls import Answer

_RECORD = re.compile(r"/?(\w+)\.do\?sys_id=(\w{32})")

_STYLE = (
    "body{font:15px system-ui,sans-serif;margin:2em auto;max-width:60em;color:#222}"
    "th{text-align:left;vertical-align:top;padding:.2em 1em .2em 0;font-weight:600;white-space:nowrap}"
    "td{white-space:pre-wrap;overflow-wrap:anywhere}"
)


def record_page(instance: Instance, call: Call) -> Answer | None:
    """The page of a record, None when the address is no record's."""
    uri = call.param("uri") if call.path == "/nav_to.do" else f"{call.path}?{call.entry.query}"
    found = _RECORD.match(unquote(uri))
    if found is None or found[1] not in instance.dictionary:
        return None
    reader = instance.reader(SYSTEM)
    row = reader.row(found[1], found[2])
    if row is None:
        return None
    fields = reader.renderer(Shape(display="true", exclude_link=True)).record(row, row.table, None)
    title = escape(fields.get("number") or fields.get("name") or row.sys_id)
    shown = [(name, text) for name, text in fields.items() if text and not name.startswith("sys_")]
    lines = "".join(f"<tr><th>{escape(name)}</th><td>{escape(str(text))}</td></tr>" for name, text in shown)
    page = (
        f"<!doctype html><html><head><title>{title}</title><style>{_STYLE}</style></head>"
        f"<body><h1>{title}</h1><p>{escape(row.table)} on the ServiceNow simulator</p><table>{lines}</table></body>"
        "</html>"
    )
    return Answer(200, raw=page.encode(), content_type="text/html;charset=UTF-8")
