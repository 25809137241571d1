"""Azurite's runner."""

from __future__ import annotations

import base64
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
import trustme
from azure.core.credentials import AccessToken
from azure.data.tables import TableServiceClient
from azure.storage.blob import BlobServiceClient
from azure.storage.queue import QueueServiceClient

from local import azurite as runner
from local.azurite import Azurite, AzuriteError, install
from local.storage_rest import Account, Storage
from tests.local_host.support import ROOT, eventually_sync, is_running, receive


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=10):
            return True
    except urllib.error.HTTPError as error:
        with error:
            return True
    except urllib.error.URLError:
        return False


def test_all_three_services_answer_and_none_does_afterwards() -> None:
    with Azurite() as azurite:
        urls = [azurite.blob_url, azurite.queue_url, azurite.table_url]
        pid = azurite.pid
        assert [answers(url) for url in urls] == [True, True, True]
        assert azurite.exit_code() is None
        process = azurite._process
    assert process is not None
    assert process.returncode == 0  # it stopped by itself and was not killed
    assert [answers(url) for url in urls] == [False, False, False]
    assert not is_running(pid)
    azurite.stop()  # once more is no mistake


async def test_what_is_kept_in_a_folder_is_there_after_a_restart(tmp_path: Path) -> None:
    async with Azurite(location=tmp_path / "azurite") as azurite:
        storage = Storage(Account.parse(azurite.connection_string))
        await storage.queue("kept").put("still here")
        await storage.aclose()
    async with Azurite(location=tmp_path / "azurite") as azurite:
        storage = Storage(Account.parse(azurite.connection_string))
        [message] = await receive(storage.queue("kept"))
        await storage.aclose()
    assert message.text == "still here"


def test_a_port_that_is_taken_is_named_with_the_fix() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(AzuriteError, match=f"port {port} is taken by another program; stop that one or give"):
            Azurite(ports=(0, port, 0)).start()


def test_what_azurite_says_when_it_cannot_start_is_passed_on(tmp_path: Path) -> None:
    missing = tmp_path / "missing.pem"
    with pytest.raises(AzuriteError, match=r"did not start[\s\S]*missing\.pem"):
        Azurite(certificate=(missing, missing)).start()


def test_it_ends_when_its_parent_is_killed() -> None:
    parent = """
import sys, time
from local.azurite import Azurite
azurite = Azurite()
azurite.start()
print(azurite.pid, flush=True)
time.sleep(600)
"""
    with subprocess.Popen([sys.executable, "-c", parent], cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        assert is_running(pid)
        process.kill()
    eventually_sync(lambda: not is_running(pid))


def test_one_that_hangs_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    azurite = Azurite()
    azurite.start()
    pid = azurite.pid
    monkeypatch.setattr(runner, "_PATIENCE", 0.5)
    os.kill(pid, signal.SIGSTOP)  # it cannot react to SIGTERM now
    azurite.stop()
    assert not is_running(pid)


class UnsignedToken:
    """A credential whose token Azurite reads without checking the signature."""

    def get_token(self, *scopes: str, **options: object) -> AccessToken:
        del scopes, options
        tenant = "6f1c2b9e-0000-4000-8000-0000000000aa"
        now = int(time.time())
        claims = {
            "aud": "https://storage.azure.com", "iss": f"https://sts.windows.net/{tenant}/",
            "nbf": now - 60, "iat": now - 60, "exp": now + 3600, "oid": tenant,
        }  # fmt: skip
        parts = (json.dumps(part).encode() for part in ({"alg": "none", "typ": "JWT"}, claims, "demo-signature"))
        text = ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts)
        return AccessToken(text, now + 3600)


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path, Path]:
    ca = trustme.CA()
    issued = ca.issue_cert("127.0.0.1", "localhost")
    chain, key, root = (tmp_path / name for name in ("chain.pem", "key.pem", "ca.pem"))
    for number, blob in enumerate(issued.cert_chain_pems):
        blob.write_to_path(chain, append=number > 0)
    issued.private_key_pem.write_to_path(key)
    ca.cert_pem.write_to_path(root)
    return chain, key, root


def test_the_sdk_with_a_token_credential_works_over_https(certificate: tuple[Path, Path, Path]) -> None:
    chain, key, root = certificate
    token = UnsignedToken()
    with Azurite(certificate=(chain, key), oauth=True) as azurite:
        assert azurite.queue_url.startswith("https://")
        assert azurite.connection_string.startswith("DefaultEndpointsProtocol=https;")
        ca = str(root)
        with QueueServiceClient(azurite.queue_url, credential=token, connection_verify=ca) as queues:
            queues.create_queue("demo").send_message("text")
        with BlobServiceClient(azurite.blob_url, credential=token, connection_verify=ca) as blobs:
            blobs.create_container("demo").upload_blob("blob", b"data")
        with TableServiceClient(azurite.table_url, credential=token, connection_verify=ca) as tables:
            tables.create_table("demo").create_entity({"PartitionKey": "a", "RowKey": "b"})


def test_tokens_need_https() -> None:
    with pytest.raises(ValueError, match="over https only"):
        Azurite(oauth=True)


def test_an_installed_version_is_left_alone_and_needs_no_npm(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    with Azurite():  # installed by now
        pass
    monkeypatch.setenv("PATH", "")
    install(said.append)
    assert said == []


def test_another_version_than_the_lock_files_is_installed_anew(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """npm itself is stood in for: what matters is that it is asked, and asked for the right thing."""
    (tmp_path / "package-lock.json").write_text(
        json.dumps({"packages": {"": {}, "node_modules/azurite": {"version": "2"}}})
    )
    modules = tmp_path / "node_modules"
    (modules / "azurite" / "dist" / "src").mkdir(parents=True)
    (modules / "azurite" / "dist" / "src" / "azurite.js").write_text("")
    installed = modules / ".package-lock.json"
    installed.write_text(json.dumps({"packages": {"node_modules/azurite": {"version": "1"}}}))
    npm = tmp_path / "bin" / "npm"
    npm.parent.mkdir()
    npm.write_text(
        f"#!{sys.executable}\nimport json, pathlib, sys\n"
        f"pathlib.Path({str(tmp_path / 'asked')!r}).write_text(' '.join(sys.argv[1:]))\n"
        f"wanted = pathlib.Path({str(tmp_path / 'package-lock.json')!r}).read_text()\n"
        f"pathlib.Path({str(installed)!r}).write_text(wanted)\n"
    )
    npm.chmod(0o755)
    monkeypatch.setattr(runner, "_HERE", tmp_path)
    monkeypatch.setattr(runner, "_MODULES", modules)
    monkeypatch.setenv("PATH", str(npm.parent))
    said: list[str] = []
    install(said.append)
    assert len(said) == 1
    assert "fetching Azurite with npm" in said[0]
    assert (tmp_path / "asked").read_text().startswith(f"ci --prefix {tmp_path}")
    install(said.append)
    assert len(said) == 1

    installed.unlink()
    npm.write_text(f"#!{sys.executable}\nimport sys\nsys.exit('no network')\n")
    with pytest.raises(AzuriteError, match=r"npm ci --prefix local failed:\nno network"):
        install(said.append)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(AzuriteError, match=r"Node\.js is needed for Azurite"):
        install(said.append)
