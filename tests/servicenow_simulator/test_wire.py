"""The wire: headers, compression, media types, refusals of the web server, versions, method override."""

from __future__ import annotations

import http.client
import ssl
from xml.etree import ElementTree as ET

import httpx
import pytest

from local.servicenow import Simulator
from tests.servicenow_simulator import support
from tests.servicenow_simulator.support import INCIDENTS, Control, create, error, result

MEDIA = "[application/json, application/xml, text/xml]"


@pytest.mark.parametrize("path", [INCIDENTS, f"{INCIDENTS}/{'0' * 32}", "/api/now/table/bunk"])
def test_f37_headers_of_every_answer(bridge: httpx.Client, path: str) -> None:
    headers = bridge.get(path, headers={"Accept-Encoding": "gzip"}).headers
    expected = {
        "Server": "ServiceNow",
        "X-Is-Logged-In": "true",
        "X-Content-Type-Options": "nosniff",
        "Pragma": "no-store,no-cache",
        "Cache-Control": "no-cache,no-store,must-revalidate,max-age=-1",
        "Expires": "0",
        "Content-Type": "application/json;charset=UTF-8",
        "Transfer-Encoding": "chunked",
        "Content-Encoding": "gzip",
        "Server-Timing": "sem_wait;dur=0, sesh_wait;dur=0",
        "Strict-Transport-Security": "max-age=63072000; includeSubDomains",
    }
    assert {name: headers.get(name) for name in expected} == expected
    assert int(headers["X-Transaction-ID"], 16) >= 0
    assert "Content-Length" not in headers


def test_f37_newer_instances_name_another_server(bridge: httpx.Client, control: Control) -> None:
    control.set(server_header="snow_adc")
    assert bridge.get(INCIDENTS).headers["Server"] == "snow_adc"


def test_f13_both_kinds_of_error_envelope(simulator: Simulator, bridge: httpx.Client) -> None:
    with_text = bridge.get(f"{INCIDENTS}/{'0' * 32}").json()
    without = bridge.get("/api/now/table/bunk").json()
    assert with_text.keys() == without.keys() == {"error", "status"}
    assert isinstance(with_text["error"]["detail"], str)
    assert without["error"] == {"message": "Invalid table bunk", "detail": None}
    oauth = support.post(f"{simulator.url}/oauth_token.do", data={"grant_type": "password"}).json()
    assert oauth == {"error": "server_error", "error_description": "access_denied"}


def test_f37_no_compression_for_clients_that_do_not_ask(bridge: httpx.Client) -> None:
    answer = bridge.get(INCIDENTS, headers={"Accept-Encoding": "identity"})
    assert "Content-Encoding" not in answer.headers
    assert result(answer)


def test_f37_cookies_of_a_new_session_and_none_for_a_known_one(
    simulator: Simulator, tls: ssl.SSLContext, bridge: httpx.Client
) -> None:
    names = {cookie.split("=")[0] for cookie in bridge.get(INCIDENTS).headers.get_list("Set-Cookie")}
    assert {"JSESSIONID", "glide_user_route", "glide_user", "glide_user_session"} <= names
    known = support.get(simulator.url + INCIDENTS, headers={"Cookie": "JSESSIONID=ABC"}, auth=bridge.auth)
    assert "Set-Cookie" not in known.headers
    with httpx.Client(base_url=simulator.https_url, verify=tls) as secure:
        assert all("Secure" in cookie for cookie in secure.get(INCIDENTS).headers.get_list("Set-Cookie"))


def test_f37_the_transaction_id_leads_to_the_log(bridge: httpx.Client, control: Control) -> None:
    answer = bridge.get(INCIDENTS)
    assert control.last_request()["transaction_id"] == answer.headers["X-Transaction-ID"]


