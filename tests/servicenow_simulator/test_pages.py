"""Pages for people: log-in, home, lists and records. Access is that of the API."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from html import unescape
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from local.servicenow import Simulator
from tests.servicenow_simulator import support
from tests.servicenow_simulator.support import CHANGES, INCIDENTS, Control, create, get, result, update
from tests.simulators import NO_AUTHORITIES

LogIn = Callable[..., httpx.Client]
BETH = "46d44a23a9fe19810012d100cca80666"


@pytest.fixture
def browser(simulator: Simulator) -> Iterator[httpx.Client]:
    """Keeps cookies, and follows no redirect by itself."""
    with httpx.Client(base_url=simulator.url, verify=NO_AUTHORITIES) as client:
        yield client


@pytest.fixture
def log_in(browser: httpx.Client, simulator: Simulator) -> LogIn:
    def logged_in(user: str = "admin") -> httpx.Client:
        answer = submit(browser, user, simulator.accounts[user])
        assert answer.status_code == 302, answer.text
        return browser

    return logged_in


def submit(browser: httpx.Client, user: str, password: str, goto: str | None = None) -> httpx.Response:
    """Fill the form in as a browser does, hidden fields included."""
    form = browser.get("/login.do", params={"sysparm_goto_url": goto} if goto is not None else None)
    hidden = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', form.text)
    fields = {name: unescape(value) for name, value in hidden}
    fields |= {"user_name": user, "user_password": password, "sys_action": "sysverb_login"}
    return browser.post("/login.do", data=fields)


def links(answer: httpx.Response) -> dict[str, str]:
    """Address by text of every link of a page."""
    assert answer.status_code == 200, answer.text
    found = re.findall(r'<a href="([^"]*)">([^<]*)</a>', answer.text)
    return {unescape(text): unescape(address) for address, text in found}


def cells(answer: httpx.Response) -> list[list[str]]:
    """Text of every row of a list."""
    assert answer.status_code == 200, answer.text
    rows = re.findall(r"<tr>(<td>.*?)</tr>", answer.text, re.DOTALL)
    return [
        [unescape(re.sub(r"<[^>]+>", "", cell)) for cell in re.findall(r"<td>(.*?)</td>", row, re.DOTALL)]
        for row in rows
    ]


# Log-in


def test_the_printed_user_and_password_lead_from_the_start_page_to_the_home_page(
    browser: httpx.Client, simulator: Simulator
) -> None:
    assert browser.get("/").headers["location"] == "/login.do"
    answer = submit(browser, simulator.username, simulator.password)
    assert (answer.status_code, answer.headers["location"]) == (302, "/navpage.do")
    cookie = answer.headers["set-cookie"]
    for word in ("JSESSIONID=", "HttpOnly", "SameSite=Lax", "Path=/"):
        assert word in cookie
    home = browser.get("/")
    assert "System Administrator" in home.text
    assert home.headers["x-is-logged-in"] == "true"
    for table in ("incident", "change_request", "problem", "em_event", "cmdb_ci"):
        assert f"/{table}_list.do" in links(home).values()
    for address in links(home).values():
        assert browser.get(address).status_code in (200, 302), address


@pytest.mark.parametrize(
    ("user", "password", "said"),
    [
        ("admin", "wrong", "User name or password is wrong"),
        ("nobody", "demo-nobody-password", "User name or password is wrong"),
        ("", "", "User name or password is wrong"),
        ("locked.out", "demo-locked.out-password", "the account cannot log in"),
        ("inactive.user", "demo-inactive.user-password", "the account cannot log in"),
        ("azure.bridge", "demo-azure.bridge-password", "for web services only"),
        ("mfa.user", "demo-mfa.user-password", "one-time code"),
    ],
)
def test_whoever_may_not_log_in_is_told_so_and_stays_outside(
    browser: httpx.Client, control: Control, user: str, password: str, said: str
) -> None:
    answer = submit(browser, user, password)
    assert answer.status_code == 403
    assert said in answer.text
    assert browser.get("/incident_list.do").status_code == 302
    if password:
        assert password not in str(control.get("/requests", limit=3))


def test_a_page_asked_for_without_log_in_is_shown_after_it(log_in: LogIn, browser: httpx.Client) -> None:
    wanted = "/incident_list.do?sysparm_query=active%3Dtrue%5Enumber%3DINC0000060&sysparm_first_row=1"
    form = browser.get(wanted)
    assert form.status_code == 302
    goto = httpx.URL(form.headers["location"]).params["sysparm_goto_url"]
    answer = submit(browser, "admin", "demo-admin-password", goto)
    assert (answer.status_code, answer.headers["location"]) == (302, wanted)


@pytest.mark.parametrize(
    "goto",
    [
        "https://evil.example/incident.do",
        "//evil.example/incident.do",
        "/\\evil.example/incident.do",
        "\\\\evil.example",
        "javascript:alert(1)",
        "/incident.do\r\nX-Evil: 1",
        "/incident.do?\nX-Evil: 1",
        "/../evil.do",
        "/logout.do",
        "/login.do?sysparm_goto_url=/login.do",
        '/x"><script>',
        "",
    ],
)
def test_log_in_leads_nowhere_but_to_the_instances_own_pages(browser: httpx.Client, goto: str) -> None:
    answer = submit(browser, "admin", "demo-admin-password", goto)
    assert (answer.status_code, answer.headers["location"]) == (302, "/navpage.do")
    assert "x-evil" not in answer.headers


def test_a_session_ends_with_log_out_with_time_and_with_the_account(
    log_in: LogIn, admin: httpx.Client, control: Control, simulator: Simulator
) -> None:
    browser = log_in("beth.anglin")
    before = browser.cookies["JSESSIONID"]
    control.clock(advance=29 * 60)
    assert browser.get("/incident_list.do").status_code == 200
    control.clock(advance=29 * 60)
    assert browser.get("/incident_list.do").status_code == 200
    control.clock(advance=31 * 60)
    assert browser.get("/incident_list.do").status_code == 302
    log_in("beth.anglin")
    assert browser.cookies["JSESSIONID"] != before
    update(admin, "/api/now/table/sys_user", BETH, active="false")
    assert browser.get("/incident_list.do").status_code == 302
    log_in("admin")
    kept = browser.cookies["JSESSIONID"]
    assert browser.get("/logout.do").headers["location"] == "/login.do"
    assert browser.get("/", headers={"Cookie": f"JSESSIONID={kept}"}).status_code == 302


def test_a_session_of_pages_opens_no_api_and_credentials_of_the_api_open_no_page(
    log_in: LogIn, admin: httpx.Client
) -> None:
    assert log_in().get(INCIDENTS).status_code == 401
    assert admin.get("/incident_list.do").status_code == 302


# Records


def test_a_tickets_link_shows_the_ticket(log_in: LogIn, bridge: httpx.Client) -> None:
    made = create(bridge, short_description="<b>Disk</b> & co", work_notes="cleaned", assigned_to=BETH)
    browser = log_in()
    page = browser.get(f"/nav_to.do?uri=incident.do%3Fsys_id%3D{made['sys_id']}")
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html;charset=UTF-8")
    for text in (made["number"], "&lt;b&gt;Disk&lt;/b&gt; &amp; co", "New", "cleaned", "(Work notes)"):
        assert text in page.text
    assert links(page)["Beth Anglin"] == f"/sys_user.do?sys_id={BETH}"
    for same in (
        f"/incident.do?sys_id={made['sys_id']}",
        f"/task.do?sys_id={made['sys_id']}",
        f"/incident.do?sysparm_query=number={made['number']}",
        f"/nav_to.do?uri=%2Fincident.do%3Fsys_id%3D{made['sys_id']}",
    ):
        assert browser.get(same).text == page.text, same


def test_what_people_write_is_shown_as_text_and_never_run(log_in: LogIn, bridge: httpx.Client) -> None:
    attack = """<script>alert(1)</script>"><img src=x onerror='alert(2)'>"""
    made = create(bridge, short_description=attack, description=attack, work_notes=attack, caller_id=attack)
    browser = log_in()
    record = browser.get(f"/incident.do?sys_id={made['sys_id']}")
    listed = browser.get(f"/incident_list.do?sysparm_query=number={made['number']}")
    queried = browser.get("/incident_list.do", params={"sysparm_query": f"short_description={attack}"})
    form = httpx.get(f"{browser.base_url}/login.do", params={"sysparm_goto_url": attack}, verify=NO_AUTHORITIES)
    item = create(bridge, "/api/now/table/cmdb_ci", name=attack)
    named = browser.get(f"/cmdb_ci.do?sys_id={item['sys_id']}")
    names = query(browser, "cmdb_ci", f"sys_id={item['sys_id']}")
    for page in (record, listed, queried, form, named, names):
        assert page.status_code == 200
        assert "<script" not in page.text
        assert "<img" not in page.text
        assert "default-src 'none'" in page.headers["content-security-policy"]
    assert attack in cells(listed)[0]
    assert attack in unescape(record.text)
    refused = submit(browser, attack, attack)
    assert "<script" not in refused.text


