"""Pages for people: a ticket's link leads to the ticket."""

from __future__ import annotations

import httpx

from tests.servicenow_simulator.support import INCIDENTS, get, result


def test_a_tickets_link_shows_the_ticket_without_signing_in(bridge: httpx.Client) -> None:
    made = result(bridge.post(INCIDENTS, json={"short_description": "<b>Disk</b> & co", "work_notes": "cleaned"}), 201)
    page = get(f"{bridge.base_url}/nav_to.do", params={"uri": f"incident.do?sys_id={made['sys_id']}"})
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html;charset=UTF-8")
    for text in (made["number"], "&lt;b&gt;Disk&lt;/b&gt; &amp; co", "New", "cleaned", "(Work notes)"):
        assert text in page.text
    assert get(f"{bridge.base_url}/incident.do", params={"sys_id": made["sys_id"]}).status_code == 200


def test_other_addresses_are_no_pages(bridge: httpx.Client) -> None:
    for address in (
        "nav_to.do",
        "nav_to.do?uri=incident.do",
        f"incident.do?sys_id={'0' * 32}",
        f"x.do?sys_id={'0' * 32}",
    ):
        assert get(f"{bridge.base_url}/{address}").status_code == 404
