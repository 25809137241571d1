"""The commands connect and disconnect: a person with a browser, one without, one with a password; and signals wait."""

from __future__ import annotations

import asyncio
import io
import logging
import socket
import threading
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import typer

from app.container import Container
from cli.browser import Answer, read_answer
from cli.connect import connecting, disconnecting
from shared.core.errors import ConfigurationError, NotAuthorised, NotSent, SecretUnavailable
from shared.core.secrets import SettingSecrets
from tests.ports import free_port
from tests.simulators import NO_AUTHORITIES
from tests.tokens.world import CODE, PERSON, TOKEN, World, look

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture
def redirect() -> str:
    return f"http://127.0.0.1:{free_port()}/"


async def registered(world: World, redirect: str) -> str:
    """Register a redirect URL, as an administrator; the lines of bridge.yaml with it."""
    await world.change_client({"redirect_url": redirect})
    return CODE.replace("https://contoso.example/callback", redirect)


def browser(world: World, choice: str = "allow", user: str = PERSON) -> Callable[[str], object]:
    """Opens the address as a person does, in the background."""

    def go(url: str) -> None:
        address = world.person(user).consent(url, choice)
        httpx.get(address.partition("?")[0] + "favicon.ico", verify=NO_AUTHORITIES)
        httpx.get(address.replace("state=", "state=wrong"), verify=NO_AUTHORITIES)
        shown = httpx.get(address, verify=NO_AUTHORITIES)
        assert shown.status_code == 200

    return lambda url: threading.Thread(target=go, args=(url,)).start()


def typed(monkeypatch: pytest.MonkeyPatch, *lines: str) -> None:
    """What comes from standard input, which is no terminal."""
    monkeypatch.setattr("sys.stdin", io.StringIO("".join(f"{line}\n" for line in lines)))


async def failed(work: Awaitable[Any]) -> int:
    with pytest.raises(typer.Exit) as caught:
        await work
    return caught.value.exit_code


async def test_given_a_browser_when_the_person_allows_then_the_token_is_in_the_vault_and_the_account_is_shown(
    world: World, tmp_path: Path, redirect: str, capsys: pytest.CaptureFixture[str]
) -> None:
    services = world.container(tmp_path, await registered(world, redirect))
    await connecting(services, world.name, open_browser=browser(world))
    shown = capsys.readouterr()
    assert f"connected as '{PERSON}'" in shown.out
    assert "Not the integration user?" in shown.out
    token = world.vault.secrets[TOKEN]
    assert token.startswith("refresh-")
    assert token not in shown.out + shown.err
    await look(world.worker())


