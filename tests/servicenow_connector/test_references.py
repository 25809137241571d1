"""Names in reference fields, and configuration items."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from connectors.servicenow import ServiceNow
from shared.core.errors import NotAuthorised, Throttled, Unavailable
from shared.core.ticket_system import Closure, Draft, LeftOut, Ticket, TicketKind, TicketRef
from tests.servicenow_connector.conftest import Connect
from tests.servicenow_connector.scripted import (
    HANG_UP,
    Asked,
    Echo,
    Instance,
    Say,
    not_authenticated,
    page,
    refusal,
    result,
)

ID = "0123456789abcdef0123456789abcdef"
GROUP = "a" * 32
CI = "c" * 32
KEY = "alert:1:a"
VM = (
    "/subscriptions/11111111-1111-1111-1111-111111111111/resourceGroups/rg-web"
    "/providers/Microsoft.Compute/virtualMachines/Web01"
)
SERVER = VM.replace("Microsoft.Compute/virtualMachines/Web01", "Microsoft.Sql/servers/sql-shop")
DATABASE = f"{SERVER}/databases/master"


class Directory:
    """Tables of names beside an echoing incident table."""

    def __init__(self, **tables: list[dict[str, str]] | Say) -> None:
        self.tables = tables
        self.echo = Echo()
        self.queries: list[tuple[str, dict[str, str]]] = []
        self.made: list[tuple[str, dict[str, str]]] = []
        self.answer_to_create: Say | None = None

    def __call__(self, asked: Asked) -> Say:
        table = asked.path.split("/")[4]
        if table == "incident":
            return self.echo(asked)
        if asked.method == "POST":
            self.made.append((table, asked.json))
            return self.answer_to_create or result({"sys_id": asked.json["sys_id"], "name": asked.json["name"]}, 201)
        self.queries.append((table, dict(asked.query)))
        rows = self.tables.get(table, [])
        return rows if isinstance(rows, Say) else result(rows)


async def create(connector: ServiceNow, n: int = 0, **fields: str) -> Ticket:
    return await connector.create(Draft(TicketKind.INCIDENT, f"{n:032x}", KEY, {"short_description": "x", **fields}))


def sent(instance: Instance) -> dict[str, Any]:
    posts = [asked.json for asked in instance.asked if asked.path == "/api/now/table/incident"]
    return dict(posts[-1])


async def test_a_group_name_becomes_its_id_with_one_look_up_that_is_remembered(
    instance: Instance, connector: ServiceNow
) -> None:
    directory = instance.handler = Directory(sys_user_group=[{"sys_id": GROUP, "name": "Network"}])
    for n in range(3):
        ticket = await create(connector, n, assignment_group="network")
        assert (sent(instance)["assignment_group"], ticket.dropped) == (GROUP, ())
    assert len(directory.queries) == 1
    table, query = directory.queries[0]
    assert table == "sys_user_group"
    assert query["sysparm_query"] == "name=network^active=true"
    assert query["sysparm_limit"] == "2"


async def test_an_id_passes_unchanged_and_an_empty_value_clears_the_field(
    instance: Instance, connector: ServiceNow
) -> None:
    instance.handler = Echo()
    await create(connector, assignment_group=GROUP, assigned_to="")
    assert (sent(instance)["assignment_group"], sent(instance)["assigned_to"]) == (GROUP, "")
    assert len(instance.asked) == 1


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [{"sys_id": GROUP, "name": "Network"}, {"sys_id": CI, "name": "Network"}],
        [{"sys_id": GROUP, "name": "Some other group, as when the condition was dropped"}],
        [{"sys_id": "no id", "name": "Network"}],
        [{"name": "Network"}],
    ],
)
async def test_a_name_without_a_single_match_costs_the_field_and_not_the_ticket(
    instance: Instance, connector: ServiceNow, rows: list[dict[str, str]], caplog: pytest.LogCaptureFixture
) -> None:
    directory = instance.handler = Directory(sys_user_group=rows)
    for n in range(2):
        ticket = await create(connector, n, assignment_group="Network")
        assert "assignment_group" not in sent(instance)
        assert ticket.dropped == ("assignment_group",)
        several = len(rows) > 1
        assert ticket.left_out == (LeftOut("assignment_group", "Network", "sys_user_group", several),)
    assert caplog.text == "", "each ticket would say it; delivery says it once for each rule"
    assert len(directory.queries) == 1  # not found is remembered too, for a while


async def test_a_person_is_found_by_user_name_then_e_mail_then_name(instance: Instance, connector: ServiceNow) -> None:
    by_name = {"sys_id": "1" * 32, "user_name": "x", "email": "x@contoso.example", "name": "Sam"}
    by_user = {"sys_id": "2" * 32, "user_name": "sam", "email": "sam@contoso.example", "name": "Samantha"}
    directory = instance.handler = Directory(sys_user=[by_name, by_user])
    await create(connector, caller_id="sam")
    assert sent(instance)["caller_id"] == "2" * 32
    assert directory.queries[0][1]["sysparm_query"] == "user_name=sam^ORemail=sam^ORname=sam^active=true"


async def test_a_page_full_of_people_is_no_single_match(instance: Instance, connector: ServiceNow) -> None:
    """Others may follow that fit as well; or the conditions were dropped and this is everybody."""
    people = [{"sys_id": f"{n:032x}", "user_name": f"x{n}", "email": "", "name": ""} for n in range(9)]
    sam = {"sys_id": "2" * 32, "user_name": "sam", "email": "", "name": ""}
    directory = instance.handler = Directory(sys_user=[*people, sam])
    ticket = await create(connector, caller_id="sam")
    assert ticket.dropped == ("caller_id",)
    assert [str(one) for one in ticket.left_out] == ["caller_id 'sam': several records fit in sys_user"]
    assert directory.queries[0][1]["sysparm_limit"] == "10"


async def test_one_look_up_serves_fields_that_refer_to_the_same_table(
    instance: Instance, connector: ServiceNow
) -> None:
    directory = instance.handler = Directory(sys_user=[{"sys_id": GROUP, "user_name": "sam", "email": "", "name": ""}])
    await create(connector, caller_id="sam", assigned_to="sam", opened_by="SAM")
    assert len(directory.queries) == 1
    assert sent(instance)["opened_by"] == GROUP


async def test_names_are_looked_up_once_however_many_tickets_want_them(
    instance: Instance, connector: ServiceNow
) -> None:
    directory = instance.handler = Directory(sys_user_group=[{"sys_id": GROUP, "name": "Network"}])
    await asyncio.gather(*(create(connector, n, assignment_group="Network") for n in range(10)))
    assert len(directory.queries) == 1
    assert len(instance.asked) == 11


@pytest.mark.parametrize("name", ["javascript:gs.getUserID()", " JavaScript:x", "two\nlines"])
async def test_a_value_that_would_be_run_as_a_script_is_never_searched_for(
    instance: Instance, connector: ServiceNow, name: str
) -> None:
    instance.handler = Echo()
    assert (await create(connector, assignment_group=name)).dropped == ("assignment_group",)
    assert len(instance.asked) == 1


async def test_a_caret_in_a_name_stays_part_of_the_name(instance: Instance, connector: ServiceNow) -> None:
    directory = instance.handler = Directory()
    await create(connector, assignment_group="a^NQactive=false")
    assert directory.queries[0][1]["sysparm_query"] == "name=a^^NQactive=false^active=true"


@pytest.mark.parametrize(
    "answer",
    [
        refusal(403, "Insufficient rights to query records"),
        refusal(400, "Invalid table sys_user_group"),
    ],
)
async def test_a_table_that_may_not_be_read_costs_the_field(
    instance: Instance, connector: ServiceNow, answer: Say, caplog: pytest.LogCaptureFixture
) -> None:
    instance.handler = Directory(sys_user_group=answer)
    assert (await create(connector, assignment_group="Network")).dropped == ("assignment_group",)
    assert "assignment_group cannot be looked up" in caplog.text


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (refusal(429, "Rate limit exceeded"), Throttled),
        (page("<html>busy</html>", 503), Unavailable),
        (HANG_UP, Unavailable),
        (not_authenticated(), NotAuthorised),
    ],
)
async def test_a_look_up_that_fails_for_now_makes_the_create_wait_with_nothing_written(
    instance: Instance, connector: ServiceNow, answer: Say, expected: type[Exception]
) -> None:
    directory = instance.handler = Directory(sys_user_group=answer)
    with pytest.raises(expected) as caught:
        await create(connector, assignment_group="Network")
    assert getattr(caught.value, "applied", None) is False
    assert directory.echo.records == {}
    directory.tables["sys_user_group"] = [{"sys_id": GROUP, "name": "Network"}]
    assert (await create(connector, assignment_group="Network")).dropped == ()


async def test_references_of_the_settings_add_to_the_known_ones_and_override_them(
    instance: Instance, connect: Connect
) -> None:
    directory = instance.handler = Directory(
        u_team=[{"sys_id": "1" * 32, "u_code": "T1"}], sys_user_group=[{"sys_id": GROUP, "u_alias": "net"}]
    )
    connector = connect(
        references={
            "u_team": {"table": "u_team", "by": ["u_code"]},
            "assignment_group": {"table": "sys_user_group", "by": ["u_alias"]},
        }
    )
    await create(connector, u_team="T1", assignment_group="net")
    assert (sent(instance)["u_team"], sent(instance)["assignment_group"]) == ("1" * 32, GROUP)
    assert directory.queries[0][1]["sysparm_query"] == "u_code=T1"


async def test_the_ttl_of_the_settings_is_obeyed(instance: Instance, connect: Connect) -> None:
    directory = instance.handler = Directory(sys_user_group=[{"sys_id": GROUP, "name": "Network"}])
    connector = connect(reference_ttl="0s")
    for n in range(3):
        await create(connector, n, assignment_group="Network")
    assert len(directory.queries) == 3


async def test_references_are_resolved_in_updates_and_closures_too(instance: Instance, connector: ServiceNow) -> None:
    instance.handler = Directory(sys_user=[{"sys_id": GROUP, "user_name": "sam", "email": "", "name": ""}])
    await create(connector)
    ref = TicketRef(TicketKind.INCIDENT, "0" * 32, KEY)
    assert (await connector.update(ref, {"assigned_to": "sam", "assignment_group": "nobody"})).dropped == (
        "assignment_group",
    )
    assert sent_patch(instance) == {"assigned_to": GROUP}
    await connector.resolve(ref, Closure({"resolved_by": "sam"}))
    assert sent_patch(instance)["resolved_by"] == GROUP


def sent_patch(instance: Instance) -> dict[str, str]:
    return dict([asked.json for asked in instance.asked if asked.method == "PATCH"][-1])


def item(sys_id: str = CI, **more: str) -> dict[str, str]:
    return {"sys_id": sys_id, "object_id": "", "fqdn": "", "name": "", "install_status": "1", **more}


async def test_a_configuration_item_is_found_by_its_resource_id(instance: Instance, connector: ServiceNow) -> None:
    rows = [item("1" * 32, name="web01"), item(object_id=VM.upper(), name="web01-old")]
    directory = instance.handler = Directory(cmdb_ci=rows)
    ticket = await create(connector, cmdb_ci=VM)
    assert (sent(instance)["cmdb_ci"], ticket.dropped) == (CI, ())
    assert len(directory.queries) == 1
    assert directory.queries[0][1]["sysparm_query"] == f"object_id={VM}^ORname=Web01"


@pytest.mark.parametrize(
    ("text", "rows", "expected"),
    [
        (VM, [item(name="WEB01")], CI),
        ("web01.contoso.example", [item(fqdn="Web01.Contoso.example"), item("1" * 32, name="web01")], CI),
        ("web01.contoso.example", [item(name="web01")], CI),
        ("web01", [item(name="web01")], CI),
        ("web01", [item(object_id="web01"), item("1" * 32, name="web01")], CI),
        # gone ones give way to those that are still there
        (VM, [item(object_id=VM), item("1" * 32, object_id=VM, install_status="7")], CI),
        (VM, [item(object_id=VM, install_status="7")], CI),
        # the same name, and known to be another resource
        (VM, [item(object_id=VM.replace("1111-1111", "2222-2222"), name="web01")], None),
        # equally good
        (VM, [item(object_id=VM), item("1" * 32, object_id=VM)], None),
        ("web01", [item(name="web01"), item("1" * 32, name="web01")], None),
        # pages full of rows that nobody asked for: the conditions were dropped
        ("web01", [item(f"{n:032x}", name="web01" if n == 3 else f"x{n}") for n in range(50)], None),
        (VM, [item(f"{n:032x}", object_id=VM if n == 3 else f"x{n}") for n in range(50)], None),
        ("web01", [], None),
        # nested: the last segment binds nothing, its own name and what it is nested in do
        (DATABASE, [item(name="master")], None),
        (DATABASE, [item(object_id=DATABASE), item("1" * 32, name="sql-shop")], CI),
        (DATABASE, [item(name="SQL-shop/master"), item("1" * 32, name="sql-shop")], CI),
        (DATABASE, [item(name="sql-shop"), item("1" * 32, name="master")], CI),
        (DATABASE, [item(object_id=SERVER, name="x"), item("1" * 32, name="sql-shop")], CI),
        (DATABASE, [item(object_id=SERVER.replace("1111-1111", "2222-2222"), name="sql-shop")], None),
        (DATABASE, [item(name="sql-shop"), item("1" * 32, name="sql-shop")], None),
        (f"{VM}/extensions/agent", [item(name="agent"), item("1" * 32, name="default")], None),
        (f"{VM}/providers/Microsoft.Security/x/default", [item(object_id=VM), item("1" * 32, name="default")], CI),
    ],
)
async def test_the_best_match_wins_and_a_tie_wins_nothing(
    instance: Instance, connector: ServiceNow, text: str, rows: list[dict[str, str]], expected: str | None
) -> None:
    instance.handler = Directory(cmdb_ci=rows)
    ticket = await create(connector, cmdb_ci=text)
    assert sent(instance).get("cmdb_ci") == expected
    assert ticket.dropped == (() if expected else ("cmdb_ci",))


async def test_a_common_name_does_not_hide_the_right_item(instance: Instance, connector: ServiceNow) -> None:
    machine = VM.replace("Web01", "master")
    crowd = [item(f"{n:032x}", name="master") for n in range(50)]
    directory = Directory()

    def answer(asked: Asked) -> Say:
        alone = asked.query.get("sysparm_query") == f"object_id={machine}"
        directory.tables["cmdb_ci"] = [item(object_id=machine, name="master")] if alone else crowd
        return directory(asked)

    instance.handler = answer
    await create(connector, cmdb_ci=machine)
    assert sent(instance)["cmdb_ci"] == CI
    assert len(directory.queries) == 2


async def test_what_is_compared_and_in_which_order_is_set(instance: Instance, connect: Connect) -> None:
    rows = [item("1" * 32, u_azure_id=VM), item(name="web01")]
    directory = instance.handler = Directory(cmdb_ci=rows)
    connector = connect(ci={"match": ["name", "resource_id"], "resource_id_attribute": "u_azure_id"})
    await create(connector, cmdb_ci=VM)
    assert directory.queries[0][1]["sysparm_query"] == f"name=Web01^ORu_azure_id={VM}"
    assert sent(instance)["cmdb_ci"] == CI
    await create(connect(ci={"match": ["fqdn"]}), 1, cmdb_ci=VM)
    assert len(directory.queries) == 1  # a resource id is no host name: nothing to ask


async def test_cmdb_ci_can_be_an_ordinary_reference(instance: Instance, connect: Connect) -> None:
    directory = instance.handler = Directory(cmdb_ci_server=[{"sys_id": CI, "asset_tag": "A1"}])
    connector = connect(references={"cmdb_ci": {"table": "cmdb_ci_server", "by": ["asset_tag"]}})
    await create(connector, cmdb_ci="A1")
    assert directory.queries[0][0] == "cmdb_ci_server"
    assert sent(instance)["cmdb_ci"] == CI


async def test_missing_items_are_created_only_when_asked_for_and_only_for_azure_resources(
    instance: Instance, connect: Connect
) -> None:
    directory = instance.handler = Directory()
    await create(connect(), cmdb_ci=VM)
    connector = connect(ci={"create_missing": True, "class": "cmdb_ci_vm_instance"})
    await create(connector, 1, cmdb_ci="web01")
    assert directory.made == []
    await create(connector, 2, cmdb_ci=VM)
    table, made = directory.made[0]
    assert table == "cmdb_ci_vm_instance"
    assert (made["name"], made["object_id"], made["discovery_source"]) == ("Web01", VM, "Azure ITSM Bridge")
    assert sent(instance)["cmdb_ci"] == made["sys_id"]


async def test_an_item_is_created_for_a_nested_resource_rather_than_taken_from_its_parent(
    instance: Instance, connect: Connect
) -> None:
    directory = instance.handler = Directory(cmdb_ci=[item(name="sql-shop"), item("1" * 32, name="master")])
    await create(connect(ci={"create_missing": True}), cmdb_ci=DATABASE)
    ((_, made),) = directory.made
    assert (made["name"], made["object_id"]) == ("sql-shop/master", DATABASE)


async def test_creating_an_item_twice_makes_one(instance: Instance, connect: Connect) -> None:
    """Its id follows from the resource id, however that is spelt; the second create meets the first row."""
    directory = instance.handler = Directory()
    await create(connect(ci={"create_missing": True}), cmdb_ci=VM)
    directory.answer_to_create = refusal(403, "Operation Failed", "Error during insert of cmdb_ci (Web01)")
    await create(connect(ci={"create_missing": True}), 1, cmdb_ci=VM.lower() + "/")
    first, second = (made["sys_id"] for _, made in directory.made)
    assert first == second == sent(instance)["cmdb_ci"]


@pytest.mark.parametrize(
    "answer",
    [
        page("<html>oops</html>", 500),
        refusal(403, "Operation Failed", "ACL Exception Insert Failed due to security constraints"),
        result({"name": "Web01"}, 201),
    ],
)
async def test_an_item_that_cannot_be_created_does_not_cost_the_ticket(
    instance: Instance, connect: Connect, answer: Say, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    directory = instance.handler = Directory()
    directory.answer_to_create = answer
    ticket = await create(connect(ci={"create_missing": True}), cmdb_ci=VM)
    assert ticket.dropped == ("cmdb_ci",)
    assert len(directory.made) == 1
    assert "item" in caplog.text or "cmdb_ci" in caplog.text


async def test_nothing_is_created_while_the_instance_throttles(instance: Instance, connect: Connect) -> None:
    directory = instance.handler = Directory()
    directory.answer_to_create = refusal(429, "Rate limit exceeded", Retry_After="30")
    with pytest.raises(Throttled):
        await create(connect(ci={"create_missing": True}), cmdb_ci=VM)
    assert directory.echo.records == {}
