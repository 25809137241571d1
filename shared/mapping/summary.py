"""The long text of a ticket: what happened, to what, since when, and where to look."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from shared.core.signal import Signal, SignalState
from shared.core.times import rfc3339
from shared.mapping.layouts import Layout

_LINK_NAMES = {"investigation": "Investigation", "search": "Search results"}
_MOST_RESOURCES = 20


def summary(signal: Signal, layout: Layout, limit: int) -> str:
    """Describe the signal in at most ``limit`` characters, as ``layout`` presents its kind.

    Links stand last and are kept whole: the text before them is cut first, and a link that would take more than half
    of the room is left out with a word about it.
    """
    links = _links(signal.links, {"portal": layout.portal, **_LINK_NAMES}, limit)
    room = limit - len(links) - 2 if links else limit
    text = "\n\n".join(part for part in _parts(signal, layout) if part)
    if len(text) > room:
        text = text[: max(room - 1, 0)].rstrip() + "…"
    return f"{text}\n\n{links}" if links else text


def _parts(signal: Signal, layout: Layout) -> Iterable[str]:
    yield signal.description
    yield "\n".join(_facts(signal, layout))
    for name, title in layout.texts:
        if text := signal.details.get(name):
            yield f"{title}:\n{text}"
    if layout.dimensions:
        yield _table(layout.dimensions, signal.dimensions)
    yield _table("Custom properties", signal.custom_properties)


def _facts(signal: Signal, layout: Layout) -> Iterable[str]:
    if signal.rule:
        yield f"{layout.rule}: {signal.rule}"
    yield "Severity: " + ("not given" if signal.severity is None else f"Sev{signal.severity}")
    if signal.fired_at:
        yield f"Fired: {rfc3339(signal.fired_at)}"
    if signal.state is SignalState.RESOLVED:
        yield f"Resolved: {rfc3339(signal.resolved_at or signal.occurred_at)}"
    names = [resource.id or resource.name or "" for resource in signal.resources]
    for name in names[:_MOST_RESOURCES]:
        yield f"Resource: {name}"
    if len(names) > _MOST_RESOURCES:
        yield f"... and {len(names) - _MOST_RESOURCES} more resources"
    for name, title in layout.facts:
        if text := signal.details.get(name):
            yield f"{title}: {text}"
    yield f"Key: {signal.key}"


def _table(title: str, values: Mapping[str, str]) -> str:
    if not values:
        return ""
    return f"{title}:\n" + "\n".join(f"  {name}: {value}" for name, value in values.items())


def _links(links: Mapping[str, str], names: Mapping[str, str], limit: int) -> str:
    lines: list[str] = []
    room = limit // 2
    for name, title in names.items():
        link = links.get(name)
        if not link:
            continue
        line = f"{title}: {link}"
        if len(line) > room:
            line = f"{title}: too long for this field"
        room -= len(line) + 1
        lines.append(line)
    return "\n".join(lines)