@pytest.mark.parametrize(
    "address",
    [
        f"/incident.do?sys_id={'0' * 32}",
        "/incident.do?sys_id=-1",
        "/incident.do",
        "/incident.do?sysparm_query=number=INC9999999",
        f"/x.do?sys_id={'0' * 32}",
        "/x_list.do",
        "/_list.do",
        "/nav_to.do",
        "/nav_to.do?uri=nav_to.do%3Furi%3Dincident_list.do",
        "/nav_to.do?uri=https%3A%2F%2Fevil.example%2Fincident.do",
        "/nav_to.do?uri=%2F%2Fevil.example",
    ],
)
def test_other_addresses_are_no_pages(log_in: LogIn, address: str) -> None:
    assert log_in().get(address).status_code == 404


def test_an_address_that_can_be_no_page_is_not_found_without_log_in_too(browser: httpx.Client) -> None:
    assert browser.get("/favicon.ico").status_code == 404
    assert browser.post("/incident.do", data={"short_description": "x"}).status_code == 404


# Lists


def query(browser: httpx.Client, table: str, encoded: str, **params: Any) -> httpx.Response:
    return browser.get(f"/{table}_list.do", params={"sysparm_query": encoded, **params})


def test_a_list_shows_display_values_of_what_the_query_finds(log_in: LogIn, bridge: httpx.Client) -> None:
    mine = [create(bridge, short_description=f"paged {n}", assigned_to=BETH, impact="1", urgency="1") for n in (1, 2)]
    page = query(log_in("itil"), "incident", "short_descriptionSTARTSWITHpaged^ORDERBYDESCnumber")
    assert [row[0] for row in cells(page)] == [mine[1]["number"], mine[0]["number"]]
    for shown in ("paged 2", "1 - Critical", "New", "Beth Anglin"):
        assert shown in cells(page)[0]
    assert links(page)[mine[0]["number"]] == f"/incident.do?sys_id={mine[0]['sys_id']}"
    plain = log_in("itil").get("/incident_list.do", params={"number": mine[0]["number"]})
    assert [row[0] for row in cells(plain)] == [mine[0]["number"]]


