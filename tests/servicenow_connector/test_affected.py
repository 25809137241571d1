"""Affected configuration items: every further resource of a ticket, each once."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest

from connectors.servicenow import ServiceNow
from connectors.servicenow.affected import TABLE
from local.servicenow.demo.cmdb import SUBSCRIPTION, item_id
from shared.core.errors import MustWait, NotAuthorised, OutcomeUnknown, Refused, Unavailable
from shared.core.rate_gate import CallReport, UnlimitedGate
from shared.core.secrets import SettingSecrets
from shared.core.ticket_system import AffectedItems, CheckStatus, Draft, LeftOut, Needs, TicketKind, TicketRef
from tests.conformance.stage import Fault
from tests.servicenow_connector.conftest import Stages
from tests.servicenow_connector.simulated import SimulatedServiceNow, secrets_of, settings_for

pytestmark = pytest.mark.asyncio(loop_scope="module")

GROUP = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg-contoso-prod/providers"
NAMES = ("vm-web-01", "vm-web-02", "vm-app-01", "vm-app-02", "vm-sql-01")
WEB, *OTHERS = [f"{GROUP}/Microsoft.Compute/virtualMachines/{name}" for name in NAMES]
DATABASE = f"{GROUP}/Microsoft.Sql/servers/sql-contoso/databases/sqldb-orders"
UNKNOWN = f"{GROUP}/Microsoft.Compute/virtualMachines/nobody-knows-it"


async def ticket(stage: SimulatedServiceNow, kind: TicketKind = TicketKind.INCIDENT) -> TicketRef:
    """A ticket whose own item is the first machine."""
    draft = Draft(kind, "0123456789abcdef" * 2, "alert:1:a", {"short_description": "Disk full", "cmdb_ci": WEB})
    made = await stage.system.create(draft)
    assert made.dropped == ()
    return made.ref


async def listed(stage: SimulatedServiceNow, ref: TicketRef) -> list[str]:
    return sorted(
        row["ci_item"] for row in await stage.rows(TABLE, f"task={ref.id}", sysparm_exclude_reference_link="true")
    )


def ids(*names: str) -> list[str]:
    return sorted(map(item_id, names))


@pytest.mark.parametrize("kind", [TicketKind.INCIDENT, TicketKind.PROBLEM, TicketKind.CHANGE_REQUEST])
async def test_further_resources_are_listed_and_the_tickets_own_item_is_not(
    stage: SimulatedServiceNow, kind: TicketKind
) -> None:
    ref = await ticket(stage, kind)
    found = await stage.system.add_affected_items(ref, WEB, [WEB, OTHERS[0], DATABASE, UNKNOWN])
    assert found == AffectedItems(added=2, unknown=1)
    assert await listed(stage, ref) == ids("vm-web-02", "sqldb-orders")


async def test_a_repetition_adds_nothing_and_costs_one_call(stage: SimulatedServiceNow) -> None:
    ref = await ticket(stage)
    await stage.system.add_affected_items(ref, WEB, [WEB, *OTHERS])
    before = await stage.calls()
    found = await stage.system.add_affected_items(ref, WEB, [WEB, *OTHERS])
    assert (found.added, found.present, await stage.calls() - before) == (0, 4, 1)
    assert await listed(stage, ref) == ids(*NAMES[1:])


async def test_what_joins_later_is_added_to_what_is_there(stage: SimulatedServiceNow) -> None:
    ref = await ticket(stage)
    await stage.system.add_affected_items(ref, WEB, [WEB, OTHERS[0]])
    found = await stage.system.add_affected_items(ref, WEB, [WEB, *OTHERS])
    assert (found.added, found.present) == (3, 1)
    assert await listed(stage, ref) == ids(*NAMES[1:])


async def test_what_people_listed_is_not_listed_again(stage: SimulatedServiceNow) -> None:
    ref = await ticket(stage)
    await stage.add(TABLE, task=ref.id, ci_item=item_id("vm-web-02"))
    await stage.system.add_affected_items(ref, WEB, OTHERS[:2])
    assert await listed(stage, ref) == ids("vm-web-02", "vm-app-01")


async def test_two_workers_at_once_list_each_item_once(stages: Stages) -> None:
    async with stages() as one, stages() as other:
        ref = await ticket(one)
        found = await asyncio.gather(
            *(stage.system.add_affected_items(ref, WEB, OTHERS) for stage in (one, other, one, other))
        )
        assert sum(one.added for one in found) == 4
        assert await listed(one, ref) == ids(*NAMES[1:])


async def test_a_lost_answer_is_repeated_without_a_second_row(stage: SimulatedServiceNow) -> None:
    ref = await ticket(stage)
    await stage.strike(Fault.LOST_ANSWER)
    with pytest.raises(OutcomeUnknown):
        await stage.system.add_affected_items(ref, WEB, OTHERS)
    await stage.heal()
    assert (await stage.system.add_affected_items(ref, WEB, OTHERS)).present == 4
    assert await listed(stage, ref) == ids(*NAMES[1:])


async def test_looking_up_and_listing_many_takes_few_calls(stage: SimulatedServiceNow) -> None:
    ref = await ticket(stage)
    before = await stage.calls()
    await stage.system.add_affected_items(ref, WEB, [WEB, *OTHERS, *(f"{UNKNOWN}-{n}" for n in range(10))])
    assert await stage.calls() - before == 3, "the items of all resources, the rows that are there, the batch"


async def test_a_ticket_lists_as_many_items_as_the_settings_allow(stages: Stages) -> None:
    async with stages(ci={"affected": 2}) as stage:
        ref = await ticket(stage)
        found = await stage.system.add_affected_items(ref, WEB, OTHERS)
        assert (found.added, found.beyond) == (2, 2)
        assert (await stage.system.add_affected_items(ref, WEB, OTHERS)).beyond == 2
        assert len(await listed(stage, ref)) == 2


async def test_events_list_nothing_and_zero_switches_it_off(stages: Stages) -> None:
    async with stages() as stage, stages(ci={"affected": 0}) as off:
        assert stage.system.most_affected_items(TicketKind.EVENT) == 0
        assert stage.system.most_affected_items(TicketKind.PROBLEM) == 100
        assert off.system.most_affected_items(TicketKind.INCIDENT) == 0


async def test_a_machine_and_its_server_are_told_apart_by_what_the_alert_names(stage: SimulatedServiceNow) -> None:
    """The Service Graph Connector fills name and object_id of both."""
    made = await stage.add("cmdb_ci_linux_server", name="vm-web-02", object_id=OTHERS[0])
    ref = await ticket(stage)
    await stage.system.add_affected_items(ref, WEB, [OTHERS[0]])
    assert await listed(stage, ref) == ids("vm-web-02")
    await stage.system.add_affected_items(ref, WEB, ["vm-web-02"])
    assert await listed(stage, ref) == sorted([made, item_id("vm-web-02")])


async def test_several_items_that_fit_equally_well_are_named_and_none_is_listed(stage: SimulatedServiceNow) -> None:
    for _ in range(2):
        await stage.add("cmdb_ci_linux_server", name="twin")
    ref = await ticket(stage)
    found = await stage.system.add_affected_items(ref, WEB, ["twin", OTHERS[0]])
    assert found.ambiguous == (LeftOut(TABLE, "twin", "cmdb_ci", several=True),)
    assert await listed(stage, ref) == ids("vm-web-02")


async def test_a_user_without_the_right_is_told_which(stages: Stages) -> None:
    basic = {"type": "basic", "username": "create.only", "password": {"secret": "demo-account"}}
    async with stages() as allowed:
        ref = await ticket(allowed)
    async with stages(basic, account="create.only") as stage:
        with pytest.raises((NotAuthorised, Refused)) as caught:
            await stage.system.add_affected_items(ref, item_id("vm-web-01"), [item_id("vm-web-02")])
    assert caught.value.status == 403
    assert TABLE in str(caught.value) + caught.value.advice


async def test_a_user_who_may_not_use_the_batch_api_adds_the_rows_one_by_one(stage: SimulatedServiceNow) -> None:
    ref = await ticket(stage)
    await stage.order(type="scope_gate", match={"path": "^/api/now/v1/batch"})
    assert (await stage.system.add_affected_items(ref, WEB, OTHERS[:2])).added == 2
    assert (await stage.system.add_affected_items(ref, WEB, OTHERS)).added == 2
    assert await stage.requests_to("/api/now/v1/batch") == 1
    assert await listed(stage, ref) == ids(*NAMES[1:])


async def test_rows_that_a_batch_left_undone_are_added_by_the_next(stage: SimulatedServiceNow) -> None:
    ref = await ticket(stage)
    await stage.set(batch_timeout_s=0.0)
    with pytest.raises(Unavailable, match="left 4 of 4 rows of a batch undone"):
        await stage.system.add_affected_items(ref, WEB, OTHERS)
    await stage.set(batch_timeout_s=30.0)
    assert (await stage.system.add_affected_items(ref, WEB, OTHERS)).added == 4


class Budget(UnlimitedGate):
    """Has so many calls."""

    def __init__(self, calls: int) -> None:
        super().__init__(4)
        self.calls = calls

    async def acquire(self) -> object:
        if not self.calls:
            raise MustWait("no call is left", connection="contoso", retry_after=60)
        self.calls -= 1
        return "permit"

    def report(self, permit: object, report: CallReport) -> None:
        self.calls += not report.left


async def test_each_row_of_a_batch_spends_a_call_of_the_budget(stage: SimulatedServiceNow) -> None:
    ref = await ticket(stage)
    known: Mapping[str, str] = secrets_of(stage.simulator)
    for calls, left in ((6, 0), (5, 3)):
        budget = Budget(calls)
        system = ServiceNow("contoso", settings_for(stage.simulator), SettingSecrets(dict(known)), gate=budget)
        try:
            if left:  # what cannot be spent as a whole is not spent at all
                with pytest.raises(MustWait):
                    await system.add_affected_items(ref, WEB, OTHERS)
            else:
                assert (await system.add_affected_items(ref, WEB, OTHERS)).added == 4
        finally:
            await system.aclose()
        assert budget.calls == left
        for row in await stage.rows(TABLE, f"task={ref.id}"):
            await stage.remove(TABLE, row["sys_id"])


CI_NEEDS = Needs(frozenset({TicketKind.INCIDENT}), {TicketKind.INCIDENT: {"cmdb_ci": frozenset()}})


async def test_a_column_that_the_cmdb_lacks_is_named_by_the_ticket_and_by_the_check(stages: Stages) -> None:
    async with stages(ci={"resource_id_attribute": "u_azure_id"}) as stage:
        await stage.add("cmdb_ci_linux_server", name="nobody-knows-it")
        await stage.add("cmdb_ci_linux_server", name="nobody-knows-it")
        draft = Draft(TicketKind.INCIDENT, "a" * 32, "alert:1:b", {"short_description": "x", "cmdb_ci": UNKNOWN})
        (left_out,) = (await stage.system.create(draft)).left_out
        assert left_out.several
        assert "its items show no column u_azure_id, see ci.resource_id_attribute" in str(left_out)
        lines = {line.name: line for line in await stage.system.check(CI_NEEDS)}
        assert lines["configuration items"].verdict is CheckStatus.WARNING
        assert "cmdb_ci has no u_azure_id" in lines["configuration items"].detail
        assert lines["affected items"].verdict is CheckStatus.OK


async def test_the_check_says_that_affected_items_cannot_be_listed(stages: Stages) -> None:
    async with stages() as stage:
        await stage.order(type="acl_refuse", match={"table": TABLE})
        lines = {line.name: line for line in await stage.system.check(CI_NEEDS)}
        assert lines["configuration items"].verdict is CheckStatus.OK
        assert lines["affected items"].verdict is CheckStatus.WARNING
        assert "ci.affected" in lines["affected items"].fix
