"""The long text of a ticket: what happened, to what, since when, and where to look."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from shared.core.signal import Signal, SignalState
from shared.core.times import rfc3339
from shared.mapping.layouts import Layout
from shared.payloads.values import cut

_LINK_NAMES = {"investigation": "Investigation", "search": "Search results"}
_MOST_RESOURCES = 20
_RESOURCE = "Resource: "

#: Percentage of the room that facts may take when not everything fits.
_SHARE_OF_FACTS = 60

#: A part that would be cut to fewer characters is left out.
_LEAST = 40


def summary(signal: Signal, layout: Layout, limit: int) -> str:
    """Describe the signal in at most ``limit`` characters, as ``layout`` presents its kind.

    Links stand last and are kept whole; a link that would take more than half of the room is left out with a word
    about it. The facts (rule, severity, times, resources, key ...) are kept too: what is cut when the text is too long
    is its prose and its tables, each to its share of the room that facts and links leave.
    """
    links = _links(signal.links, {"portal": layout.portal, **_LINK_NAMES}, limit)
    room = limit - len(links) - 2 if links else limit
    facts = list(_facts(signal, layout))
    parts = [signal.description, "\n".join(facts), *_more(signal, layout)]
    text = "\n\n".join(filter(None, parts))
    if len(text) > room:
        parts[1] = "\n".join(_fewer(facts, room * _SHARE_OF_FACTS // 100))
        text = "\n\n".join(filter(None, _shared_out(signal, parts, room)))[: max(room, 0)]
    return f"{text}\n\n{links}" if links else text


def _more(signal: Signal, layout: Layout) -> Iterable[str]:
    for name, title in layout.texts:
        text = signal.details.get(name)
        yield f"{title}:\n{text}" if text else ""
    if layout.dimensions:
        yield _table(layout.dimensions, signal.dimensions)
    yield _table("Custom properties", signal.custom_properties)


def _fewer(facts: list[str], room: int) -> list[str]:
    """The facts in at most ``room`` characters: long ones are cut first, then resources after the first are left out,
    and as a last resort whatever does not fit. The key is never cut."""
    for longest in (1_000, 300, 160):
        if sum(map(len, facts)) + len(facts) <= room:
            return facts
        facts = [*(cut(fact, longest) for fact in facts[:-1]), facts[-1]]
    resources = [fact for fact in facts if fact.startswith(_RESOURCE)][1:]
    for resource in reversed(resources):
        if sum(map(len, facts)) + len(facts) <= room:
            break
        facts.remove(resource)
    kept, left = [], room - len(facts[-1])
    for fact in facts[:-1]:
        left -= len(fact) + 1
        if left >= 0:
            kept.append(fact)
    return [*kept, facts[-1]]


def _shared_out(signal: Signal, parts: list[str], room: int) -> Iterable[str]:
    """The parts in ``room`` characters: the facts whole, the others whole or cut to equal shares of what is left."""
    left = room - len(parts[1]) - 2 * sum(map(bool, parts))
    others = sorted(len(part) for index, part in enumerate(parts) if part and index != 1)
    share = 0
    for index, length in enumerate(others):
        share = max(left, 0) // (len(others) - index)
        if length > share:
            break
        left -= length
    for index, part in enumerate(parts):
        if index == 1 or len(part) <= share:
            yield part
        elif index == 0:
            yield _cut_description(signal, share)
        elif share > _LEAST:
            yield cut(part, share)


def _cut_description(signal: Signal, limit: int) -> str:
    """The description, cut before its last sentence where that is the condition: it says most in the fewest words."""
    if signal.condition and signal.description.endswith(signal.condition) and len(signal.condition) < limit - _LEAST:
        prose = signal.description[: -len(signal.condition)].rstrip()
        return f"{cut(prose, limit - len(signal.condition) - 2)}\n\n{signal.condition}"
    return cut(signal.description, limit) if limit > 0 else ""


def _facts(signal: Signal, layout: Layout) -> Iterable[str]:
    if signal.rule:
        yield f"{layout.rule}: {signal.rule}"
    severity = "not given" if signal.severity is None else layout.severities[signal.severity]
    yield f"Severity: {severity}"
    if signal.fired_at:
        yield f"{layout.began}: {rfc3339(signal.fired_at)}"
    if signal.state is SignalState.RESOLVED:
        yield f"Resolved: {rfc3339(signal.resolved_at or signal.occurred_at)}"
    names = [resource.id or resource.name or "" for resource in signal.resources]
    for name in names[:_MOST_RESOURCES]:
        yield f"{_RESOURCE}{name}"
    if len(names) > _MOST_RESOURCES:
        yield f"... and {len(names) - _MOST_RESOURCES} more resources"
    for name, title in layout.facts:
        text = signal.details.get(name)
        if text and not (name == "severity" and text == severity):  # the source's own rating, where it is another
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
