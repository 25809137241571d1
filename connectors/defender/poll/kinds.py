"""The kinds of findings that Resource Graph knows: how each is asked for, and what of a row matters. Pure.

Sources: Resource Graph, table ``securityresources`` and its published sample queries; Azure REST API specifications,
Microsoft.Security, "Assessments", "Sub Assessments", "Alerts". Types are lower case there, and ``properties`` differ in
spelling from Resource Manager (``resourceDetails.Id``), which
the readers of ``connectors.defender.payloads`` do not mind.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from shared.core.payload_schema import Fields
from shared.payloads.values import given, object_of, squash

#: Longest value of ``resourceDetails`` that is kept for the end of a finding.
_LONGEST = 1_024


@dataclass(frozen=True, slots=True)
class FindingKind:
    """A kind of finding.

    Attributes:
        name: of its signals: recommendation, sub_assessment or security_alert.
        type: of its rows, lower case.
        over: status codes, squashed, with which it is no finding (any more).
        ends: whether it is over when it is not listed any more. Security alerts are not: they are only kept for a time.
        event: name of the object in which the export says that something was deleted; empty where ``ends`` is False.
        matters: what a change of it is a change of the finding.
    """

    name: str
    type: str
    over: frozenset[str]
    ends: bool
    event: str
    matters: Callable[[Fields], tuple[object, ...]]

    @property
    def query(self) -> str:
        """All findings, in the order of their ids in lower case, in which they are also remembered."""
        return self._query("")

    def chosen(self, ids: list[str]) -> str:
        """The findings with some ids, in any case."""
        return self._query(f"\n| where id in~ ({', '.join(quoted(one) for one in ids)})")

    def _query(self, more: str) -> str:
        columns = "id, key = tolower(id), name, type, tenantId, properties"
        return f"securityresources\n| where type =~ '{self.type}'{more}\n| project {columns}\n| order by key asc"


@dataclass(frozen=True, slots=True)
class FindingFacts:
    """What of a row is compared: whether it is ``over`` (healthy, not applicable, dismissed ...), and a ``digest`` of
    all that matters. ``rules`` names the configuration that decides what becomes of it."""

    over: bool
    digest: str
    rules: str = ""


def facts_of(kind: FindingKind, row: Mapping[str, Any]) -> FindingFacts:
    """What of a row is compared."""
    properties = object_of(row.get("properties"))
    code = _code(properties)
    found = [code, *(given(value) for value in kind.matters(properties))]
    digest = hashlib.blake2b("\0".join(found).encode("utf-8", "replace"), digest_size=8).hexdigest()
    return FindingFacts(squash(code) in kind.over, digest)


def remembered(row: Mapping[str, Any]) -> dict[str, Any]:
    """The least of a row from which the same reader makes the same key when the finding is gone."""
    properties = object_of(row.get("properties"))
    status, metadata = object_of(properties.get("status")), object_of(properties.get("metadata"))
    details = object_of(properties.get("resourcedetails"))
    kept = {
        "resourceDetails": {name: text for name, value in details.items() if 0 < len(text := given(value)) < _LONGEST},
        "displayName": given(properties.get("displayname")) or given(metadata.get("displayname")),
        "status": {
            "code": _code(properties),
            "statusChangeDate": given(status.get("statuschangedate")),
            "severity": given(status.get("severity")),
        },
        "metadata": {"severity": given(metadata.get("severity"))},
    }
    top = {name: row[name] for name in ("id", "name", "type", "tenantId") if isinstance(row.get(name), str)}
    return {**top, "properties": kept}


def deletion(kind: FindingKind, body: Mapping[str, Any]) -> dict[str, Any]:
    """What the export would send of a finding that is gone: its last state, and that it was deleted."""
    return {**body, kind.event: {"action": "Delete"}}


def quoted(text: str) -> str:
    """A text literal of the query language, double quotes around it."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _code(properties: Fields) -> str:
    """The status, which is an object with a code, or a word (security alerts)."""
    return given(object_of(properties.get("status")).get("code")) or given(properties.get("status"))


def _assessment(properties: Fields) -> tuple[object, ...]:
    status, risk = object_of(properties.get("status")), object_of(properties.get("risk"))
    severity = object_of(properties.get("metadata")).get("severity")
    return status.get("cause"), status.get("statuschangedate"), severity, risk.get("level")


def _sub_assessment(properties: Fields) -> tuple[object, ...]:
    """Not the time of generation: that is new with every scan."""
    status = object_of(properties.get("status"))
    return status.get("cause"), status.get("statuschangedate"), status.get("severity")


def _security_alert(properties: Fields) -> tuple[object, ...]:
    return (properties.get("severity"),)


_HEALTHY = frozenset({"healthy", "notapplicable", "removed"})

KINDS: Mapping[str, FindingKind] = MappingProxyType(
    {
        kind.name: kind
        for kind in (
            FindingKind(
                "recommendation",
                "microsoft.security/assessments",
                _HEALTHY,
                True,
                "assessmentEventDataEnrichment",
                _assessment,
            ),
            FindingKind(
                "sub_assessment",
                "microsoft.security/assessments/subassessments",
                _HEALTHY,
                True,
                "subAssessmentEventDataEnrichment",
                _sub_assessment,
            ),
            FindingKind(
                "security_alert",
                "microsoft.security/locations/alerts",
                frozenset({"resolved", "dismissed"}),
                False,
                "",
                _security_alert,
            ),
        )
    }
)
