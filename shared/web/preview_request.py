"""The query of ``POST /api/preview``."""

from __future__ import annotations

from shared.core.http import Request
from shared.web.requests import RequestModel, YesNo, read_query


class PreviewQuery(RequestModel):
    """``tags``: read the tags of resources from their cloud, which costs a call."""

    tags: YesNo = False


def wants_tags(request: Request) -> bool:
    """Whether tags are to be read. Raises Problem: 400 for a wrong query."""
    return read_query(request, PreviewQuery).tags