async def test_given_single_sign_on_when_the_wrong_person_consented_then_the_command_says_so(
    world: World, tmp_path: Path, redirect: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """SSO signs in whoever sits at the machine: here an administrator, who did not press Not you."""
    await world.set(sso_user="admin")
    services = world.container(tmp_path, await registered(world, redirect))
    nobody = world.person("admin")
    nobody.user = ""  # takes the page as it comes

    def go(url: str) -> None:
        address = nobody.consent(url)
        threading.Thread(target=lambda: httpx.get(address, verify=NO_AUTHORITIES)).start()

    await connecting(services, world.name, open_browser=go)
    shown = capsys.readouterr()
    assert "connected as 'admin'" in shown.out
    assert "it is an administrator" in shown.err
    assert "side_door.do" in shown.out
    await connecting(services, world.name, open_browser=browser(world))
    assert f"connected as '{PERSON}'" in capsys.readouterr().out


async def test_given_a_person_who_denies_then_nothing_is_stored(
    world: World, tmp_path: Path, redirect: str, capsys: pytest.CaptureFixture[str]
) -> None:
    services = world.container(tmp_path, await registered(world, redirect))
    assert await failed(connecting(services, world.name, open_browser=browser(world, "deny"))) == 1
    assert "access_denied" in capsys.readouterr().err
    assert TOKEN not in world.vault.secrets


async def test_given_nobody_at_the_browser_when_the_time_is_over_then_the_command_ends(
    world: World, tmp_path: Path, redirect: str, capsys: pytest.CaptureFixture[str]
) -> None:
    services = world.container(tmp_path, await registered(world, redirect))
    assert await failed(connecting(services, world.name, wait=0.2, open_browser=lambda url: None)) == 1
    assert "nobody answered" in capsys.readouterr().err


async def test_given_a_port_in_use_then_paste_is_the_advice(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        more = await registered(world, f"http://127.0.0.1:{taken.getsockname()[1]}/")
        assert await failed(connecting(world.container(tmp_path, more), world.name)) == 1
    assert "--paste" in capsys.readouterr().err


async def test_given_no_browser_here_when_the_address_is_pasted_then_it_works_too(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    person = world.person()

    class Clipboard:
        """Gives the address to which the browser of another machine went, once the request was shown."""

        def readline(self, *_: Any) -> str:
            shown = capsys.readouterr().out
            url = next(line for line in shown.splitlines() if "/oauth_auth.do?" in line)
            return person.consent(url) + "\n"

    monkeypatch.setattr("sys.stdin", Clipboard())
    await connecting(world.container(tmp_path), world.name, paste=True)
    assert f"connected as '{PERSON}'" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("address", "answer"),
    [
        ("http://127.0.0.1:8400/?code=abc&state=s", Answer("abc")),
        (" https://contoso.example/callback?state=s&code=a%2Bb \n", Answer("a+b")),
        ("?error=access_denied&error_description=no%0Away&state=s", Answer(error="access_denied no way")),
        ("?state=s", Answer(error="there is no code")),
    ],
)
async def test_what_an_address_brings(address: str, answer: Answer) -> None:
    assert read_answer(address, "s") == answer


@pytest.mark.parametrize("address", ["", "abc", "?code=abc", "?code=abc&state=other", "http://[", "?state=ü&code=a"])
async def test_an_address_of_another_request_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match=r"not the answer|Invalid IPv6"):
        read_answer(address, "s")


async def test_given_a_password_when_it_is_used_once_then_only_the_token_is_kept(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    typed(monkeypatch, world.simulator.integration_username, world.simulator.integration_password)
    await connecting(world.container(tmp_path), world.name, with_password=True)
    assert "connected as 'azure.bridge'" in capsys.readouterr().out
    assert world.simulator.integration_password not in world.vault.secrets.values()
    await look(world.worker())


async def test_given_a_wrong_password_then_nothing_is_stored_and_the_causes_are_named(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    typed(monkeypatch, world.simulator.integration_username, "wrong-demo-password")
    with pytest.raises(NotAuthorised, match="ropc") as caught:
        await connecting(world.container(tmp_path), world.name, with_password=True)
    assert "wrong-demo-password" not in str(caught.value)
    assert TOKEN not in world.vault.secrets


async def test_given_a_vault_that_takes_nothing_when_somebody_consents_then_the_token_is_revoked_again(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.vault.read_only = True
    typed(monkeypatch, world.simulator.integration_username, world.simulator.integration_password)
    with pytest.raises(SecretUnavailable, match="Key Vault Secrets Officer"):
        await connecting(world.container(tmp_path), world.name, with_password=True)
    paths = [one["path"] for one in (await world.control.get("/requests")).json()["requests"]]
    assert "/oauth_revoke_token.do" in paths


@pytest.mark.parametrize("rotates", [False, True])
async def test_given_no_vault_when_somebody_connects_then_workers_share_the_token_sealed_in_storage(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], rotates: bool
) -> None:
    """A developer's machine: secrets are settings, and settings cannot be written."""
    await world.set(refresh_rotates=rotates)
    world.container(tmp_path)
    settings = {
        **world.settings,
        "BRIDGE_CONFIG": str(tmp_path / "bridge.yaml"),
        "SERVICENOW_CLIENT_SECRET": world.simulator.client_secret,
    }
    services = Container(settings, now=world.now, storage=world.storage)
    workers = [world.worker(secrets=SettingSecrets(settings)) for _ in range(2)]
    with pytest.raises(NotSent, match="nobody has consented yet"):
        await look(workers[0])
    given = []
    for _ in range(2):  # the second time with workers that have tokens of the first
        typed(monkeypatch, world.simulator.integration_username, world.simulator.integration_password)
        await connecting(services, world.name, with_password=True)
        assert "the bridge's own storage, encrypted with the secret 'servicenow-client-secret'" in (
            capsys.readouterr().out
        )
        for _ in range(3):
            for worker in workers:
                await look(worker)
            await world.advance(timedelta(minutes=30))
        held = await world.held()
        assert held is not None
        given.append(held.refresh)
        rows = [str(row) async for row in world.storage.table("tokens").list_entities()]
        assert not [row for row in rows for token in given if token in row]
    assert TOKEN not in world.vault.secrets
    log_in = await services.opened_systems.log_in(world.name)
    assert (log_in.user, log_in.problem) == (world.simulator.integration_username, "")
    assert log_in.token_ends is not None
    await disconnecting(services, world.name)
    with pytest.raises(NotSent, match=r"bridge\.py connect"):
        await look(workers[1])
    await services.aclose()


async def test_given_a_log_in_that_needs_no_person_then_the_command_says_so(world: World, tmp_path: Path) -> None:
    services = world.container(tmp_path, "", "oauth_client_credentials")
    with pytest.raises(ConfigurationError, match="oauth_authorization_code"):
        await connecting(services, world.name)


async def test_given_a_connection_when_it_is_disconnected_then_every_token_is_dead_and_connect_brings_it_back(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    token = await world.consent()
    worker = world.worker()
    await look(worker)
    services = world.container(tmp_path)
    await disconnecting(services, world.name)
    assert "the tokens are revoked" in capsys.readouterr().out
    assert not world.vault.present(TOKEN)["enabled"]
    assert await world.held() is None
    with pytest.raises(NotAuthorised, match=r"bridge\.py connect"):
        await look(worker)
    form = {"grant_type": "refresh_token", "refresh_token": token, "client_id": world.simulator.client_id}
    async with httpx.AsyncClient(base_url=world.simulator.url, verify=NO_AUTHORITIES) as anybody:
        answer = await anybody.post("/oauth_token.do", data=form | {"client_secret": world.simulator.client_secret})
    assert answer.status_code == 401
    await disconnecting(services, world.name)  # twice does no harm
    assert "there was no token" in capsys.readouterr().out
    typed(monkeypatch, world.simulator.integration_username, world.simulator.integration_password)
    await connecting(services, world.name, with_password=True)
    await look(world.worker())


async def test_given_everything_logged_when_a_connection_lives_its_life_then_no_secret_is_shown(
    world: World,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    await world.set(refresh_rotates=True)
    seen = {world.simulator.client_secret, world.simulator.integration_password}
    services = world.container(tmp_path)
    for _ in range(2):
        typed(monkeypatch, world.simulator.integration_username, world.simulator.integration_password)
        await connecting(services, world.name, with_password=True)
        worker = world.worker()
        await look(worker)
        held = await world.held()
        assert held is not None
        seen |= {held.access, held.refresh, world.vault.secrets[TOKEN]}
        seen |= {await world.consent()}
        await world.advance(timedelta(minutes=2))  # a secret is read anew once a minute
        await worker.refresh_tokens(always=True)
        seen |= {world.vault.secrets[TOKEN]}
    await disconnecting(services, world.name)
    printed = capsys.readouterr()
    ours = [line for line in caplog.messages if "oauth" in line.lower() or "token" in line.lower()]
    assert ours
    tables = [str(row) async for row in world.storage.table("tokens").list_entities()]
    everything = "\n".join([printed.out, printed.err, *caplog.messages, *tables, repr(worker.__dict__)])
    for secret in seen:
        assert secret not in everything
    await asyncio.sleep(0)
