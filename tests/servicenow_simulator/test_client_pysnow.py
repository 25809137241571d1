"""pysnow works against the simulator unchanged: CRUD, queries, streams, attachments, OAuth, errors."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from local.servicenow import Simulator
from tests.servicenow_simulator.support import Control

with warnings.catch_warnings():
    # The package warns on import that python-magic is missing, and uses old APIs of its own dependencies.
    warnings.simplefilter("ignore")
    import pysnow
    from pysnow.exceptions import EmptyContent, MissingResult, MultipleResults, NoResults, TokenCreateError

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def plain_host(simulator: Simulator) -> str:
    return simulator.url.removeprefix("http://")


@pytest.fixture
def client(simulator: Simulator) -> Iterator[Any]:
    made = pysnow.Client(
        host=plain_host(simulator), user=simulator.username, password=simulator.password, use_ssl=False
    )
    yield made
    made.session.close()


@pytest.fixture
def incidents(client: Any) -> Any:
    return client.resource(api_path="/table/incident")


def test_create_read_update_delete(incidents: Any) -> None:
    made = incidents.create(payload={"short_description": "From pysnow", "urgency": "1"})
    number = made["number"]
    assert incidents.get(query={"number": number}).one()["short_description"] == "From pysnow"
    changed = incidents.update(query={"number": number}, payload={"urgency": "2"})
    assert changed["urgency"] == "2"
    assert incidents.delete(query={"number": number}) == {"status": "record deleted"}
    with pytest.raises(NoResults):
        incidents.get(query={"number": number}).one()
    assert incidents.get(query={"number": number}).one_or_none() is None
    with pytest.raises(MultipleResults):
        incidents.get(query={"state": "2"}).one()


def test_query_builder_and_paging(incidents: Any) -> None:
    query = pysnow.QueryBuilder().field("state").equals(["1", "2"]).AND().field("number").order_descending()
    found = incidents.get(query=query, limit=4, offset=2, fields=["number", "state"]).all()
    assert len(found) == 4
    listed = [row["number"] for row in found]
    assert listed == sorted(listed, reverse=True)
    assert {row["state"] for row in found} <= {"1", "2"}
    text = (
        pysnow.QueryBuilder()
        .field("short_description")
        .contains("vpn")
        .OR()
        .field("short_description")
        .starts_with("disk")
    )
    assert {row["short_description"] for row in incidents.get(query=text).all()} == {
        "VPN drops every hour",
        "Disk of vm-sql-01 is nearly full",
    }


def test_parameters_of_a_resource(incidents: Any) -> None:
    incidents.parameters.display_value = True
    incidents.parameters.exclude_reference_link = True
    row = incidents.get(query={"number": "INC0000002"}).one()
    assert (row["state"], row["caller_id"]) == ("In Progress", "Abel Tuter")


def test_streaming_and_errors_in_an_answer_of_status_200(incidents: Any, control: Control) -> None:
    assert len(list(incidents.get(query={}, stream=True).all())) == 30
    assert incidents.get(query={"number": "INC0000001"}, stream=True).first()["number"] == "INC0000001"
    assert incidents.get(query={"number": "none"}, stream=True).first_or_none() is None
    control.set(gzip=False)
    control.order("missing_result", times=1)
    with pytest.raises(MissingResult):
        incidents.get(query={}).all()


def test_refusals_raise(incidents: Any, client: Any, control: Control) -> None:
    with pytest.raises(requests.HTTPError, match="403") as caught:
        incidents.create(payload={"state": "6"}).one()
    assert "Forbidden" in str(caught.value)
    with pytest.raises(requests.HTTPError, match="400"):
        client.resource(api_path="/table/bunk").get(query={}).all()
    control.order("session_queue", times=1)
    with pytest.raises(EmptyContent):
        list(incidents.get(query={}, stream=True).all())


def test_attachments(incidents: Any, tmp_path: Path) -> None:
    record = incidents.create(payload={"short_description": "With a file"}).one()
    path = tmp_path / "notes.txt"
    path.write_bytes(b"hello\nworld")
    with warnings.catch_warnings():
        # pysnow leaves the file it uploads open.
        warnings.simplefilter("ignore", ResourceWarning)
        uploaded = incidents.attachments.upload(sys_id=record["sys_id"], file_path=str(path)).one()
    assert (uploaded["file_name"], uploaded["size_bytes"]) == ("notes.txt", "11")
    listed = incidents.attachments.get(sys_id=record["sys_id"])
    assert [item["sys_id"] for item in listed] == [uploaded["sys_id"]]
    assert incidents.attachments.delete(uploaded["sys_id"]) == {"status": "record deleted"}


def test_oauth(simulator: Simulator, control: Control, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")
    saved: list[dict[str, Any]] = []
    client = pysnow.OAuthClient(
        client_id=simulator.client_id,
        client_secret=simulator.client_secret,
        token_updater=saved.append,
        host=plain_host(simulator),
        use_ssl=False,
    )
    with pytest.raises(TokenCreateError):
        client.generate_token(simulator.username, "wrong")
    token = client.generate_token(simulator.username, simulator.password)
    client.set_token(token)
    resource = client.resource(api_path="/table/incident")
    assert resource.get(query={"number": "INC0000001"}).one()["number"] == "INC0000001"
    control.clock(advance=1801)
    client.set_token(token | {"expires_in": -1, "expires_at": 1.0})
    resource = client.resource(api_path="/table/incident")
    assert resource.get(query={"number": "INC0000001"}).one()["number"] == "INC0000001"
    assert saved[0]["access_token"] != token["access_token"]
    assert saved[0]["refresh_token"] == token["refresh_token"]
    client.session.close()
