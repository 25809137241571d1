"""The workbook as one static HTML page: its own JSON and queries, answers from DuckDB. No script and no network."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from local.workbook.answer import Answer, RunQuery
from local.workbook.charts import Span, drawn
from local.workbook.items import PORTAL
from local.workbook.queries import ALL, filled, time_range

_TEXT, _QUERY, _PARAMETERS = 1, 3, 9
_LINK, _BAR, _HIDDEN = 1, 4, 5
_TIME, _CHOICE = 4, 2

_GLOBAL_PORTAL: Final = "https://portal.azure.com"

#: Widths of a bar by the longest time range for which it is used; about as the portal chooses them.
_GRAINS: Final = ((1, "1h", timedelta(hours=1)), (7, "6h", timedelta(hours=6)), (90, "1d", timedelta(days=1)))


@dataclass(frozen=True, slots=True)
class Cell:
    """A field of a table. ``kind`` is ``number``, ``time`` or empty; ``bar`` is the percentage behind it."""

    text: str
    kind: str
    link: str = ""
    bar: float | None = None


def render(workbook: Mapping[str, Any], run: RunQuery, out: Path, *, now: datetime | None = None) -> None:
    """Write the page.

    Args:
        workbook: as it is deployed, with the marks of the template still in it.
        run: answers a query.
        out: file to write.
        now: end of the time range; by default the present.

    Raises:
        KeyError: a query uses a parameter that the workbook does not give.
        OSError: the file cannot be written.
    """
    end = (now or datetime.now(UTC)).astimezone(UTC)
    page = _Page(run, end)
    items = [shown for item in workbook["items"] for shown in page.shown(item)]
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined
    )
    text = environment.get_template("page.html.j2").render(
        title="Azure ITSM Bridge", items=items, rendered=f"{end:%Y-%m-%d %H:%M}"
    )
    out.write_text(text, encoding="utf-8")


class _Page:
    """Items from top to bottom: parameters are known to what stands below them."""

    def __init__(self, run: RunQuery, end: datetime) -> None:
        self._run = run
        self._end = end
        self._values: dict[str, str] = {}
        self._span = Span(end.replace(tzinfo=None), end.replace(tzinfo=None), timedelta(days=1))

    def shown(self, item: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """What the template needs of an item; nothing for one that is hidden."""
        content = item["content"]
        if item["type"] == _TEXT:
            yield {"kind": "text", "html": _markdown(content["json"])}
        elif item["type"] == _PARAMETERS:
            yield {"kind": "parameters", "pills": [pill for one in content["parameters"] for pill in self._take(one)]}
        elif self._values.get(item.get("conditionalVisibility", {}).get("parameterName", ""), "shown"):
            yield self._query(item, content)

    def _take(self, parameter: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        """Give a parameter its first value, and say it where readers see it."""
        name = parameter["name"]
        if parameter["type"] == _TIME:
            length = timedelta(milliseconds=parameter["value"]["durationMs"])
            _, grain, wide = next((one for one in _GRAINS if length <= timedelta(days=one[0])), _GRAINS[-1])
            self._values |= {
                f"{name}:{part}": value
                for part, value in (
                    (key.partition(":")[2], text) for key, text in time_range(self._end, length, grain).items()
                )
            }
            end = self._end.replace(tzinfo=None)
            self._span = Span(end - length, end, wide)
            yield parameter["label"], f"Last {length.days} days"
        elif parameter["type"] == _CHOICE:
            self._values[name] = ALL
            yield parameter["label"], f"All ({len(self._run(filled(parameter['query'], self._values)).rows)})"
        else:
            self._values[name] = _GLOBAL_PORTAL if parameter["value"] == PORTAL else parameter["value"]

    def _query(self, item: Mapping[str, Any], content: Mapping[str, Any]) -> dict[str, Any]:
        kql = filled(content["query"], self._values)
        answer = self._run(kql)
        exported = content.get("exportedParameters", ())
        for one in exported:
            values = answer.values(one["fieldName"])
            self._values[one["parameterName"]] = str(values[0]) if values else ""
        is_table = content["visualization"] == "table"
        columns, rows = _table(answer, content.get("gridSettings", {}).get("formatters", ()))
        chart = None
        if not is_table and answer.rows:
            chart = drawn(content["visualization"], answer, content["chartSettings"], self._span)
        return {
            "kind": "query",
            "name": item["name"],
            "title": content["title"],
            "width": int(item.get("customWidth", 100)),
            "no_data": content["noDataMessage"],
            "columns": columns,
            "rows": rows,
            "chart": chart,
            "selects": bool(exported),
            "kql": kql,
        }


def _table(answer: Answer, formatters: Any) -> tuple[list[dict[str, str]], list[list[Cell]]]:
    """Columns and cells of a table as a workbook formats them."""

    def those(kind: int) -> dict[str, Mapping[str, Any]]:
        return {
            one["columnMatch"].strip("^$"): one.get("formatOptions", {})
            for one in formatters
            if one["formatter"] == kind
        }

    links, bars, hidden = those(_LINK), those(_BAR), those(_HIDDEN)
    rows = answer.dicts()
    shown = [name for name in answer.columns if name not in hidden]
    most = {name: max((row[name] or 0 for row in rows), default=0) for name in bars if name in answer.columns}
    kinds = {name: _kind([row[name] for row in rows]) for name in shown}
    cells = [
        [
            Cell(
                _shown(row[name]),
                kinds[name],
                _address(row[links[name]["linkColumn"]]) if name in links else "",
                round(100 * (row[name] or 0) / most[name]) if most.get(name) else None,
            )
            for name in shown
        ]
        for row in rows
    ]
    return [{"name": name, "kind": kinds[name]} for name in shown], cells


def _address(value: Any) -> str:
    """An address that may be followed; others, such as those that run a script, are left out."""
    return value if isinstance(value, str) and value.startswith(("https://", "http://127.0.0.1:")) else ""


def _kind(values: list[Any]) -> str:
    present = [one for one in values if one is not None]
    if present and all(isinstance(one, datetime) for one in present):
        return "time"
    numbers = all(isinstance(one, int | float) and not isinstance(one, bool) for one in present)
    return "number" if present and numbers else ""


def _shown(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M}"
    if isinstance(value, float):
        return f"{value:,.0f}" if value == int(value) else f"{value:,.1f}"
    return str(value)


def _markdown(text: str) -> Markup:
    """Headings, paragraphs and code: all that the workbook's texts use."""
    parts = []
    for block in text.split("\n\n"):
        level = len(block) - len(block.lstrip("#"))
        tag = f"h{level}" if level else "p"
        words = re.sub("`([^`]+)`", r"<code>\1</code>", str(escape(block.lstrip("# "))))
        parts.append(Markup("<{0}>{1}</{0}>").format(Markup(tag), Markup(words)))
    return Markup("").join(parts)
