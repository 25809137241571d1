"""Recommendations for one resource, and the findings below them.

Sources: Azure REST API specifications, Microsoft.Security, "Assessments - Get" (2025-05-04 has the risk; 2021-06-01 is
the version that every cloud has; metadata and links come only with ``$expand``) and "Sub Assessments - List"
(2019-01-01-preview).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

from connectors.defender.paths import listed, path_of
from connectors.microsoft import ResourceManager
from shared.core.errors import SourceRefused

API_VERSION = "2025-05-04"

#: Where the newer one is not there yet.
OLDER_VERSION = "2021-06-01"

SUB_VERSION = "2019-01-01-preview"

#: What to do about an answer to whoever reads findings, by status: of Resource Graph, and of assessments.
FIXES: Mapping[int, str] = {
    401: "Fix: the tenant is another one (give it a 'sign_in'), or the identity is disabled",
    403: "Fix: assign roles Reader and Security Reader, or the actions that docs/defender-poll.md lists, to the app's "
    "identity on the subscriptions or management groups",
    429: "Too many queries of this identity (about 15 in 5 seconds); the next run repeats them",
}


class AssessmentsApi:
    """Reads recommendations of resources.

    Args:
        manager: makes the calls, signed in with ``Microsoft.Security/assessments/read`` and
            ``Microsoft.Security/assessments/subAssessments/read`` (both in role Security Reader).
    """

    def __init__(self, manager: ResourceManager) -> None:
        self._manager = manager
        self._version = API_VERSION

    @property
    def calls(self) -> int:
        """Requests that left so far."""
        return self._manager.calls

    async def get(self, assessment_id: str) -> dict[str, Any] | None:
        """An assessment with metadata and links as Resource Manager has it, None when there is none.

        Args:
            assessment_id: ``<resource id>/providers/Microsoft.Security/assessments/<key>``, in any case.

        Raises SourceUnavailable and SourceRefused.
        """
        try:
            return await self._get(path_of(assessment_id))
        except SourceRefused as error:
            if error.status == 404:
                return None
            raise

    async def of_resource(self, resource_id: str) -> list[dict[str, Any]]:
        """All assessments of a resource, without metadata; none for a resource that does not exist.

        Args:
            resource_id: its ARM id, in any case.

        Raises SourceUnavailable and SourceRefused.
        """
        path = path_of(f"{resource_id}/providers/Microsoft.Security/assessments/-").removesuffix("/-")
        try:
            found = [one async for one in listed(self._manager, path, {"api-version": self._version})]
        except SourceRefused as error:
            if error.status == 404:
                return []
            raise
        # A subscription or resource group lists what is below it as well.
        return [one for one in found if str(one.get("id", "")).lower().startswith(f"{path.lower()}/")]

    async def sub_assessments(self, assessment_id: str) -> AsyncIterator[dict[str, Any]]:
        """Findings below an assessment, e.g. vulnerabilities; none where the assessment is gone.

        Args:
            assessment_id: as for :meth:`get`.

        Raises SourceError, also in the midst.
        """
        try:
            path = f"{path_of(assessment_id)}/subAssessments"
            async for one in listed(self._manager, path, {"api-version": SUB_VERSION}):
                yield one
        except SourceRefused as error:
            if error.status != 404:
                raise

    async def aclose(self) -> None:
        """Close connections."""
        await self._manager.aclose()

    async def _get(self, path: str) -> dict[str, Any]:
        params = {"$expand": "metadata,links"}
        try:
            return await self._manager.get(path, {"api-version": self._version, **params})
        except SourceRefused as error:
            if self._version == OLDER_VERSION or not _is_unknown_version(error):
                raise
            self._version = OLDER_VERSION
            return await self._manager.get(path, {"api-version": self._version, **params})


def _is_unknown_version(error: SourceRefused) -> bool:
    """Codes of Resource Manager for a version that a provider does not have there ("Resolve errors for resource
    provider registration" and "Resolve errors for invalid resource type")."""
    codes = ("NoRegisteredProviderFound", "InvalidApiVersionParameter", "InvalidResourceType")
    return error.status in (400, 404) and any(code in str(error) for code in codes)
