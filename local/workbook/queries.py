"""The Kusto queries of ``infra/export``: one file each, and every one is used as it stands in its file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
FOLDER: Final = ROOT / "infra" / "export"

#: Saved functions of the workspace, in the order in which they need each other.
FUNCTIONS: Final = (
    "ServiceDeskChanges",
    "ServiceDeskTickets",
    "ServiceDeskOpenTickets",
    "ServiceDeskActions",
    "ServiceDeskAlertTickets",
)

#: Value of a parameter with several values when all of them are chosen.
ALL: Final = "'*'"

#: Names in braces, as a workbook replaces them before it sends a query.
_PLACEHOLDER = re.compile(r"\{([A-Za-z]+(?::[A-Za-z]+)?)\}")


def read(name: str) -> str:
    """The text of a query by its name below ``infra/export``, such as ``workbook/tickets``. Raises OSError."""
    return (FOLDER / f"{name}.kql").read_text(encoding="utf-8")


def names(part: str) -> list[str]:
    """Names of all queries of ``functions``, ``alerts`` or ``workbook``."""
    return sorted(f"{part}/{file.stem}" for file in (FOLDER / part).glob("*.kql"))


def definitions() -> list[str]:
    """The saved functions as Kusto's command defines them."""
    return [f"function {name}() {{\n{read(f'functions/{name}')}}}" for name in FUNCTIONS]


def placeholders(text: str) -> set[str]:
    """Names of the parameters that a query uses."""
    return set(_PLACEHOLDER.findall(text))


def filled(text: str, values: Mapping[str, str]) -> str:
    """A query with its parameters replaced as a workbook does. Raises KeyError with the name of one without a value."""
    return _PLACEHOLDER.sub(lambda match: values[match[1]], text)


def time_range(end: datetime, length: timedelta, grain: str) -> dict[str, str]:
    """What a workbook makes of the parameter TimeRange: values that stand in a query as they are.

    Source: Microsoft's documentation of workbooks, "make-series ... from {TimeRange:start} to {TimeRange:end} step
    {TimeRange:grain}". ``grain`` is a timespan of Kusto such as ``1d``.
    """
    written = "datetime(%Y-%m-%dT%H:%M:%S.000Z)"
    return {
        "TimeRange:start": (end - length).astimezone(UTC).strftime(written),
        "TimeRange:end": end.astimezone(UTC).strftime(written),
        "TimeRange:grain": grain,
    }
