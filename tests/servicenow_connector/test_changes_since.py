"""Reading what changed, where instances hide rows, drop conditions or tell no count."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from connectors.servicenow import ServiceNow
from connectors.servicenow.watermark import SETTLED
from shared.core.errors import NotAuthorised
from shared.core.ticket_system import Person, TicketKind
from tests.servicenow_connector.conftest import Stages
from tests.servicenow_connector.scripted import Instance, result
from tests.servicenow_connector.simulated import SimulatedServiceNow

pytestmark = pytest.mark.asyncio(loop_scope="module")

INCIDENT = TicketKind.INCIDENT


async def read(stage: SimulatedServiceNow, mark: str | None, limit: int = 1000) -> tuple[list[str], str]:
    """Ids of all that changed, and the watermark at the end."""
    found: list[str] = []
    for _ in range(100):
        page = await stage.system.changes_since(INCIDENT, mark, limit=limit)
        found += [row.ref.id for row in page.rows]
        mark = page.watermark
        if not page.more:
            return found, mark
    pytest.fail("it never ended")


# -- on the simulator ------------------------------------------------------------------------------------------------


async def test_tickets_of_others_are_not_given(stage: SimulatedServiceNow) -> None:
    made = await stage.burst(INCIDENT, 2)
    assert set((await read(stage, None))[0]) == made
    ref = (await stage.system.changes_since(INCIDENT, None, limit=10)).rows[0].ref
    await stage.write(ref, correlation_id="")
    assert set((await read(stage, None))[0]) == made - {ref.id}


async def test_who_works_on_it_is_told_with_name_and_address(stage: SimulatedServiceNow) -> None:
    await stage.burst(INCIDENT, 1)
    (row,) = (await stage.system.changes_since(INCIDENT, None, limit=10)).rows
    await stage.write(row.ref, assigned_to="46d44a23a9fe19810012d100cca80666", due_date="2027-01-02 03:04:05")
    (row,) = (await stage.system.changes_since(INCIDENT, None, limit=10)).rows
    assert row.assigned_to == Person(
        "46d44a23a9fe19810012d100cca80666", "beth.anglin", "Beth Anglin", "beth.anglin@contoso.example"
    )
    assert (row.updated_by, row.due_date) == ("admin", datetime(2027, 1, 2, 3, 4, 5, tzinfo=UTC))


async def test_how_often_it_was_reopened_is_counted(stage: SimulatedServiceNow) -> None:
    await stage.burst(INCIDENT, 1)
    (row,) = (await stage.system.changes_since(INCIDENT, None, limit=10)).rows
    for state in ("6", "2", "6", "2"):
        await stage.write(row.ref, state=state, close_code="Solution provided", close_notes="x")
    (row,) = (await stage.system.changes_since(INCIDENT, None, limit=10)).rows
    assert row.reopened == 2


async def test_states_have_the_names_of_the_connection(stages: Stages) -> None:
    async with stages(states={"incident": {"names": {1: "Neu"}}}) as stage:
        await stage.burst(INCIDENT, 1)
        (row,) = (await stage.system.changes_since(INCIDENT, None, limit=10)).rows
        assert (row.state, row.state_name) == ("1", "Neu")


@pytest.mark.parametrize("hidden", [slice(0, 12), slice(6, 18), slice(18, 24), slice(0, 23)])
async def test_rows_that_are_hidden_from_us_do_not_hide_those_behind_them(
    stage: SimulatedServiceNow, hidden: slice
) -> None:
    """The limit counts hidden rows too, so whole pages may come empty while more follow."""
    made = sorted(await stage.burst(INCIDENT, 24))
    await stage.set(hidden_rows={"incident": f"sys_idIN{','.join(made[hidden])}"})
    seen = set(made) - set(made[hidden])
    found, mark = await read(stage, None, limit=5)
    assert sorted(found) == sorted(seen)
    assert (await read(stage, mark, limit=5))[0] == []


async def test_what_became_old_is_not_read_again_and_again(stage: SimulatedServiceNow) -> None:
    """After a burst, the polls of a quiet day read nothing once the burst is settled."""
    await stage.burst(INCIDENT, 300, age=SETTLED + 60)
    _, mark = await read(stage, None)
    before = await stage.calls()
    assert (await read(stage, mark, limit=10))[0] == []
    assert await stage.calls() == before + 1


async def test_a_watermark_that_cannot_be_read_starts_over(
    stage: SimulatedServiceNow, caplog: pytest.LogCaptureFixture
) -> None:
    made = await stage.burst(INCIDENT, 3)
    for broken in ("x", "1.e30=.e30=", "2.e30=.", "1.bnVsbA==.AAAA"):
        assert set((await read(stage, broken))[0]) == made
    assert "cannot be used" in caplog.text


# -- on instances with habits of their own ----------------------------------------------------------------------------


def ours(**more: str) -> dict[str, str]:
    return {
        "sys_id": "0" * 32,
        "state": "2",
        "active": "true",
        "correlation_id": "alert:1:a",
        "correlation_display": "Azure ITSM Bridge",
        "sys_updated_on": "2026-03-01 11:00:00",
        "sys_mod_count": "1",
        **more,
    }


@pytest.mark.parametrize(
    "row",
    [
        ours(correlation_display="Somebody else"),
        ours(correlation_id=""),
        ours(sys_updated_on=""),
        {name: text for name, text in ours().items() if name != "correlation_display"},
    ],
)
@pytest.mark.asyncio(loop_scope="function")
async def test_an_instance_that_drops_a_condition_is_found_out(
    instance: Instance, connector: ServiceNow, row: dict[str, str]
) -> None:
    """Otherwise the whole table would be read, page by page."""
    instance.says(result([ours(), row]))
    with pytest.raises(NotAuthorised, match="not ours"):
        await connector.changes_since(INCIDENT, None, limit=2)


@pytest.mark.asyncio(loop_scope="function")
async def test_every_group_of_the_query_repeats_the_filter(instance: Instance, connector: ServiceNow) -> None:
    instance.says(result([ours(), ours(sys_id="a" * 32)], X_Total_Count="5"), result([]), result([]))
    page = await connector.changes_since(INCIDENT, None, limit=2)
    assert page.more
    page = await connector.changes_since(INCIDENT, page.watermark, limit=2)
    await connector.changes_since(INCIDENT, page.watermark, limit=2)
    first, second, third = (asked.query["sysparm_query"] for asked in instance.asked)
    order = "^ORDERBYsys_updated_on^ORDERBYsys_id"
    filters = "correlation_display=Azure ITSM Bridge^correlation_idISNOTEMPTY"
    at = "2026-03-01 11:00:00"
    assert first == f"{filters}{order}"
    assert second == f"sys_updated_on>{at}^{filters}^NQsys_updated_on={at}^sys_id>{'a' * 32}^{filters}{order}"
    assert third.startswith("sys_updated_on>=20")
    assert third.endswith(f"^{filters}{order}")
    assert "sysparm_no_count" not in instance.asked[0].query


@pytest.mark.asyncio(loop_scope="function")
async def test_without_a_count_a_full_page_means_that_more_may_follow(
    instance: Instance, connector: ServiceNow
) -> None:
    instance.says(result([ours(), ours(sys_id="a" * 32)]), result([ours(sys_id="b" * 32)]))
    page = await connector.changes_since(INCIDENT, None, limit=2)
    assert page.more
    assert not (await connector.changes_since(INCIDENT, page.watermark, limit=2)).more


@pytest.mark.asyncio(loop_scope="function")
async def test_ids_that_are_none_are_never_asked_for(instance: Instance, connector: ServiceNow) -> None:
    instance.says(result([{"sys_id": "a" * 32}, {"sys_id": "b" * 32}]))
    found = await connector.existing(INCIDENT, iter(["A" * 32, "INC0010001", "x^ORsys_idISNOTEMPTY"]))
    assert found == {"A" * 32}
    assert instance.asked[0].query["sysparm_query"] == f"sys_idIN{'a' * 32}"
    assert len(instance.asked) == 1