def test_a_long_list_has_pages_and_a_click_on_a_column_sorts_it(log_in: LogIn, bridge: httpx.Client) -> None:
    made = [create(bridge, short_description=f"row {n:02}")["number"] for n in range(45)]
    browser = log_in()
    page = query(browser, "incident", "short_descriptionSTARTSWITHrow ^ORDERBYnumber")
    seen = [row[0] for row in cells(page)]
    assert "1 to 20 of 45" in page.text
    while "Next page" in links(page):
        page = browser.get(links(page)["Next page"])
        seen += [row[0] for row in cells(page)]
    assert seen == made
    assert "41 to 45 of 45" in page.text
    back = browser.get(links(page)["Previous page"])
    assert [row[0] for row in cells(back)] == made[20:40]
    ascending = browser.get(links(page)["Short description"])
    descending = browser.get(links(ascending)["Short description ▲"])
    assert cells(descending)[0][2] == "row 44"
    second = browser.get(links(descending)["Next page"])
    assert cells(second)[0][2] == "row 24"


@pytest.mark.parametrize("first", ["0", "-5", "x", "²", "9" * 30, "1000"])
def test_a_row_that_is_none_is_an_empty_or_the_first_page(log_in: LogIn, first: str) -> None:
    assert query(log_in(), "incident", "", sysparm_first_row=first).status_code == 200


def test_every_table_has_a_list(log_in: LogIn, admin: httpx.Client) -> None:
    browser = log_in()
    tables = result(admin.get("/api/now/table/sys_db_object", params={"sysparm_fields": "name"}))
    assert len(tables) > 30
    for table in tables:
        assert browser.get(f"/{table['name']}_list.do").status_code == 200, table