def test_f38_unknown_table(bridge: httpx.Client, control: Control) -> None:
    assert error(bridge.get("/api/now/table/sys_user_list"), 400) == ("Invalid table sys_user_list", None)
    control.set(invalid_table_detail="text")
    assert error(bridge.get("/api/now/table/bunk"), 400) == ("Invalid table bunk", "Table bunk does not exist")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/now/nothing"),
        ("POST", "/api/sn_nothing/v1/thing"),
        ("GET", "/api/now/v3/table/incident"),
        ("GET", "/api/now/v2/attachment"),
        ("PATCH", INCIDENTS),
        ("PUT", INCIDENTS),
        ("DELETE", INCIDENTS),
    ],
)
def test_f38_addresses_that_lead_nowhere(bridge: httpx.Client, control: Control, method: str, path: str) -> None:
    message = "Requested URI does not represent any resource"
    assert error(bridge.request(method, path), 400) == (message, None)
    control.set(unknown_uri_status=404)
    assert error(bridge.request(method, path), 404) == (message, None)


def test_f38_a_method_that_is_not_supported(bridge: httpx.Client, control: Control) -> None:
    record = create(bridge)
    path = f"{INCIDENTS}/{record['sys_id']}"
    assert error(bridge.post(path, json={}), 405) == ("Method not supported", "POST method not supported for API")
    control.set(method_not_supported="no {method} here")
    assert error(bridge.post(path, json={}), 405)[1] == "no POST here"


def test_f38_media_types_that_are_not_supported(bridge: httpx.Client, control: Control) -> None:
    message, _ = error(bridge.get(INCIDENTS, headers={"Accept": "text/html"}), 406)
    assert f"Supported response media types for this service are: {MEDIA}" in message
    control.set(not_acceptable="Sorry.")
    assert error(bridge.get(INCIDENTS, headers={"Accept": "text/html"}), 406)[0].startswith("Sorry. Supported")
    message, detail = error(bridge.post(INCIDENTS, content="a=b", headers={"Content-Type": "text/plain"}), 415)
    assert message == f"Invalid content-type. Supported request media types for this service are: {MEDIA}"
    assert detail is None


@pytest.mark.parametrize("body", ["{oops", "[1, 2", '"text"', "{'a': __import__('os')}"])
def test_f38_a_body_that_is_no_json(bridge: httpx.Client, body: str) -> None:
    answer = bridge.post(INCIDENTS, content=body, headers={"Content-Type": "application/json"})
    assert error(answer, 400) == ("Exception while reading request", "The payload is not valid JSON.")


def test_f38_single_quoted_json_is_taken(bridge: httpx.Client) -> None:
    body = "{'short_description': 'It\\'s full', 'urgency': 1, 'knowledge': true,}"
    answer = bridge.post(INCIDENTS, content=body, headers={"Content-Type": "application/json"})
    made = result(answer, 201)
    assert (made["short_description"], made["urgency"], made["knowledge"]) == ("It's full", "1", "true")


@pytest.mark.parametrize("status", [400, 413])
def test_f38_oversize_payload(bridge: httpx.Client, control: Control, status: int) -> None:
    control.set_property("glide.rest.max_content_length", "1000")
    control.set(oversize_status=status)
    answer = bridge.post(INCIDENTS, json={"description": "x" * 2000})
    message, detail = error(answer, status)
    length = answer.request.headers["Content-Length"]
    assert message == "Exception while reading request"
    text = f"Rejected large REST payload with content-length = {length} bytes. Max allowed: 1000 bytes."
    assert detail == text


def test_f38_the_limits_of_an_address_can_be_changed(bridge: httpx.Client, control: Control) -> None:
    control.set(max_path=30)
    assert bridge.get("/api/now/table/sys_user_grmember").text.startswith("<html>")
    control.set(max_path=1000, max_url=30)
    assert bridge.get(INCIDENTS, params={"sysparm_limit": "1"}).status_code == 400
    assert bridge.get(INCIDENTS).status_code == 200


def test_f38_a_very_long_path_gives_a_page(bridge: httpx.Client) -> None:
    answer = bridge.get("/api/now/table/" + "A" * 23_000)
    assert answer.status_code == 400
    assert answer.headers["Content-Type"].startswith("text/html")
    assert answer.text.startswith("<html>")


