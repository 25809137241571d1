"""A route that names a template of the ticket system: what it may, what gives way, and what a preview shows."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from app.configuration import parse_config
from app.container import Container
from local import servicenow
from shared.core.errors import ConfigurationError
from shared.core.secrets import SettingSecrets
from shared.core.ticket_system import TicketKind
from tests.mapping.signals import HEAD, mapper
from tests.payloads.support import fixture

ROUTE = "default: {connection: desk, ticket: %s, template: Azure incident%s}\n"


@pytest.mark.parametrize(
    ("kind", "fields", "yielding"),
    [
        ("incident", "", {"impact", "urgency"}),
        ("incident", ", fields: {impact: 1}", {"urgency"}),
        ("problem", ", fields: {urgency: 1, impact: 1}", set()),
    ],
)
def test_severity_gives_way_to_a_template_and_the_routes_own_fields_do_not(
    kind: str, fields: str, yielding: set[str]
) -> None:
    routes = mapper(ROUTE % (kind, fields))
    route = routes.named("default")
    assert route is not None
    assert (route.template, set(route.yielding)) == ("Azure incident", yielding)
    assert routes.needs("desk").templates == {TicketKind(kind): {"Azure incident"}}


@pytest.mark.parametrize("kind", ["event", "change_request"])
def test_a_kind_without_templates_is_a_mistake_of_the_route(kind: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_config(HEAD + ROUTE % (kind, ""), settings={})
    (problem,) = caught.value.problems
    assert "default.template" in problem
    assert f"tickets of kind {kind} start from no template" in problem
    assert "tickets of kind incident, problem have templates" in problem


CONFIG = """
version: 1
connections:
  desk:
    type: servicenow
    url: %s
    auth: {type: basic, username: %s, password: {secret: desk-password}}
default: {connection: desk, template: "%s", fields: {category: software}}
"""


async def previewed(folder: Path, template: str, secrets: Mapping[str, str] | None = None) -> Any:
    """What the preview of an alert shows, with an instance at hand."""
    async with servicenow.running() as simulator:
        text = CONFIG % (simulator.url, simulator.integration_username, template)
        (folder / "bridge.yaml").write_text(text)
        known = {"DESK_PASSWORD": simulator.integration_password} if secrets is None else secrets
        services = Container({"BRIDGE_CONFIG": str(folder / "bridge.yaml")}, secrets=SettingSecrets(known))
        try:
            body = fixture("common/metric-static-fired", "azure_monitor")
            (shown,) = await services.previews.filled(services.preview(body), budgeted=False)
            return shown
        finally:
            await services.aclose()


async def test_a_preview_shows_the_values_of_the_template_below_the_routes(tmp_path: Path) -> None:
    shown = await previewed(tmp_path, "Azure incident")
    ticket = shown["ticket"]
    assert ticket["template"]["asked"] is True
    assert ticket["template"]["values"]["category"] == "network"
    assert (ticket["fields"]["category"], ticket["fields"]["urgency"]) == ("software", "1")
    assert ticket["fields"]["assignment_group"] == ticket["template"]["values"]["assignment_group"]


async def test_a_preview_says_that_a_template_does_not_exist(tmp_path: Path) -> None:
    shown = await previewed(tmp_path, "No such template")
    assert shown["ticket"]["template"] == {"name": "No such template", "asked": True, "values": {}}
    assert (
        "template 'No such template': no record fits in sys_template; the ticket is made without it"
        in shown["warnings"]
    )


async def test_a_preview_without_credentials_says_that_nobody_was_asked(tmp_path: Path) -> None:
    shown = await previewed(tmp_path, "Azure incident", secrets={})
    template = shown["ticket"]["template"]
    assert (template["asked"], template["values"]) == (False, {})
    assert "no credentials" in template["reason"]
    assert "DESK_PASSWORD" in template["reason"]
