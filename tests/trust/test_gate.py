"""The door as the triggers see it: what is answered when the section is missing, wrong, or the rest of the file is."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from app.configuration import load_config
from app.container import Container
from shared.core.errors import ConfigurationError
from shared.core.problem import Problem
from tests.trust.entra import CLIENT_ID, TENANT, token

ROOT = Path(__file__).parents[2]

SECTION = f"secure_webhook: {{tenants: [{TENANT}], audiences: [{CLIENT_ID}]}}\n"


def services(folder: Path, text: str, **settings: str) -> Container:
    file = folder / "bridge.yaml"
    file.write_text(text, encoding="utf-8")
    return Container({"BRIDGE_CONFIG": str(file), **settings})


async def refusal(found: Container, header: str | None = None) -> Problem:
    with pytest.raises(Problem) as caught:
        await found.webhook.authenticate(header)
    return caught.value


async def test_without_the_section_the_route_is_not_there(tmp_path: Path) -> None:
    problem = await refusal(services(tmp_path, "version: 1\n"))
    assert (problem.status, problem.title) == (404, "Not configured")


async def test_mistakes_elsewhere_in_the_file_do_not_close_the_door(tmp_path: Path) -> None:
    found = services(tmp_path, f"version: 1\nroutes: [{{name: x}}]\n{SECTION}")
    assert (await refusal(found)).status == 401
    with pytest.raises(ConfigurationError):
        _ = found.config


@pytest.mark.parametrize(
    "text",
    [
        "secure_webhook: {tenants: [x], audiences: [y]}",
        "secure_webhook: {tenants: []}",
        "secure_webhook: [1]",
        "secure_webhook: &a {tenants: *a}",
        "secure_webhook: {tenants: ['${NOT_SET}'], audiences: [x]}",
        "secure_webhook: {",
        "- 1",
    ],
)
async def test_a_section_that_is_wrong_asks_azure_to_come_again(tmp_path: Path, text: str) -> None:
    problem = await refusal(services(tmp_path, text))
    assert (problem.status, problem.headers["Retry-After"]) == (503, "20")
    assert "tenants" not in problem.detail


async def test_settings_may_name_tenants_and_audiences(tmp_path: Path) -> None:
    text = "secure_webhook: {tenants: ['${TENANT}'], audiences: ['api://${CLIENT}']}"
    found = services(tmp_path, text, TENANT=TENANT, CLIENT=CLIENT_ID)
    assert (await refusal(found)).status == 401


async def test_the_caller_is_told_little_and_how_to_authenticate(tmp_path: Path) -> None:
    problem = await refusal(services(tmp_path, SECTION), "Bearer x")
    assert problem.headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'
    assert problem.body()["title"] == "Unauthorized"


def test_both_sections_belong_to_the_whole_file(tmp_path: Path) -> None:
    file = tmp_path / "bridge.yaml"
    head = (ROOT / "bridge.yaml").read_text(encoding="utf-8")
    file.write_text(f"{head}\n{SECTION}accept_only: {{subscriptions: ['{TENANT}'], rules: prod-*}}\n", encoding="utf-8")
    config = load_config(file, {"SERVICENOW_URL": "https://contoso.service-now.com"}).config
    assert config.secure_webhook is not None
    assert config.secure_webhook.tenants == [TENANT]
    assert config.accept_only is not None
    assert config.accept_only.rules == "prod-*"


def test_the_webhook_with_a_key_pays_for_none_of_this() -> None:
    probe = (
        "import sys, function_app\n"
        "from app.registry import REGISTRY\n"
        "from shared.web.intake import accept, read_json\n"
        "from datetime import UTC, datetime\n"
        "accept(read_json(b'{}', None), datetime.now(UTC), REGISTRY.schemas, REGISTRY.foreign)\n"
        "print(sorted(m for m in sys.modules if m.split('.')[0] in "
        "('jwt', 'cryptography', 'httpx', 'pydantic', 'jinja2', 'yaml') or m.startswith('shared.web.trust')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", probe], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"


async def test_keys_that_cannot_be_fetched_ask_azure_to_come_again(tmp_path: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        authority = f"http://127.0.0.1:{closed.getsockname()[1]}"
        text = f"secure_webhook: {{tenants: [{TENANT}], audiences: [{CLIENT_ID}], authority: '{authority}'}}\n"
        problem = await refusal(services(tmp_path, text), f"Bearer {token()}")
    assert (problem.status, problem.headers["Retry-After"]) == (503, "5")