def test_f38_an_oversized_address_or_header_gives_a_page(bridge: httpx.Client) -> None:
    port = bridge.base_url.port
    for path, headers in ((f"{INCIDENTS}?sysparm_query={'a' * 70_000}", {}), (INCIDENTS, {"X-Long": "a" * 70_000})):
        connection = http.client.HTTPConnection("127.0.0.1", port)
        try:
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            assert answer.status == 400
            assert "Request header is too large" in answer.read().decode()
        finally:
            connection.close()


def test_xml_when_asked_for(bridge: httpx.Client) -> None:
    record = create(bridge, short_description="a < b & c", caller_id="62826bf03710200044e0bfc8bcbe5df1")
    headers = {"Accept": "application/xml"}
    answer = bridge.get(f"{INCIDENTS}/{record['sys_id']}", headers=headers)
    assert answer.headers["Content-Type"] == "application/xml;charset=UTF-8"
    root = ET.fromstring(answer.content)
    assert root.tag == "response"
    assert root.findtext("result/short_description") == "a < b & c"
    assert root.findtext("result/caller_id/value") == "62826bf03710200044e0bfc8bcbe5df1"
    assert root.findtext("result/assigned_to") == ""
    several = ET.fromstring(bridge.get(INCIDENTS, params={"sysparm_limit": "3"}, headers=headers).content)
    assert len(several.findall("result")) == 3
    refused = bridge.get("/api/now/table/bunk", headers=headers)
    assert refused.status_code == 400
    assert ET.fromstring(refused.content).findtext("error/message") == "Invalid table bunk"


def test_xml_bodies_are_read(bridge: httpx.Client) -> None:
    body = "<request><entry><short_description>From XML</short_description><urgency>1</urgency></entry></request>"
    answer = bridge.post(INCIDENTS, content=body, headers={"Content-Type": "application/xml"})
    made = result(answer, 201)
    assert (made["short_description"], made["urgency"]) == ("From XML", "1")
    broken = bridge.post(INCIDENTS, content="<request>", headers={"Content-Type": "application/xml"})
    assert error(broken, 400)[0] == "Exception while reading request"


def test_method_override(bridge: httpx.Client) -> None:
    record = create(bridge)
    headers = {"X-HTTP-Method-Override": "PATCH"}
    changed = result(bridge.post(f"{INCIDENTS}/{record['sys_id']}", json={"urgency": "1"}, headers=headers))
    assert changed["urgency"] == "1"


def test_no_response_body(bridge: httpx.Client) -> None:
    headers = {"X-no-response-body": "true"}
    made = bridge.post(INCIDENTS, json={"short_description": "quiet"}, headers=headers)
    assert (made.status_code, made.content) == (201, b"")
    changed = bridge.patch(made.headers["Location"], json={"urgency": "1"}, headers=headers)
    assert (changed.status_code, changed.content) == (200, b"")
    assert result(bridge.get(made.headers["Location"]))["urgency"] == "1"


def test_head_gives_headers_only(bridge: httpx.Client) -> None:
    answer = bridge.head(INCIDENTS, params={"sysparm_limit": "1"})
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["X-Total-Count"] == "30"
    assert bridge.head(f"{INCIDENTS}/{'0' * 32}").status_code == 404


@pytest.mark.parametrize("version", ["", "v1/", "v2/"])
def test_versions_of_the_path(bridge: httpx.Client, version: str) -> None:
    path = f"/api/now/{version}table/incident"
    made = bridge.post(path, json={"caller_id": "62826bf03710200044e0bfc8bcbe5df1"})
    assert f"/api/now/{version}table/incident/" in made.headers["Location"]
    assert f"/api/now/{version}table/sys_user/" in result(made, 201)["caller_id"]["link"]


def test_links_bear_the_host_the_client_used(simulator: Simulator) -> None:
    port = int(simulator.url.rpartition(":")[2])
    connection = http.client.HTTPConnection("127.0.0.1", port)
    try:
        headers = {"Host": "contoso.example:8080", "x-sn-apikey": simulator.api_key, "Content-Type": "application/json"}
        connection.request("POST", INCIDENTS, "{}", headers)
        answer = connection.getresponse()
        answer.read()
        assert str(answer.headers["Location"]).startswith("http://contoso.example:8080/api/now/table/incident/")
    finally:
        connection.close()
