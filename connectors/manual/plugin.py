"""People and their tools as a source: tickets by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

from connectors.manual.payloads.schemas import SCHEMAS
from shared.core.plugins import DetailNames, HttpEndpoint, SourcePlugin, SourceWords

if TYPE_CHECKING:
    from collections.abc import Mapping

    from connectors.manual.source import ManualSource
    from shared.engine import Engine
    from shared.mapping.layouts import Layout


def _layouts() -> Mapping[str, Layout]:
    from shared.mapping.layouts import RATINGS, Layout

    facts = (("requested_by", "Requested by"),)
    return {"manual": Layout(portal="More", began="Reported", severities=RATINGS, facts=facts, dimensions="Record")}


def _details() -> DetailNames:
    from connectors.manual.payloads.details import DETAILS

    return DetailNames(frozenset(DETAILS), free=True)


def _open(engine: Engine) -> ManualSource:
    from connectors.manual.source import ManualSource

    return ManualSource(engine)


PLUGIN = SourcePlugin(
    name="manual",
    words=SourceWords("a person", "a request by hand", thing="problem"),
    kinds=("manual",),
    schemas=SCHEMAS,
    layouts=_layouts,
    details=_details,
    endpoints=(HttpEndpoint("request_ticket", "tickets"),),
    open=_open,
)
