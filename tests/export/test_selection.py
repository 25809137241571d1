"""Which tickets are exported, what of them, and what the instance has to do with it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from shared.core.export import ExportField as F
from shared.core.export import TicketRecord
from shared.core.link import DISPLAY
from shared.core.ticket_system import TicketKind
from shared.export.redaction import NameRedactor
from shared.platform.log import listen
from tests.export.world import World

pytestmark = pytest.mark.asyncio(loop_scope="module")

BETH = "46d44a23a9fe19810012d100cca80666"
GROUP = "287ebd7da9fe198100f92cc8d1d2154e"
VM = "/subscriptions/11111111-2222-3333-4444-555555555555/resourceGroups/RG-Shop/providers/Microsoft.Compute/vms/Web-01"


def titles(world: World) -> list[str]:
    return sorted(str(one.values[F.TITLE]) for one in world.store.tickets)


async def only(world: World, export: str = "", **fields: str) -> TicketRecord:
    """The row of one ticket with these columns."""
    world.configured(
        ", ".join(filter(None, ["kinds: [incident], query: 'short_descriptionSTARTSWITHDisk full'", export]))
    )
    await world.add_many(1, seconds=60, **fields)
    await world.export()
    (found,) = world.store.tickets
    return found


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("short_description=Export A^ORshort_description=Export B", ["Export A", "Export B"]),
        ("short_description=Export A^NQshort_description=Export C", ["Export A", "Export C"]),
        ("impact=1^short_description=Export A^NQimpact=1^short_description=Export B^ORshort_description=Export C^EQ",
         ["Export A", "Export B", "Export C"]),
        ("^short_descriptionSTARTSWITHExport^short_description!=Export B", ["Export A", "Export C", "Export ^D"]),
        ("short_description=Export ^^D^ORshort_description=Export C", ["Export C", "Export ^D"]),
    ],
)  # fmt: skip
@pytest.mark.parametrize("tickets", ["all", "ours"])
async def test_conditions_that_people_write_hold_on_every_page(
    world: World, query: str, wanted: list[str], tickets: str
) -> None:
    # given tickets of which some fit, each twice in the same second, those of the bridge and others
    ours = {"correlation_id": "alert:1:x", "correlation_display": DISPLAY} if tickets == "ours" else {}
    names = ("Export A", "Export B", "Export C", "Export ^D", "Other")
    for seconds in (7200, 60):
        for name in names:
            await world.add_many(1, seconds=seconds, short_description=name, impact="1", **ours)
    if tickets == "ours":
        await world.add_many(1, seconds=60, short_description=wanted[0], impact="1")
    # when they are exported page by page
    world.configured(f"kinds: [incident], tickets: {tickets}, query: '{query}'").exports.page = 1
    await world.export()
    # then those that fit are there, each once, and no other
    assert titles(world) == sorted([*wanted, *wanted])
    assert len(world.store.ids) == 2 * len(wanted)


async def test_a_condition_on_a_column_that_does_not_exist_exports_nothing_and_says_so(world: World) -> None:
    world.configured("kinds: [incident, problem], query: 'statee=1^ORu_region=west'")
    result = await world.export()
    assert (result.rows, world.store.tickets) == (0, [])
    assert "names statee, u_region, which incident does not have" in result.reason
    assert f"Correct connections.{world.name}.export.query" in result.reason


async def test_all_exports_tickets_of_people_and_ours_does_not(world: World) -> None:
    await world.add_many(2, seconds=60)
    mine = await world.add_many(1, seconds=60, correlation_id="alert:1:y", correlation_display=DISPLAY)
    world.configured("kinds: [incident], tickets: ours")
    await world.export()
    assert [one.id for one in world.store.tickets] == mine
    assert world.store.tickets[0].values[F.CORRELATION] == "alert:1:y"


async def test_names_are_shown_and_times_are_utc_wherever_the_user_lives(world: World) -> None:
    # given an integration user whose screens show times of New York in the American way
    user = world.desk.simulator.integration_username
    (row,) = await world.desk.rows("sys_user", f"user_name={user}")
    await world.desk.patch("sys_user", row["sys_id"], time_zone="US/Eastern", date_format="MM/dd/yyyy")
    opened = datetime(2026, 7, 1, 23, 30, tzinfo=UTC)
    # when a ticket is exported
    found = await only(
        world,
        "more: [opened_at, caller_id, caller_id.user_name]",
        opened_at="2026-07-01 23:30:00",
        opened_by=BETH,
        caller_id=BETH,
        assigned_to=BETH,
        assignment_group=GROUP,
        impact="2",
        urgency="1",
    )
    # then it shows what people see, and times in UTC
    group = (await world.desk.rows("sys_user_group", f"sys_id={GROUP}"))[0]["name"]
    assert found.values[F.CREATED] == opened
    assert (found.values[F.CREATED_BY], found.values[F.ASSIGNED_TO]) == ("Beth Anglin", "Beth Anglin")
    assert found.values[F.ASSIGNMENT_GROUP] == group
    assert (found.values[F.IMPACT], found.values[F.URGENCY], found.values[F.STATE]) == ("2 - Medium", "1 - High", "New")
    assert found.more["opened_at"] == "2026-07-01 23:30:00"
    assert (found.more["caller_id"], found.more["caller_id.user_name"]) == ("Beth Anglin", "beth.anglin")
    assert abs(found.changed_at - datetime.now(UTC) + timedelta(seconds=60)) < timedelta(seconds=10)
    assert found.url.startswith(f"{world.desk.simulator.url}/nav_to.do?uri=incident.do")


async def test_the_azure_resource_of_the_configuration_item_is_exported(world: World) -> None:
    item = await world.desk.add("cmdb_ci_vm_instance", name="web-01", object_id=VM)
    found = await only(world, cmdb_ci=item)
    assert (found.values[F.COMPUTER], found.values[F.AZURE_RESOURCE]) == ("web-01", VM.lower())


async def test_only_the_chosen_fields_are_asked_for(world: World) -> None:
    found = await only(world, "fields: [title, state]", description="secret", opened_by=BETH)
    assert set(found.values) == {F.TITLE, F.STATE}
    (asked,) = [one for one in (await world.desk.told("/requests?limit=1000"))["requests"]
                if one["path"] == "/api/now/table/incident" and "display_value=all" in str(one["query"])]  # fmt: skip
    assert "description," not in str(asked["query"]).replace("short_description", "")


async def test_a_column_that_the_instance_lacks_or_hides_stays_empty_and_is_said_once(world: World) -> None:
    said: list[tuple[str, object]] = []
    end = listen(lambda event, fields: said.append((event, fields.get("fields"))))
    await world.desk.set(hidden_fields={"incident": ["category"]})
    found = await only(world, "more: [u_region]", category="software")
    await world.add_many(1, seconds=10)
    await world.export()
    end()
    assert F.CATEGORY not in found.values
    assert "u_region" not in found.more
    assert [fields for event, fields in said if event == "export_columns_missing"] == [["category", "u_region"]]


async def test_names_of_people_are_hashed_or_dropped(world: World) -> None:
    export = "redact: {people: hash, closed_by: drop, caller_id: hash}, more: [caller_id]"
    people = {"opened_by": BETH, "assigned_to": BETH, "closed_by": BETH, "caller_id": BETH}
    found = await only(world, export, **people)
    hashed = str(found.values[F.CREATED_BY])
    assert len(hashed) == 16
    assert int(hashed, 16)
    assert (found.values[F.ASSIGNED_TO], found.more["caller_id"]) == (hashed, hashed)
    assert F.CLOSED_BY not in found.values
    assert "Beth" not in repr(found)
    # the same person has the same hash after a restart
    world.restarted()
    await world.add_many(1, seconds=5, opened_by=BETH)
    await world.export()
    assert world.store.tickets[-1].values[F.CREATED_BY] == hashed


async def test_a_name_has_one_hash_however_it_is_spelt_and_another_with_another_key() -> None:
    def hashed(name: str, key: bytes = b"k" * 32) -> object:
        record = TicketRecord(
            "desk", TicketKind.INCIDENT, "1", "INC1", "", "1", datetime.now(UTC), values={F.ASSIGNED_TO: name}
        )
        return NameRedactor({"assigned_to": "hash"}, key).redact(record).values[F.ASSIGNED_TO]

    assert hashed("Beth Anglin") == hashed(" BETH ANGLIN ")
    assert len({hashed("Beth Anglin"), hashed("Beth Anglia"), hashed("Beth Anglin", b"l" * 32)}) == 3


async def test_nothing_is_exported_where_the_instance_does_not_show_whose_tickets_it_lists(world: World) -> None:
    world.configured("kinds: [incident], tickets: ours")
    await world.add_many(3, seconds=60, correlation_id="alert:1:a", correlation_display=DISPLAY)
    await world.desk.set(hidden_fields={"incident": ["correlation_display"]})
    result = await world.export()
    assert (result.rows, result.finished) == (0, False)
    assert "not ours" in result.reason
    assert "Allow the integration user to read" in result.reason


async def test_a_ticket_that_was_deleted_has_a_row_that_says_so(world: World) -> None:
    await world.desk.set(journal_read_roles=["itil"])
    found = await only(world)
    await world.desk.remove("incident", found.id)
    result = await world.export(timedelta(hours=1))
    assert (result.rows, result.deleted) == (1, 1)
    gone = world.store.tickets[-1]
    assert (gone.id, gone.number, gone.deleted, gone.revision) == (found.id, found.number, True, "deleted")
    # asked again, it is the same row
    await world.export(timedelta(hours=1))
    assert len([one for one in world.store.ids if one[1] == found.id]) == 2


async def test_an_instance_that_does_not_tell_of_deletions_is_asked_once_a_day(world: World) -> None:
    said: list[str] = []
    end = listen(lambda event, _: said.append(event))
    await only(world)
    paths = "/api/now/table/sys_audit_delete"
    for _ in range(3):
        assert (await world.export(timedelta(hours=2))).reason == ""
    end()
    assert said.count("export_deletions_hidden") == 1
    assert await world.desk.requests_to(paths) == 1


async def test_a_table_that_may_not_be_read_does_not_stop_the_others(world: World) -> None:
    world.configured("kinds: [problem, incident], query: 'short_descriptionSTARTSWITHDisk full'")
    await world.add_many(1, seconds=60)
    await world.desk.order(type="acl_refuse", match={"method": "GET", "table": "problem"})
    result = await world.export()
    assert (result.rows, result.finished) == (1, False)
    assert "403" in result.reason
