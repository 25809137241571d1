"""Queries over everything, in pages, within the quota."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from connectors.microsoft.resource_graph import ResourceGraph, ResourceGraphPage
from shared.core.errors import SourceRefused, SourceUnavailable
from tests.defender_connector.conftest import Cloud

ALL = "securityresources | where type == 'microsoft.security/assessments' | project id, name | order by id asc"


async def walk(graph: ResourceGraph, query: str = ALL, **scope: Any) -> list[ResourceGraphPage]:
    return [page async for page in graph.pages(query, **scope)]


async def test_pages_hold_every_row_once_in_order(cloud: Cloud) -> None:
    pages = await walk(cloud.graph, top=5)
    ids = [row["id"] for page in pages for row in page.rows]
    assert [len(page.rows) for page in pages] == [5, 5, 2]
    assert [page.last for page in pages] == [False, False, True]
    assert {page.total for page in pages} == {12}
    assert ids == sorted(set(ids))
    assert cloud.graph.calls == 3


async def test_a_used_up_quota_is_waited_for_before_the_next_call(cloud: Cloud) -> None:
    await cloud.told("POST", "/clock", freeze=True)
    await cloud.told("PATCH", "/settings", graph_queries_per_window=2, graph_window_s=5)
    pages = cloud.graph.pages(ALL, top=5)
    await anext(pages)
    await anext(pages)
    assert cloud.waits == []
    await cloud.told("POST", "/clock", advance=5)
    assert (await anext(pages)).last
    assert cloud.waits == [5.0]
    await pages.aclose()


async def test_a_429_is_repeated_after_the_time_it_names(cloud: Cloud) -> None:
    await cloud.told("POST", "/scenarios", type="throttle", match={"path": "ResourceGraph"}, retry_after=7, times=1)
    assert len(await walk(cloud.graph)) == 1
    assert cloud.waits == [7.0]


async def test_a_429_that_lasts_is_left_to_the_next_run(cloud: Cloud) -> None:
    await cloud.told("POST", "/scenarios", type="throttle", match={"path": "ResourceGraph"}, retry_after=300)
    with pytest.raises(SourceUnavailable, match="429") as throttled:
        await walk(cloud.graph)
    assert (throttled.value.retry_after, cloud.waits) == (300, [])


async def test_a_wrong_query_is_refused_with_place_and_token(cloud: Cloud) -> None:
    with pytest.raises(SourceRefused, match=r"at line 1, character \d+ \('frobnicate'\)"):
        await walk(cloud.graph, "securityresources | frobnicate id")
    with pytest.raises(SourceRefused, match="Table nosuchtable is invalid"):
        await walk(cloud.graph, "nosuchtable | project id")


async def test_a_result_that_is_cut_off_for_want_of_an_id_is_noticed(cloud: Cloud) -> None:
    with pytest.raises(SourceRefused, match="column 'id'"):
        await walk(cloud.graph, "securityresources | project name | order by name asc", top=5)


async def test_subscriptions_and_management_groups_narrow_a_query(cloud: Cloud) -> None:
    production, development = cloud.clouds.subscriptions
    (one,) = await walk(cloud.graph, subscriptions=[development])
    (all_,) = await walk(cloud.graph, subscriptions=[production, development])
    (group,) = await walk(cloud.graph, management_groups=["contoso-production"])
    assert (len(one.rows), len(all_.rows), len(group.rows)) == (1, 12, 11)
    assert await walk(cloud.graph, subscriptions=[]) == []


async def test_more_subscriptions_than_a_request_takes_go_in_batches(cloud: Cloud) -> None:
    sent = []

    def answer(request: httpx.Request) -> httpx.Response:
        body = json.loads(request.content)
        sent.append(body["subscriptions"])
        again = "$skipToken" not in body["options"] and len(sent) == 1
        more = {"$skipToken": "next"} if again else {}
        return httpx.Response(200, json={"data": [{"id": str(len(sent))}], "totalRecords": 2, **more})

    graph = ResourceGraph(cloud.manager({}, httpx.MockTransport(answer)))
    ids = [f"00000000-0000-0000-0000-{number:012}" for number in range(2_300)]
    pages = await walk(graph, subscriptions=ids)
    assert [len(one) for one in sent] == [1_000, 1_000, 1_000, 300]
    assert [one for batch in (sent[0], *sent[2:]) for one in batch] == ids
    assert [page.last for page in pages] == [False, False, False, True]


async def test_subscriptions_that_the_service_leaves_out_are_reported(cloud: Cloud) -> None:
    assert not (await walk(cloud.graph))[0].limited
    await cloud.told("PATCH", "/settings", graph_subscription_limit_hit=True)
    assert (await walk(cloud.graph))[0].limited


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        ({"data": [], "$skipToken": "same"}, SourceUnavailable, "circles"),
        ({"value": []}, SourceRefused, "no 'data'"),
    ],
)
async def test_answers_that_are_none(cloud: Cloud, answer: dict[str, Any], error: type[Exception], words: str) -> None:
    graph = ResourceGraph(cloud.manager({}, httpx.MockTransport(lambda _: httpx.Response(200, json=answer))))
    with pytest.raises(error, match=words):
        await walk(graph)