def test_an_event_is_listed_and_leads_to_its_record(log_in: LogIn, bridge: httpx.Client) -> None:
    made = result(
        bridge.post("/api/now/table/em_event", json={"source": "Azure", "severity": "1", "description": "CPU high"}),
        201,
    )
    page = query(log_in(), "em_event", f"sys_id={made['sys_id']}")
    assert {"Azure", "Critical", "CPU high"} <= set(cells(page)[0])
    (address,) = re.findall(r'<td><a href="(/em_event\.do[^"]*)"', page.text)
    assert "CPU high" in log_in().get(address).text


# Access


def test_pages_show_what_the_api_would_show_to_that_user(
    log_in: LogIn, bridge: httpx.Client, control: Control, simulator: Simulator
) -> None:
    seen = create(bridge, short_description="door open", close_notes="secret")
    hidden = create(bridge, short_description="door closed", correlation_id="hidden")
    control.set(hidden_rows={"incident": "correlation_id=hidden"}, hidden_fields={"task": ["close_notes"]})
    browser = log_in("itil")
    listed = query(browser, "incident", "short_descriptionSTARTSWITHdoor")
    assert [row[0] for row in cells(listed)] == [seen["number"]]
    assert "hidden by access rules: 1." in listed.text
    assert browser.get(f"/incident.do?sys_id={hidden['sys_id']}").status_code == 404
    assert "secret" not in browser.get(f"/incident.do?sys_id={seen['sys_id']}").text
    control.set(query_field_refusal="forbid")
    refused = query(browser, "incident", "close_notes=secret")
    assert refused.status_code == 403
    assert "do not have permission to be read" in refused.text
    admin = log_in("admin")
    assert len(cells(query(admin, "incident", "short_descriptionSTARTSWITHdoor"))) == 2
    assert "secret" in admin.get(f"/incident.do?sys_id={seen['sys_id']}").text


def test_a_user_without_roles_sees_no_list_and_no_record(log_in: LogIn, bridge: httpx.Client) -> None:
    made = create(bridge)
    browser = log_in("no.roles")
    assert "do not allow you to read any list" in browser.get("/").text
    for table in ("incident", "change_request", "sys_user", "oauth_entity"):
        answer = browser.get(f"/{table}_list.do")
        assert answer.status_code == 403
        assert "Your roles do not allow you" in answer.text
    for address in (f"sys_id={made['sys_id']}", quote(f"sysparm_query=number={made['number']}", safe="=")):
        assert browser.get(f"/incident.do?{address}").status_code == 404


def test_no_page_shows_a_secret_of_the_instance(log_in: LogIn, simulator: Simulator) -> None:
    browser = log_in()
    for table in ("oauth_entity", "sys_user", "api_key"):
        page = browser.get(f"/{table}_list.do")
        addresses = re.findall(rf'<td><a href="(/{table}\.do[^"]*)"', page.text)
        assert addresses, table
        for address in addresses:
            text = page.text + browser.get(unescape(address)).text
            for secret in (simulator.client_secret, simulator.password, simulator.api_key):
                assert secret not in text


def test_changes_have_pages_too(log_in: LogIn, bridge: httpx.Client) -> None:
    made = create(bridge, CHANGES, short_description="patch")
    page = log_in("itil").get(f"/nav_to.do?uri=change_request.do%3Fsys_id%3D{made['sys_id']}")
    assert made["number"] in page.text


def test_a_hibernating_instance_shows_people_that_it_sleeps(control: Control, simulator: Simulator) -> None:
    control.order("hibernate", times=1)
    assert "hibernat" in get(f"{simulator.url}/incident_list.do").text.lower()


def test_pages_work_without_the_cookies_of_the_api_and_over_tls(simulator: Simulator, tls: Any) -> None:
    support.patch(f"{simulator.control_url}/settings", json={"cookies": False}).raise_for_status()
    with httpx.Client(base_url=simulator.https_url, verify=tls) as browser:
        answer = submit(browser, simulator.username, simulator.password)
        assert "; Secure" in answer.headers["set-cookie"]
        assert browser.get("/incident_list.do").status_code == 200
