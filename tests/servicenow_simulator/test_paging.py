"""Lists: limits, offsets, totals, links, versions without rows, order."""

from __future__ import annotations

import re

import httpx

from tests.servicenow_simulator.support import INCIDENTS, PROBLEMS, Control, create, error, numbers, result


def links(answer: httpx.Response) -> dict[str, str]:
    return {name: url for url, name in re.findall(r'<([^>]*)>;rel="(\w+)"', answer.headers.get("Link", ""))}


def test_f8_a_list_without_rows(bridge: httpx.Client) -> None:
    query = {"sysparm_query": "number=none"}
    assert result(bridge.get("/api/now/table/incident", params=query)) == []
    assert result(bridge.get("/api/now/v2/table/incident", params=query)) == []
    text = "Records matching query not found. Check query parameter or offset parameter"
    assert error(bridge.get("/api/now/v1/table/incident", params=query), 404) == ("No Record found", text)


def test_f9_following_next_reads_every_row_once(bridge: httpx.Client) -> None:
    seen: list[str] = []
    params = {"sysparm_limit": "7", "sysparm_query": "ORDERBYnumber", "sysparm_fields": "number"}
    answer = bridge.get(PROBLEMS, params=params)
    while True:
        assert answer.headers["X-Total-Count"] == "24"
        seen += [row["number"] for row in result(answer)]
        places = links(answer)
        assert {"first", "last"} <= places.keys()
        if "next" not in places:
            break
        answer = bridge.get(places["next"])
    assert seen == sorted(set(seen))
    assert len(seen) == 24
    assert "prev" in places
    assert [row["number"] for row in result(bridge.get(places["first"]))] == seen[:7]
    assert [row["number"] for row in result(bridge.get(places["last"]))] == seen[21:]


def test_f9_a_single_page_has_no_links(bridge: httpx.Client) -> None:
    answer = bridge.get(PROBLEMS)
    assert len(result(answer)) == 24
    assert "Link" not in answer.headers


def test_f9_links_can_be_suppressed(bridge: httpx.Client) -> None:
    answer = bridge.get(PROBLEMS, params={"sysparm_limit": "5", "sysparm_suppress_pagination_header": "true"})
    assert "Link" not in answer.headers
    assert answer.headers["X-Total-Count"] == "24"


def test_f9_offset_beyond_the_end_and_below_zero(bridge: httpx.Client) -> None:
    assert result(bridge.get(PROBLEMS, params={"sysparm_offset": "1000"})) == []
    refused = bridge.get(PROBLEMS, params={"sysparm_offset": "-1"})
    assert error(refused, 400) == ("offset is -1", "Negative offset is not supported")


def test_f9_the_total_counts_rows_the_user_cannot_see(bridge: httpx.Client, control: Control) -> None:
    control.set(hidden_rows={"problem": "numberSTARTSWITHPRB000001"})
    answer = bridge.get(PROBLEMS, params={"sysparm_limit": "20", "sysparm_query": "ORDERBYnumber"})
    assert answer.headers["X-Total-Count"] == "24"
    assert len(result(answer)) == 10
    assert "next" in links(answer)


def test_f27_the_count_can_be_skipped(bridge: httpx.Client, control: Control) -> None:
    params = {"sysparm_limit": "1", "sysparm_no_count": "true"}
    assert "X-Total-Count" not in bridge.get(PROBLEMS, params=params).headers
    control.set(no_count_header=True)
    assert bridge.get(PROBLEMS, params=params).headers["X-Total-Count"] == "24"


def test_f27_a_tiny_url_stands_for_a_long_query(bridge: httpx.Client) -> None:
    create(bridge, correlation_id="the-one")
    long_query = "^OR".join(["correlation_id=the-one", *(f"correlation_id=other-{index}" for index in range(300))])
    url = f"api/now/table/incident?sysparm_query={long_query}&sysparm_fields=correlation_id"
    page = result(bridge.post("/api/now/tinyurl", json={"url": url}), 201)
    assert page.startswith("incident_list.do?sysparm_tiny=")
    tiny = page.rpartition("=")[2]
    rows = result(bridge.get(INCIDENTS, params={"sysparm_tiny": tiny, "sysparm_limit": "5"}))
    assert rows == [{"correlation_id": "the-one"}]


def test_f27_a_view_chooses_columns_unless_fields_do(bridge: httpx.Client) -> None:
    mobile = result(bridge.get(INCIDENTS, params={"sysparm_limit": "1", "sysparm_view": "mobile"}))[0]
    assert len(mobile) < 10
    assert "number" in mobile
    desktop = result(bridge.get(INCIDENTS, params={"sysparm_limit": "1", "sysparm_view": "desktop"}))[0]
    assert len(desktop) > 50
    params = {"sysparm_limit": "1", "sysparm_view": "mobile", "sysparm_fields": "sys_id"}
    assert result(bridge.get(INCIDENTS, params=params))[0].keys() == {"sys_id"}


def test_order_by_number_text_reference_and_date(bridge: httpx.Client) -> None:
    for urgency, words in (("2", "beta"), ("1", "Alpha"), ("3", "gamma")):
        create(bridge, urgency=urgency, short_description=words, correlation_display="order")
    query = "correlation_display=order"
    ascending = numbers(bridge, "incident", f"{query}^ORDERBYshort_description")
    assert numbers(bridge, "incident", f"ORDERBYDESCshort_description^{query}") == ascending[::-1]
    assert ascending == ["INC0010002", "INC0010001", "INC0010003"]
    assert numbers(bridge, "incident", f"{query}^ORDERBYurgency") == ascending
    by_person = numbers(
        bridge, "incident", "assigned_toISNOTEMPTY^ORDERBYassigned_to^ORDERBYDESCnumber^numberLIKEINC000"
    )
    assert by_person == sorted(by_person, reverse=True)


def test_without_an_order_pages_can_differ_when_switched(bridge: httpx.Client, control: Control) -> None:
    control.clock(freeze=True)
    assert numbers(bridge, "problem", "") == numbers(bridge, "problem", "")
    control.set(stable_order=False)
    seen = set()
    for _ in range(5):
        control.clock(advance=1.003)
        seen.add(numbers(bridge, "problem", "")[0])
    assert len(seen) > 1
    assert len(set(numbers(bridge, "problem", ""))) == 24
