"""Who can be given work, as the ticket system knows it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from hashlib import sha256
from typing import Any

import pytest
import pytest_asyncio

from connectors.servicenow.people import most_similar
from local import servicenow
from shared.core.errors import NotAuthorised, Unavailable
from shared.core.ticket_system import Closure, Draft, KnowsPeople, Note, Person, TicketKind, TicketRef
from tests.conformance.stage import Fault
from tests.servicenow_connector.simulated import SimulatedServiceNow, connected

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def desk() -> AsyncIterator[SimulatedServiceNow]:
    async with servicenow.running() as simulator, connected(simulator) as stage:
        yield stage


@pytest_asyncio.fixture(loop_scope="module", autouse=True)
async def fresh(desk: SimulatedServiceNow) -> None:
    await desk.reset()


async def add(desk: SimulatedServiceNow, table: str, **row: str) -> str:
    answer = await desk._control.post("/rows", json={"table": table, "rows": [row]})
    return str(answer.raise_for_status().json()["sys_ids"][0])


async def ticket(desk: SimulatedServiceNow, key: str = "recommendation:1:a", **fields: str) -> TicketRef:
    draft = Draft(TicketKind.INCIDENT, sha256(key.encode()).hexdigest()[:32], key, {"short_description": "x", **fields})
    return (await desk.system.create(draft)).ref


def names(people: Any) -> list[str]:
    return [person.user_name for person in people]


async def test_the_connector_knows_people(desk: SimulatedServiceNow) -> None:
    assert isinstance(desk.system, KnowsPeople)


@pytest.mark.parametrize(
    "text", ["ada.winterfeld", "Ada.Winterfeld@Contoso.Example", "ada winterfeld", " Ada Winterfeld "]
)
async def test_a_person_is_found_by_what_people_call_them_in_one_call(desk: SimulatedServiceNow, text: str) -> None:
    before = await desk.calls()
    found = await desk.system.find_person(text)
    assert found is not None
    assert (found.user_name, found.email, found.name) == (
        "ada.winterfeld",
        "ada.winterfeld@contoso.example",
        "Ada Winterfeld",
    )
    assert await desk.calls() == before + 1
    assert await desk.system.find_person(found.id) == found


@pytest.mark.parametrize("text", ["ada.winterfel", "inactive.user", "", "  ", "javascript:gs.getUserID()", "a\nb", "%"])
async def test_who_is_not_there_is_not_found(desk: SimulatedServiceNow, text: str) -> None:
    assert await desk.system.find_person(text) is None


async def test_a_name_that_two_people_have_is_nobodys(desk: SimulatedServiceNow) -> None:
    await add(
        desk, "sys_user", user_name="ada.w2", name="Ada Winterfeld", email="ada.w2@contoso.example", active="true"
    )
    assert await desk.system.find_person("Ada Winterfeld") is None
    assert set(names(await desk.system.suggest_people("Ada Winterfeld"))[:2]) == {"ada.winterfeld", "ada.w2"}


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("ada.winterfelt@contoso.com", "ada.winterfeld"),
        ("winterfeld", "ada.winterfeld"),
        ("Winterfeld, Ada", "ada.winterfeld"),
        ("beth.angln", "beth.anglin"),
        ("bethanglin", "beth.anglin"),
        ("Dmitry Alto", "dmitri.aalto"),
    ],
)
async def test_who_was_meant_is_suggested_within_two_calls(desk: SimulatedServiceNow, text: str, meant: str) -> None:
    before = await desk.calls()
    assert names(await desk.system.suggest_people(text, 3))[0] == meant
    assert await desk.calls() <= before + 2


async def test_nobody_is_suggested_for_what_is_like_nobody_or_has_left(desk: SimulatedServiceNow) -> None:
    assert await desk.system.suggest_people("zzzz.qqqq") == []
    assert await desk.system.suggest_people("^ORsys_idISNOTEMPTY^NQ") == []
    assert "inactive.user" not in names(await desk.system.suggest_people("ian inactive"))
    before = await desk.calls()
    assert await desk.system.suggest_people("@ . -") == []
    assert await desk.calls() == before


async def test_a_name_of_a_megabyte_is_compared_by_its_beginning() -> None:
    people = [Person(str(n), f"user{n}", f"User {n}", "") for n in range(100)]
    assert len(most_similar("user1" + "x" * 1_000_000, people, 5)) <= 5


async def test_groups_are_found_by_name(desk: SimulatedServiceNow) -> None:
    assert await desk.system.find_group("cloud operations") == "Cloud Operations"
    assert await desk.system.find_group("Cloud Operation") is None
    await add(desk, "sys_user_group", name="Old Desk", active="false")
    assert await desk.system.find_group("Old Desk") is None


async def test_a_manager_is_found_and_one_who_left_is_not(desk: SimulatedServiceNow) -> None:
    assert await desk.system.manager_of("david.loo") is None
    beth = await desk.system.find_person("beth.anglin")
    assert beth is not None
    managed = await add(desk, "sys_user", user_name="new.one", name="New One", active="true", manager=beth.id)
    assert await desk.system.manager_of("new.one") == beth
    gone = await desk.rows("sys_user", "user_name=inactive.user")
    await desk._admin.patch(f"/api/now/table/sys_user/{managed}", json={"manager": gone[0]["sys_id"]})
    assert await desk.system.manager_of("new.one") is None
    assert await desk.system.manager_of("nobody.at.all") is None


async def test_a_watcher_is_added_once_and_the_others_stay(desk: SimulatedServiceNow) -> None:
    ada, beth = [await desk.system.find_person(name) for name in ("ada.winterfeld", "beth.anglin")]
    assert ada is not None
    assert beth is not None
    ref = await ticket(desk, watch_list=ada.id)
    assert await desk.system.watch(ref, beth)
    assert not await desk.system.watch(ref, beth)
    assert await desk.field(ref, "watch_list") == f"{ada.id},{beth.id}"


async def test_nobody_is_put_on_the_list_of_a_closed_ticket(desk: SimulatedServiceNow) -> None:
    beth = await desk.system.find_person("beth.anglin")
    assert beth is not None
    ref = await ticket(desk, "recommendation:1:closed")
    await desk.system.resolve(ref, Closure())
    await desk.close(ref)
    assert not await desk.system.watch(ref, beth)
    assert await desk.field(ref, "watch_list") == ""


async def test_a_field_that_the_table_lacks_is_named_and_columns_are_asked_for_once(
    desk: SimulatedServiceNow,
) -> None:
    async with connected(desk.simulator) as fresh:
        wanted = ["caller_id", "short_description", "u_no_such", "assigned_to", "bad^name", "u_no_such"]
        assert list(await fresh.system.lacks(TicketKind.INCIDENT, wanted)) == ["u_no_such", "bad^name"]
        assert list(await fresh.system.lacks(TicketKind.CHANGE_REQUEST, ["caller_id", "risk"])) == ["caller_id"]
        assert list(await fresh.system.lacks(TicketKind.EVENT, ["anything"])) == []
        before = await desk.calls()
        assert list(await fresh.system.lacks(TicketKind.INCIDENT, wanted)) == ["u_no_such", "bad^name"]
        assert await desk.calls() == before


async def test_a_locked_dictionary_is_made_up_for_by_a_record(desk: SimulatedServiceNow) -> None:
    await ticket(desk, "recommendation:1:row")
    async with connected(desk.simulator) as fresh:
        await desk.order(type="acl_refuse", match={"path": "sys_dictionary|sys_db_object"})
        assert list(await fresh.system.lacks(TicketKind.INCIDENT, ["caller_id", "u_no_such"])) == ["u_no_such"]


async def test_what_the_requester_is_told_is_written_with_the_note_in_one_call(desk: SimulatedServiceNow) -> None:
    ref = await ticket(desk, "recommendation:1:told")
    before = await desk.calls()
    await desk.system.comment(
        ref, Note("Reminded. [bridge:0123]", "[bridge:0123]", comment="It is [code]overdue[/code].")
    )
    assert await desk.calls() == before + 1
    journal = await desk.rows("sys_journal_field", f"element_id={ref.id}^element=comments")
    assert [row["value"] for row in journal] == ["It is (code)overdue(/code)."]
    found = await desk.system.find(TicketKind.INCIDENT, ref.id, ref.correlation, "[bridge:0123]")
    assert found is not None
    assert found.noted


async def test_an_instance_that_is_away_or_locked_says_so(desk: SimulatedServiceNow) -> None:
    await desk.strike(Fault.ASLEEP)
    with pytest.raises(Unavailable):
        await desk.system.find_person("ada.winterfeld")
    await desk.heal()
    await desk.strike(Fault.NOT_AUTHORISED)
    with pytest.raises(NotAuthorised):
        await desk.system.suggest_people("ada")
    await desk.heal()


async def group_of(desk: SimulatedServiceNow, ref: TicketRef) -> str:
    (row,) = await desk.rows("incident", f"sys_id={ref.id}", sysparm_exclude_reference_link="true")
    return row["assignment_group"]


async def test_work_that_a_group_is_to_do_goes_to_the_group(desk: SimulatedServiceNow) -> None:
    (group,) = await desk.rows("sys_user_group", "name=Cloud Operations")
    draft = Draft(TicketKind.INCIDENT, "c" * 32, "recommendation:1:group", {"assigned_to": "cloud operations"})
    ticket = await desk.system.create(draft)
    assert ticket.dropped == ()
    assert await group_of(desk, ticket.ref) == group["sys_id"]


async def test_from_a_person_to_a_group(desk: SimulatedServiceNow) -> None:
    (group,) = await desk.rows("sys_user_group", "name=Cloud Operations")
    ref = await ticket(desk, "recommendation:1:person", assigned_to="ada.winterfeld")
    changed = await desk.system.update(ref, {"assigned_to": "Cloud Operations"})
    assert changed.dropped == ()
    assert await desk.field(ref, "assigned_to") == ""
    assert await group_of(desk, ref) == group["sys_id"]


async def test_who_is_neither_person_nor_group_is_reported_and_costs_no_ticket(desk: SimulatedServiceNow) -> None:
    fields = {"assigned_to": "nobody.at.all", "assignment_group": "Network"}
    created = await desk.system.create(Draft(TicketKind.INCIDENT, "d" * 32, "recommendation:1:nobody", fields))
    assert created.dropped == ("assigned_to",)
    assert await group_of(desk, created.ref) == "287ebd7da9fe198100f92cc8d1d2154e"
