"""The composition and the command line, up to the sign-in that has no secret; and the app's own identity."""

from __future__ import annotations

from pathlib import Path

import jwt
import pytest
from typer.testing import CliRunner

from cli import app
from connectors.microsoft.sign_in import own_identity
from local.azure import running
from local.azurite import Azurite
from tests.azure_simulator.support import ARM

CONFIG = """
version: 1
connections:
  desk: {type: servicenow, url: "https://contoso.service-now.com", auth: {type: api_key, key: {secret: desk-key}}}
default: {connection: desk}
"""
SECTION = """
reconcile:
  subscriptions:
    - id: 77777777-7777-4777-8777-777777777777
      sign_in:
        tenant: 22222222-2222-4222-8222-222222222222
        client_id: 33333333-3333-4333-8333-333333333333
        client_secret: {secret: nowhere-to-be-found}
"""


def invoke(azurite: Azurite, folder: Path, text: str, *arguments: str) -> tuple[int, str]:
    file = folder / "bridge.yaml"
    file.write_text(text)
    settings = folder / "local.settings.json"
    settings.write_text('{"Values": {}}')
    options = ["--config", str(file), "--settings", str(settings), "--storage", azurite.connection_string]
    result = CliRunner().invoke(app, [*options, "reconcile", *arguments])
    return result.exit_code, " ".join(result.output.split())


def test_the_command_says_what_each_subscription_suffers_and_fails(azurite: Azurite, tmp_path: Path) -> None:
    code, said = invoke(azurite, tmp_path, CONFIG + SECTION, "--dry-run")
    assert code == 1
    assert "77777777-7777-4777-8777-777777777777: no secret for application 33333333" in said
    assert "NOWHERE_TO_BE_FOUND" in said


def test_the_command_needs_the_section(azurite: Azurite, tmp_path: Path) -> None:
    code, said = invoke(azurite, tmp_path, CONFIG)
    assert (code, "nothing to do; it needs the section reconcile in bridge.yaml" in said) == (1, True)


@pytest.mark.parametrize(
    ("section", "problem"),
    [
        (SECTION + SECTION.partition("subscriptions:\n")[2], "given twice"),
        (SECTION + "  grace: 2h\n  look_back: 1h\n", "'grace' must be shorter"),
        ("reconcile: {subscriptions: [{id: contoso}]}\n", "not a GUID"),
    ],
)
def test_mistakes_in_the_section_are_told(azurite: Azurite, tmp_path: Path, section: str, problem: str) -> None:
    code, said = invoke(azurite, tmp_path, CONFIG + section)
    assert code == 1
    assert problem in said


@pytest.mark.parametrize("user_assigned", [False, True])
async def test_the_apps_own_identity_is_the_one_that_its_settings_name(
    monkeypatch: pytest.MonkeyPatch, user_assigned: bool
) -> None:
    async with running() as clouds:
        # what App Service itself puts into the environment
        monkeypatch.setenv("IDENTITY_ENDPOINT", clouds.identity_endpoint)
        monkeypatch.setenv("IDENTITY_HEADER", clouds.identity_header)
        if user_assigned:
            monkeypatch.setenv("AZURE_CLIENT_ID", clouds.user_identity_client_id)
        async with own_identity("public") as credential:
            token = (await credential.get_token(ARM)).token
        claims = jwt.decode(token, options={"verify_signature": False})
        assert (claims["appid"] == clouds.user_identity_client_id) is user_assigned
