"""Charts as inline SVG: stacked bars and lines over time, and bars by category. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from markupsafe import Markup, escape

from local.workbook.answer import Answer

_COLOURS: Final = ("#0078d4", "#ef6950", "#00b7c3", "#8764b8", "#498205", "#ca5010", "#69797e", "#e3008c")
_WIDTH, _HEIGHT = 720, 240
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 12, 12, 28
_ROW: Final = 26
_LABELS: Final = 110
_NARROW: Final = 460


@dataclass(frozen=True, slots=True)
class Span:
    """The time range of a page: UTC, without a zone. ``grain`` is the width of a bar."""

    start: datetime
    end: datetime
    grain: timedelta


def drawn(visualization: str, answer: Answer, settings: Mapping[str, Any], span: Span) -> Markup:
    """A chart of a workbook. Raises KeyError for a visualization that is not drawn here."""
    draw: Callable[[Answer, Mapping[str, Any], Span], Markup] = {
        "barchart": _time_bars,
        "timechart": _time_lines,
        "categoricalbar": _category_bars,
    }[visualization]
    return draw(answer, settings, span)


def _time_bars(answer: Answer, settings: Mapping[str, Any], span: Span) -> Markup:
    groups = _groups(answer, settings)
    heights: dict[datetime, dict[str, float]] = {}
    for time, group, value in _points(answer, settings):
        bar = heights.setdefault(time, {})
        bar[group] = bar.get(group, 0) + value
    top = _nice(max((sum(bar.values()) for bar in heights.values()), default=1))
    wide = max((_WIDTH - _LEFT - _RIGHT) * (span.grain / (span.end - span.start)) - 2, 2)
    parts = [_axes(top, span)]
    for time, bar in sorted(heights.items()):
        below = 0.0
        for group, colour in groups.items():
            value = bar.get(group, 0)
            if value:
                y = _y(below + value, top)
                title = f"{time:%Y-%m-%d %H:%M}, {group}: {_number(value)}"
                parts.append(_rectangle(_x(time, span), y, wide, _y(below, top) - y, colour, title))
                below += value
    return _framed(parts, groups, _WIDTH, _HEIGHT)


def _time_lines(answer: Answer, settings: Mapping[str, Any], span: Span) -> Markup:
    groups = _groups(answer, settings)
    points = _points(answer, settings)
    top = _nice(max((value for _, _, value in points), default=1))
    parts = [_axes(top, span)]
    for group, colour in groups.items():
        line = sorted((_x(time, span), _y(value, top), value) for time, of, value in points if of == group)
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y, _ in line)
        parts.append(Markup('<polyline points="{}" fill="none" stroke="{}" stroke-width="2"/>').format(path, colour))
        parts += [
            Markup('<circle cx="{}" cy="{}" r="3" fill="{}"><title>{}: {}</title></circle>').format(
                round(x, 1), round(y, 1), colour, group, _number(value)
            )
            for x, y, value in line
        ]
    return _framed(parts, groups, _WIDTH, _HEIGHT)


def _category_bars(answer: Answer, settings: Mapping[str, Any], _: Span) -> Markup:
    groups = _groups(answer, settings)
    bars: dict[str, dict[str, float]] = {}
    for category, group, value in _points(answer, settings):
        bars.setdefault(str(category), {})[group] = value
    top = max((sum(bar.values()) for bar in bars.values()), default=1)
    scale = (_NARROW - _LABELS - 40) / top
    parts: list[Markup] = []
    for place, (category, bar) in enumerate(sorted(bars.items(), key=lambda one: -sum(one[1].values()))):
        y, x = _TOP + place * _ROW, float(_LABELS)
        parts.append(_text(_LABELS - 8, y + 15, category, "end"))
        for group, colour in groups.items():
            if value := bar.get(group, 0):
                parts.append(
                    _rectangle(x, y, value * scale, _ROW - 8, colour, f"{category}, {group}: {_number(value)}")
                )
                x += value * scale
        parts.append(_text(x + 6, y + 15, _number(sum(bar.values()))))
    return _framed(parts, groups, _NARROW, _TOP * 2 + len(bars) * _ROW)


def _points(answer: Answer, settings: Mapping[str, Any]) -> list[tuple[Any, str, float]]:
    """Place, group and value of every value of a chart."""
    places = answer.values(settings["xAxis"])
    names = answer.values(settings["group"]) if "group" in settings else None
    return [
        (place, names[row] if names else column, float(value))
        for column in settings["yAxis"]
        for row, (place, value) in enumerate(zip(places, answer.values(column), strict=True))
        if value is not None
    ]


def _groups(answer: Answer, settings: Mapping[str, Any]) -> dict[str, str]:
    """Groups of a chart, each with its colour."""
    names = sorted(set(answer.values(settings["group"]))) if "group" in settings else settings["yAxis"]
    return {str(name): _COLOURS[place % len(_COLOURS)] for place, name in enumerate(names)}


def _x(time: datetime, span: Span) -> float:
    return _LEFT + (_WIDTH - _LEFT - _RIGHT) * ((time - span.start) / (span.end - span.start))


def _y(value: float, top: float) -> float:
    return _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * value / top


def _nice(most: float) -> float:
    """The end of an axis of four parts: no smaller, and its parts are whole numbers or nearly so."""
    most = max(most, 4)
    step: float = 10.0 ** math.floor(math.log10(most))
    return next(factor * step for factor in (1.2, 2, 4, 6, 8, 12) if factor * step >= most)


def _axes(top: float, span: Span) -> Markup:
    parts = []
    for part in range(5):
        value = top * part / 4
        y = _y(value, top)
        line = Markup('<line x1="{}" x2="{}" y1="{}" y2="{}" stroke="#edebe9"/>')
        parts += [line.format(_LEFT, _WIDTH - _RIGHT, y, y), _text(_LEFT - 6, y + 4, _short(value), "end")]
    for part in range(6):
        time = span.start + (span.end - span.start) * part / 5
        text = f"{time:%b %d}" if span.end - span.start > timedelta(days=2) else f"{time:%H:%M}"
        parts.append(_text(_x(time, span), _HEIGHT - 8, text, ("start", *("middle",) * 4, "end")[part]))
    return Markup("").join(parts)


def _framed(parts: Sequence[Markup], groups: Mapping[str, str], width: float, height: float) -> Markup:
    legend = Markup("").join(
        Markup('<span><i style="background:{}"></i>{}</span>').format(colour, name) for name, colour in groups.items()
    )
    svg = Markup('<svg viewBox="0 0 {} {}" role="img">{}</svg>')
    return svg.format(width, height, Markup("").join(parts)) + Markup('<p class="legend">{}</p>').format(legend)


def _rectangle(x: float, y: float, width: float, height: float, colour: str, title: str) -> Markup:
    return Markup('<rect x="{}" y="{}" width="{}" height="{}" fill="{}"><title>{}</title></rect>').format(
        round(x, 1), round(y, 1), round(width, 1), round(height, 1), colour, title
    )


def _text(x: float, y: float, text: str, anchor: str = "start") -> Markup:
    return Markup('<text x="{}" y="{}" text-anchor="{}">{}</text>').format(
        round(x, 1), round(y, 1), anchor, escape(text)
    )


def _short(value: float) -> str:
    """A number that fits beside an axis."""
    if value >= 1_000_000:
        return f"{_number(value / 1_000_000)}M"
    return f"{_number(value / 1_000)}k" if value >= 10_000 else _number(value)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) else f"{value:,.1f}"
