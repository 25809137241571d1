"""Data collection rules: which streams there are, and the columns of each.

Source: Microsoft Learn, "Structure of a data collection rule" (streamDeclarations, ``Custom-`` before the names of
streams, types of columns), "Logs Ingestion API in Azure Monitor" (immutable id).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from local.azure.demo.inventory import PRODUCTION

#: Types of columns, as a data collection rule names them.
TYPES = frozenset({"string", "int", "long", "real", "boolean", "dynamic", "datetime"})
#: Resource id of a rule that does not say its own.
RULE_RESOURCE = (
    f"/subscriptions/{PRODUCTION}/resourceGroups/rg-logs/providers/Microsoft.Insights/dataCollectionRules/dcr-contoso"
)
#: What the role Monitoring Metrics Publisher allows (docs: "Azure built-in roles for Monitor").
PUBLISH = "Microsoft.Insights/Telemetry/Write"

_PREFIX = "Custom-"
_IMMUTABLE_ID = re.compile(r"dcr-[0-9a-f]{32}")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

#: Types by column.
Columns = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class DataCollectionRule:
    """A rule.

    Attributes:
        immutable_id: ``dcr-`` and 32 hexadecimal digits.
        streams: columns by stream; the names of streams begin with ``Custom-``.
        resource_id: where roles are assigned.

    Raises:
        ValueError: it could not be made in Azure; the text says why.
    """

    immutable_id: str
    streams: Mapping[str, Columns]
    resource_id: str = RULE_RESOURCE

    def __post_init__(self) -> None:
        if not _IMMUTABLE_ID.fullmatch(self.immutable_id):
            raise ValueError("immutable_id: dcr- and 32 hexadecimal digits")
        if not self.streams:
            raise ValueError("streams: there is none")
        for stream, columns in self.streams.items():
            if not stream.startswith(_PREFIX) or not _NAME.fullmatch(table_of(stream)):
                raise ValueError(f"streams.{stream}: its name is Custom- and the name of a table")
            _check_columns(stream, columns)


def rule_from(body: Mapping[str, Any]) -> DataCollectionRule:
    """A rule of the control API. Raises ValueError."""
    streams = body.get("streams")
    if not isinstance(streams, dict) or not all(isinstance(one, dict) for one in streams.values()):
        raise ValueError('streams: {"Custom-X_CL": {"TimeGenerated": "datetime", ...}}')
    declared = {
        str(stream): {str(name): str(kind) for name, kind in columns.items()} for stream, columns in streams.items()
    }
    resource = str(body.get("resource_id") or RULE_RESOURCE)
    return DataCollectionRule(str(body.get("immutable_id", "")), declared, resource)


def table_of(stream: str) -> str:
    """The table that a stream's rows reach."""
    return stream.removeprefix(_PREFIX)


def _check_columns(stream: str, columns: Columns) -> None:
    if columns.get("TimeGenerated") != "datetime":
        raise ValueError(f"streams.{stream}: TimeGenerated of type datetime is missing")
    for name, kind in columns.items():
        if not _NAME.fullmatch(name) or len(name) > 45:
            raise ValueError(f"streams.{stream}.{name}: letters, digits and underscores, at most 45")
        if kind not in TYPES:
            raise ValueError(f"streams.{stream}.{name}: one of {', '.join(sorted(TYPES))}")
    if len({name.lower() for name in columns}) < len(columns):
        raise ValueError(f"streams.{stream}: two columns differ only in upper and lower case")
