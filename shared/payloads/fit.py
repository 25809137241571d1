"""Bounds of a signal, so that it always fits into a queue message with room to spare.

A queue message holds 64 KiB in base64, an alert up to 256 KB. Texts are cut to the limits below; where the signal is
still too large, names and values of maps shrink first, prose next, and links are never cut, only left out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace

from shared.core.signal import Signal, to_dict
from shared.payloads.text import cut

#: Bytes of a signal as JSON, measured with every non-ASCII character escaped: the worst that any encoder makes of it.
LARGEST = 40_000

TITLE = 255
DESCRIPTION = 8_000
CONDITION = 2_000
VALUE = 2_000
QUERY = 4_000
NAME = 200
RULE = 512
RULE_ID = 1_024
RESOURCES = 50
ENTRIES = 100
WARNINGS = 20
WARNING = 200

#: Steps of shrinking: share of the limits that maps and resources, and prose, may use.
_STEPS = ((1, 1), (2, 1), (4, 1), (4, 2), (8, 2), (16, 4), (32, 8), (64, 16))

#: Details that are long by nature, with their own limit.
_LONG = {"search_query": QUERY, "remediation_steps": QUERY}

#: Up to this many characters a signal fits even if each is escaped as six bytes. The key and the second copy of the
#: condition are not counted; they are bounded themselves, and so are the names of details.
_SURELY_FITS = 3_500


def fit(signal: Signal) -> Signal:
    """The signal within its bounds, with a warning for each part that was cut. Most signals come back as they are."""
    return signal if _surely_fits(signal) else _shrink(signal)


def _surely_fits(signal: Signal) -> bool:
    """A cheap look that lets small signals pass. False for some that fit."""
    size = len(signal.title) + len(signal.description) + len(signal.rule or "") + len(signal.rule_id or "")
    size += sum(map(len, signal.details.values())) + sum(map(len, signal.links.values()))
    size += sum(map(len, signal.warnings))
    for resource in signal.resources:
        size += 2 * len(resource.id or resource.name or "")  # the other fields are parts of the id
    for entries in (signal.dimensions, signal.custom_properties, signal.tags):
        if entries:
            size += sum(map(len, entries)) + sum(map(len, entries.values()))
            if len(entries) > ENTRIES or max(map(len, entries)) > NAME:
                return False
    if size > VALUE and any(len(value) > VALUE for entries in _maps(signal) for value in entries.values()):
        return False
    return (
        size < _SURELY_FITS
        and len(signal.title) <= TITLE
        and len(signal.condition) <= CONDITION
        and len(signal.rule or "") <= RULE
        and len(signal.rule_id or "") <= RULE_ID
        and len(signal.resources) <= RESOURCES
        and len(signal.warnings) <= WARNINGS
    )


def _maps(signal: Signal) -> tuple[Mapping[str, str], ...]:
    return (signal.details, signal.dimensions, signal.custom_properties, signal.tags)


def _shrink(signal: Signal) -> Signal:
    smaller = signal
    for maps, prose in _STEPS:
        smaller = _bounded(signal, maps, prose)
        if len(json.dumps(to_dict(smaller))) <= LARGEST:
            return smaller
    return replace(
        smaller, links={}, warnings=(*smaller.warnings, "The links were left out: the alert is too large with them.")
    )


def _bounded(signal: Signal, maps: int, prose: int) -> Signal:
    warnings = [cut(warning, WARNING) for warning in signal.warnings[:WARNINGS]]
    resources = signal.resources[: max(RESOURCES // maps, 1)]
    if len(resources) < len(signal.resources):
        warnings.append(f"Only the first {len(resources)} resources are listed.")
    condition = cut(signal.condition, CONDITION // prose)
    description = _description(signal, condition, DESCRIPTION // prose)
    if len(condition) < len(signal.condition):
        warnings.append("The condition was cut.")
    if len(description) < len(signal.description) - (len(signal.condition) - len(condition)):
        warnings.append("The description was cut.")
    return replace(
        signal,
        title=cut(signal.title, TITLE),
        rule=cut(signal.rule, RULE) if signal.rule else None,
        rule_id=cut(signal.rule_id, RULE_ID) if signal.rule_id else None,
        condition=condition,
        description=description,
        resources=resources,
        dimensions=_entries("dimensions", signal.dimensions, maps, warnings),
        custom_properties=_entries("custom properties", signal.custom_properties, maps, warnings),
        tags=_entries("tags", signal.tags, maps, warnings),
        details=_entries("details", signal.details, maps, warnings),
        warnings=tuple(warnings),
    )


def _description(signal: Signal, condition: str, limit: int) -> str:
    """The description, cut before its last sentence: the condition says most in the fewest words."""
    if signal.condition and signal.description.endswith(signal.condition):
        prose = signal.description[: -len(signal.condition)].rstrip()
        prose = cut(prose, limit - len(condition) - 2)
        return f"{prose}\n\n{condition}" if prose else condition
    return cut(signal.description, limit)


def _entries(what: str, entries: Mapping[str, str], share: int, warnings: list[str]) -> dict[str, str]:
    kept: dict[str, str] = {}
    shortened = 0
    most = ENTRIES if what == "details" else max(ENTRIES // share, 1)  # there are only so many details
    for name, value in entries.items():
        if len(kept) >= most:
            break
        shorter = cut(value, _LONG.get(name, VALUE) // share)
        shortened += len(shorter) < len(value) or len(name) > NAME
        kept.setdefault(cut(name, NAME), shorter)
    if shortened:
        warnings.append(f"Some of the {what} ({shortened}) were cut.")
    if len(kept) < len(entries):
        warnings.append(f"Only the first {len(kept)} {what} are kept.")
    return kept
