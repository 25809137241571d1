"""Who has to fix a recommendation of one resource, and until when, as Defender for Cloud keeps it.

Sources: Azure REST API specifications, Microsoft.Security, "Governance Assignments" (2022-01-01-preview): the name of
an assignment is a GUID of the caller's choice, PUT replaces, DELETE answers 204 when there was none. Microsoft Learn,
"Drive remediation with governance rules": needs the plan Defender CSPM.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from connectors.defender.paths import listed, path_of
from connectors.microsoft import ResourceManager
from shared.core.errors import SourceRefused

API_VERSION = "2022-01-01-preview"

#: What to do about an answer, by status: for whoever opens the Resource Manager of a :class:`Governance`.
FIXES: Mapping[int, str] = {
    401: "Fix: the subscription belongs to another tenant (give that tenant a 'sign_in'), or the identity is disabled",
    403: "Fix: assign role Security Admin, or a role with Microsoft.Security/assessments/governanceAssignments/*, "
    "to the app's identity on this subscription, and switch on the plan Defender CSPM, which "
    "governance needs; docs/defender-poll.md lists all actions. Or set defender.write_back: false",
    404: "The assessment is gone, with its resource or its recommendation, or the identity may not see it",
}


class GovernanceApi:
    """Reads and writes governance assignments.

    Args:
        manager: makes the calls; opened with :data:`FIXES`, so that its errors say what to do.
    """

    def __init__(self, manager: ResourceManager) -> None:
        self._manager = manager

    @property
    def calls(self) -> int:
        """Requests that left so far."""
        return self._manager.calls

    async def get(self, assessment_id: str, name: str) -> dict[str, Any] | None:
        """An assignment (``id``, ``name``, ``properties``), None when there is none, or no such assessment.

        Args:
            assessment_id: ``<resource id>/providers/Microsoft.Security/assessments/<key>``, in any case.
            name: of the assignment, a GUID.

        Raises SourceUnavailable and SourceRefused.
        """
        try:
            return await self._manager.get(_path(assessment_id, name), _PARAMS)
        except SourceRefused as error:
            if error.status == 404:
                return None
            raise

    async def list(self, assessment_id: str) -> list[dict[str, Any]]:
        """All assignments of an assessment, those of Defender's own rules included; none for one that is gone.

        Raises SourceUnavailable and SourceRefused.
        """
        try:
            path = f"{path_of(assessment_id)}/governanceAssignments"
            return [one async for one in listed(self._manager, path, _PARAMS)]
        except SourceRefused as error:
            if error.status == 404:
                return []
            raise

    async def put(self, assessment_id: str, name: str, properties: Mapping[str, Any]) -> None:
        """Write an assignment; what it held before is replaced as a whole, so read it first and merge.

        Args:
            assessment_id, name: as for :meth:`get`.
            properties: as the API has them; ``remediationDueDate`` is required, ``additionalData.ticketNumber`` is
                an int32 that is not negative.

        Raises SourceUnavailable and SourceRefused, the latter with status 404 when the assessment is gone.
        """
        await self._manager.request("PUT", _path(assessment_id, name), _PARAMS, {"properties": dict(properties)})

    async def delete(self, assessment_id: str, name: str) -> bool:
        """Delete an assignment; True when there was one. Raises SourceUnavailable and SourceRefused."""
        try:
            reply = await self._manager.request("DELETE", _path(assessment_id, name), _PARAMS)
        except SourceRefused as error:
            if error.status == 404:
                return False
            raise
        return reply.status != 204

    async def aclose(self) -> None:
        """Close connections."""
        await self._manager.aclose()


_PARAMS = {"api-version": API_VERSION}


def _path(assessment_id: str, name: str) -> str:
    try:
        key = UUID(name)
    except ValueError:
        raise SourceRefused(f"'{name[:80]}' is no name of a governance assignment: it has to be a GUID") from None
    return f"{path_of(assessment_id)}/governanceAssignments/{key}"
