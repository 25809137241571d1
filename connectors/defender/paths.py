"""Ids of assessments as addresses of requests, and lists that go on at a link."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

from connectors.microsoft import ResourceManager
from shared.core.errors import SourceRefused, SourceUnavailable

_MARK = "/providers/microsoft.security/assessments/"

#: A list never needs more pages; one that goes on is going in circles.
_MOST_PAGES = 1_000


def path_of(assessment_id: str) -> str:
    """The address of an assessment below Resource Manager's endpoint.

    Args:
        assessment_id: ``<resource id>/providers/Microsoft.Security/assessments/<key>``, in any case.

    Raises SourceRefused, status 404, for what is no such id: a request for it would ask for something else.
    """
    trimmed = assessment_id.strip().strip("/")
    where, mark, key = f"/{trimmed}".lower().rpartition(_MARK)
    segments = trimmed.split("/")
    if not (mark and where and key) or "/" in key or any(one in ("", ".", "..") for one in segments):
        raise SourceRefused(f"'{assessment_id[:200]}' is no id of an assessment", status=404)
    return "/" + quote(trimmed, safe="/")


async def listed(manager: ResourceManager, path: str, params: dict[str, str]) -> AsyncIterator[dict[str, Any]]:
    """The objects of a list, page after page.

    Raises SourceError, also in the midst; SourceUnavailable for a list that goes in circles.
    """
    address, query, seen = path, params or None, set()
    for _ in range(_MOST_PAGES):
        body = await manager.get(address, query)
        found, link = body.get("value"), body.get("nextLink") or ""
        if not isinstance(found, list) or not isinstance(link, str):
            raise SourceRefused("the list has no 'value': something else answers in Azure's place")
        for one in found:
            if isinstance(one, dict):
                yield one
        if not link:
            return
        if link in seen:
            break
        seen.add(link)
        # The link holds the whole query already.
        address, query = link, None
    raise SourceUnavailable("the list goes in circles; what it has shown so far may not be all")
