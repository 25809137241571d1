"""The Attachment API."""

from __future__ import annotations

import json

import httpx
import pytest

from local.servicenow import Simulator
from tests.servicenow_simulator import support
from tests.servicenow_simulator.support import Control, create, error, result

FILES = "/api/now/attachment"
BYTES = bytes(range(256)) * 10


def upload(client: httpx.Client, sys_id: str, name: str = "graph.png", content: bytes = BYTES) -> httpx.Response:
    params = {"table_name": "incident", "table_sys_id": sys_id, "file_name": name}
    return client.post(f"{FILES}/file", params=params, content=content, headers={"Content-Type": "image/png"})


def test_f25_a_file_is_uploaded_listed_read_and_deleted(bridge: httpx.Client) -> None:
    record = create(bridge)
    made = upload(bridge, record["sys_id"])
    metadata = result(made, 201)
    assert made.headers["Location"].endswith(f"/api/now/attachment/{metadata['sys_id']}/file")
    assert metadata["download_link"] == made.headers["Location"]
    expected = {
        "table_name": "incident",
        "table_sys_id": record["sys_id"],
        "file_name": "graph.png",
        "content_type": "image/png",
        "size_bytes": "2560",
        "sys_created_by": "azure.bridge",
    }
    assert {name: metadata[name] for name in expected} == expected
    assert all(isinstance(value, str) for value in metadata.values())
    content = bridge.get(metadata["download_link"], headers={"Accept": "image/png"})
    assert content.content == BYTES
    assert content.headers["Content-Type"] == "image/png"
    assert json.loads(content.headers["X-Attachment-Metadata"])["sys_id"] == metadata["sys_id"]
    assert result(bridge.get(f"{FILES}/{metadata['sys_id']}"))["hash"] == metadata["hash"]
    query = {"sysparm_query": f"table_name=incident^table_sys_id={record['sys_id']}"}
    listed = bridge.get(FILES, params=query)
    assert [row["file_name"] for row in result(listed)] == ["graph.png"]
    assert listed.headers["X-Total-Count"] == "1"
    assert bridge.delete(f"{FILES}/{metadata['sys_id']}").status_code == 204
    assert error(bridge.get(f"{FILES}/{metadata['sys_id']}/file"), 404)[0] == "No Record found"
    assert result(bridge.get(FILES, params=query)) == []


def test_f25_a_form_upload_takes_the_file_from_its_last_part(bridge: httpx.Client) -> None:
    record = create(bridge)
    form = {"table_name": "incident", "table_sys_id": record["sys_id"]}
    made = bridge.post(f"{FILES}/upload", data=form, files={"uploadFile": ("notes.txt", b"line\r\n--x", "text/plain")})
    metadata = result(made, 201)
    assert (metadata["file_name"], metadata["content_type"]) == ("notes.txt", "text/plain")
    assert bridge.get(metadata["download_link"]).content == b"line\r\n--x"


@pytest.mark.parametrize("missing", ["table_name", "table_sys_id", "file_name"])
def test_f25_a_missing_parameter(bridge: httpx.Client, missing: str) -> None:
    params = {"table_name": "incident", "table_sys_id": create(bridge)["sys_id"], "file_name": "a.txt"}
    del params[missing]
    assert missing in str(error(bridge.post(f"{FILES}/file", params=params, content=b"x"), 400)[1])


def test_f25_refusals(bridge: httpx.Client, simulator: Simulator, control: Control) -> None:
    record = create(bridge)
    assert error(upload(bridge, "0" * 32), 404)[0] == "No Record found"
    reader = support.connect(simulator.url, "read.only", simulator.accounts["read.only"])
    nobody = support.connect(simulator.url, "no.roles", simulator.accounts["no.roles"])
    with reader, nobody:
        assert "ACL Exception Insert Failed" in str(error(upload(reader, record["sys_id"]), 403)[1])
        assert error(nobody.get(FILES), 403)[0] == "Insufficient rights to query records"
    broken = bridge.post(f"{FILES}/upload", content=b"x", headers={"Content-Type": "multipart/form-data"})
    assert error(broken, 400)[0] == "Invalid multipart request"
    control.set_property("com.glide.attachment.max_size", "0")
    assert upload(bridge, record["sys_id"]).status_code == 413


def test_f25_attachments_of_rows_one_cannot_read_are_hidden(bridge: httpx.Client, control: Control) -> None:
    record = create(bridge, correlation_id="hidden")
    metadata = result(upload(bridge, record["sys_id"]), 201)
    control.set(hidden_rows={"incident": "correlation_id=hidden"})
    assert result(bridge.get(FILES)) == []
    assert error(bridge.get(f"{FILES}/{metadata['sys_id']}"), 404)


def test_f25_an_upload_larger_than_a_rest_payload_is_taken(bridge: httpx.Client, control: Control) -> None:
    control.set_property("glide.rest.max_content_length", "1000")
    assert result(upload(bridge, create(bridge)["sys_id"], content=b"x" * 50_000), 201)["size_bytes"] == "50000"


def test_f25_the_old_version_of_the_path_works(bridge: httpx.Client) -> None:
    record = create(bridge)
    params = {"table_name": "incident", "table_sys_id": record["sys_id"], "file_name": "a.txt"}
    made = bridge.post("/api/now/v1/attachment/file", params=params, content=b"hello")
    assert "/api/now/v1/attachment/" in made.headers["Location"]
    assert bridge.get(made.headers["Location"]).content == b"hello"
