"""What a person may write under a ServiceNow connection, and what is said of mistakes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from connectors.servicenow.settings import ServiceNowSettings
from connectors.servicenow.tables import ticket_tables
from shared.core.ticket_system import Phase, TicketKind

BASIC = {"type": "basic", "username": "azure.bridge", "password": {"secret": "demo-password"}}
SECRET = {"secret": "demo-secret"}


def load(**more: Any) -> ServiceNowSettings:
    return ServiceNowSettings.model_validate(
        {"type": "servicenow", "url": "https://contoso.service-now.com", "auth": BASIC, **more}
    )


def problem(**more: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        load(**more)
    return str(caught.value.errors()[0]["msg"])


def test_a_minimal_connection_has_sound_defaults() -> None:
    settings = load()
    assert settings.max_in_flight == 4
    assert settings.connect_timeout == timedelta(seconds=10)
    assert settings.read_timeout == timedelta(seconds=70)
    assert settings.total_timeout == timedelta(minutes=2)
    assert settings.reference_ttl == timedelta(hours=24)
    assert settings.ci.match == ("resource_id", "fqdn", "name")
    assert not settings.ci.create_missing


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("https://contoso.service-now.com", "https://contoso.service-now.com"),
        (" https://contoso.service-now.com/ ", "https://contoso.service-now.com"),
        ("HTTPS://Contoso.Service-Now.com", "https://contoso.service-now.com"),
        ("https://tickets.contoso.example:8443", "https://tickets.contoso.example:8443"),
        ("http://localhost:8080", "http://localhost:8080"),
        ("http://127.0.0.1:8080/", "http://127.0.0.1:8080"),
        ("http://[::1]:8080", "http://[::1]:8080"),
    ],
)
def test_addresses_that_are_taken(written: str, meant: str) -> None:
    assert load(url=written).url == meant


@pytest.mark.parametrize(
    ("written", "cause"),
    [
        ("http://contoso.service-now.com", "https is required"),
        ("http://localhost.contoso.example", "https is required"),
        ("ftp://contoso.service-now.com", "https is required"),
        ("contoso.service-now.com", "only scheme and host|no host"),
        ("https://", "no host"),
        ("https://azure.bridge:demo-password@contoso.service-now.com", "user name and password"),
        ("https://contoso.service-now.com/api/now", "no path"),
        ("https://contoso.service-now.com/?x=1", "no path"),
        ("https://contoso.service-now.com/#x", "no path"),
        ("https://contoso.service-now.com?", "no path"),
        ("https://contoso.service-now.com:port", "not a URL"),
        ("https://con toso.service-now.com", "no host"),
        ("https://[::1", "not a URL"),
    ],
)
def test_addresses_that_are_refused_with_the_fix(written: str, cause: str) -> None:
    message = problem(url=written)
    assert any(part in message for part in cause.split("|"))
    assert "Fix:" in message
    assert "demo-password" not in message


@pytest.mark.parametrize(
    "auth",
    [
        BASIC,
        {"type": "oauth_password", "client_id": "c", "client_secret": SECRET, "username": "u", "password": SECRET},
        {"type": "oauth_client_credentials", "client_id": "c", "client_secret": SECRET, "scope": "useraccount"},
        {"type": "oauth_jwt_bearer", "client_id": "c", "private_key": SECRET, "key_id": "k", "subject": "u"},
        {"type": "api_key", "key": SECRET},
        {"type": "mutual_tls", "certificate": SECRET, "private_key": SECRET},
    ],
)
def test_every_way_to_log_in_can_be_written(auth: dict[str, Any]) -> None:
    assert load(auth=auth).auth.type == auth["type"]


@pytest.mark.parametrize(
    "more",
    [
        {"auth": {"type": "basic", "username": "u", "password": "a literal password"}},
        {"auth": {"type": "basic", "username": "u:v", "password": SECRET}},
        {"auth": {"type": "digest"}},
        {"auth": {**BASIC, "verify": False}},
        {"auth": {"type": "api_key", "key": SECRET, "header": "x y"}},
        {"verify": False},
        {"max_in_flight": 0},
        {"max_in_flight": 17},
        {"connect_timeout": "0s"},
        {"total_timeout": "1h"},
        {"ci": {"match": []}},
        {"ci": {"match": ["name", "name"]}},
        {"ci": {"match": ["serial"]}},
        {"ci": {"class": "cmdb ci"}},
        {"references": {"u_owner": {"table": "sys_user", "by": []}}},
        {"references": {"u_owner": {"table": "sys_user^active=true", "by": ["name"]}}},
        {"states": {"incident": {"resolved": "6^state=7"}}},
        {"states": {"incident": {"resolved": 6.5}}},
        {"states": {"event": {}}},
        {"states": {"incident": {"resolved": "Done and dusted"}}},
        {"states": {"incident": {"steps": ["2"]}}},
        {"states": {"change_request": {"names": {"-1": "Doing", "0": "doing"}}}},
        {"states": {"change_request": {"names": {"-1": "a^b"}}}},
        {"change": {"api": "soap"}},
        {"change": {"type": "routine"}},
        {"change": {"api": "change_management", "type": "standard"}},
    ],
)
def test_mistakes_are_refused(more: dict[str, Any]) -> None:
    assert problem(**more)


def test_states_can_be_overridden_one_by_one() -> None:
    changed = ticket_tables(load(states={"incident": {"resolved": 60, "closed": [70, "x"]}}).states)
    incident = changed[TicketKind.INCIDENT]
    assert (incident.resolved, incident.reopened, incident.closed) == ("60", "2", frozenset({"70", "x"}))
    assert incident.phase("60", "true") is Phase.RESOLVED
    assert incident.phase("70", "true") is Phase.CLOSED
    assert incident.phase("6", "true") is Phase.OPEN
    review = ticket_tables(load(states={"change_request": {"closed": [3, 4]}}).states)[TicketKind.CHANGE_REQUEST]
    assert review.phase("0", "true") is Phase.RESOLVED
    assert changed[TicketKind.PROBLEM] == ticket_tables(load().states)[TicketKind.PROBLEM]


@pytest.mark.parametrize(
    ("kind", "state", "active", "phase"),
    [
        (TicketKind.INCIDENT, "1", "true", Phase.OPEN),
        (TicketKind.INCIDENT, "3", "true", Phase.OPEN),
        (TicketKind.INCIDENT, "6", "true", Phase.RESOLVED),
        (TicketKind.INCIDENT, "7", "false", Phase.CLOSED),
        (TicketKind.INCIDENT, "8", "false", Phase.CLOSED),
        (TicketKind.INCIDENT, "42", "false", Phase.CLOSED),
        (TicketKind.INCIDENT, "42", "true", Phase.OPEN),
        (TicketKind.PROBLEM, "103", "true", Phase.OPEN),
        (TicketKind.PROBLEM, "106", "true", Phase.RESOLVED),
        (TicketKind.PROBLEM, "107", "false", Phase.CLOSED),
        (TicketKind.CHANGE_REQUEST, "-5", "true", Phase.OPEN),
        (TicketKind.CHANGE_REQUEST, "-1", "true", Phase.OPEN),
        (TicketKind.CHANGE_REQUEST, "0", "true", Phase.CLOSED),
        (TicketKind.CHANGE_REQUEST, "3", "false", Phase.CLOSED),
        (TicketKind.CHANGE_REQUEST, "4", "false", Phase.CLOSED),
    ],
)
def test_what_a_state_means(kind: TicketKind, state: str, active: str, phase: Phase) -> None:
    assert ticket_tables(load().states)[kind].phase(state, active) is phase


def _models(schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    yield "ServiceNowSettings", schema
    yield from schema["$defs"].items()


def test_every_option_is_described_in_the_json_schema() -> None:
    schema = ServiceNowSettings.model_json_schema()
    json.dumps(schema)
    for model, part in _models(schema):
        assert part.get("description"), model
        for name, option in part.get("properties", {}).items():  # an enumeration has none
            assert option.get("description"), f"{model}.{name}"
            assert option["description"] != BaseModel.__doc__


def test_settings_are_imported_without_any_http_client_or_cryptography() -> None:
    """They are part of every configuration, and the configuration is read where nothing is sent."""
    script = (
        "import sys, connectors.servicenow.settings, connectors.servicenow, connectors.key_vault\n"
        "print(sorted(m for m in ('httpx', 'jwt', 'cryptography', 'aiohttp', 'azure.core', 'azure.identity') "
        "if m in sys.modules))"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert ran.stdout.strip() == "[]"


def test_the_connector_brings_no_key_library_before_it_is_needed() -> None:
    script = (
        "import sys; from connectors.servicenow import ServiceNow\n"
        "print(sorted(m for m in ('jwt', 'cryptography', 'aiohttp', 'azure.core') if m in sys.modules))"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert ran.stdout.strip() == "[]"


def test_a_client_certificate_needs_an_https_address() -> None:
    certificate = {"type": "mutual_tls", "certificate": SECRET, "private_key": SECRET}
    assert "Fix: write url with https" in problem(auth=certificate, url="http://localhost:8080")
    load(auth=certificate)


@pytest.mark.parametrize("path", ["/api/now/table/problem", "https://x/api/a/b", "/api/a", "/api/a/../b", "/api/a/b?c"])
def test_a_resource_that_moves_problems_is_a_path_of_your_own(path: str) -> None:
    problem(problem={"state_resource": path})
    load(problem={"state_resource": "/api/x_contoso/azure_itsm_bridge/problem"})
