"""What every ticket system must do: the scenarios behind "exactly one ticket", "a closed ticket is never written" and
"the truth about the outcome".

Inherit from ``TicketSystemConformance``, name the class ``Test...``, say which kinds the connector has, and provide
the fixture ``stage``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from shared.core.errors import (
    NotAuthorised,
    OutcomeUnknown,
    Refused,
    Throttled,
    TicketMissing,
    TicketSystemError,
    Unavailable,
)
from shared.core.ticket_system import CheckStatus, Closure, Draft, Phase, Ticket, TicketKind, TicketRef
from shared.core.ticket_system import Needs as CheckNeeds
from tests.conformance.kinds import Kinds, draft, note
from tests.conformance.stage import Fault, Stage

#: Every operation that writes to a ticket that exists.
WRITES: dict[str, Callable[[Stage, TicketRef], Awaitable[Ticket]]] = {
    "comment": lambda stage, ref: stage.system.comment(ref, note("again")),
    "update": lambda stage, ref: stage.system.update(ref, {"description": "changed"}),
    "resolve": lambda stage, ref: stage.system.resolve(ref, Closure()),
    "reopen": lambda stage, ref: stage.system.reopen(ref, note("reopened")),
}

FAULTS = {
    Fault.THROTTLED: Throttled,
    Fault.THROTTLED_BARE: Throttled,
    Fault.ASLEEP: Unavailable,
    Fault.NOT_AUTHORISED: NotAuthorised,
}

AMBIGUOUS = (Fault.LOST_ANSWER, Fault.FAILED_ANSWER, Fault.GARBLED_ANSWER)


async def eventually(look: Callable[[], Awaitable[int]], happened: Callable[[int], bool]) -> None:
    """Wait until what ``look`` gives is as it should be, at most half a minute."""
    for _ in range(3000):
        if happened(await look()):
            return
        await asyncio.sleep(0.01)
    pytest.fail("it never happened")


class TicketSystemConformance(Kinds):
    """The suite: tickets are made, found, written and ended truthfully."""

    # -- what it is ------------------------------------------------------------------------------------------------

    async def test_it_says_what_it_is(self, stage: Stage) -> None:
        assert stage.system.name
        assert stage.system.kinds == set(self.kinds)
        assert {kind for kind in self.kinds if stage.system.findable(kind)} == set(self.findable)

    async def test_it_says_how_it_logs_in_without_a_call(self, stage: Stage) -> None:
        calls = await stage.calls()
        log_in = await stage.system.log_in()
        assert log_in.kind
        assert await stage.calls() == calls

    # -- create ----------------------------------------------------------------------------------------------------

    async def test_create_bears_our_id_and_key(self, stage: Stage, any_kind: TicketKind) -> None:
        wanted = draft(any_kind)
        ticket = await stage.system.create(wanted)
        assert (ticket.ref.kind, ticket.ref.id, ticket.ref.correlation) == (any_kind, wanted.id, wanted.correlation)
        assert (ticket.phase, ticket.dropped) == (Phase.OPEN, ())
        assert await stage.tickets(any_kind, wanted.correlation) == 1

    async def test_creating_twice_makes_one_ticket(self, stage: Stage, any_kind: TicketKind) -> None:
        wanted = draft(any_kind)
        first = await stage.system.create(wanted)
        second = await stage.system.create(wanted)
        assert first.ref == second.ref
        assert await stage.tickets(any_kind, wanted.correlation) == 1

    async def test_creating_at_the_same_time_makes_one_ticket(self, stage: Stage, any_kind: TicketKind) -> None:
        wanted = draft(any_kind)
        tickets = await asyncio.gather(*(stage.system.create(wanted) for _ in range(4)))
        assert len({ticket.ref for ticket in tickets}) == 1
        assert await stage.tickets(any_kind, wanted.correlation) == 1

    async def test_create_is_one_call(self, stage: Stage, any_kind: TicketKind) -> None:
        await stage.system.create(draft(any_kind))  # log-in and look-ups are behind us now
        before = await stage.calls()
        await stage.system.create(draft(any_kind))
        assert await stage.calls() == before + 1

    async def test_a_field_that_does_not_exist_is_reported(self, stage: Stage, kind: TicketKind) -> None:
        wanted = draft(kind)
        fields = {**wanted.fields, "u_no_such_field": "x"}
        ticket = await stage.system.create(Draft(kind, wanted.id, wanted.correlation, fields))
        assert ticket.dropped == ("u_no_such_field",)

    async def test_the_first_note_of_a_ticket_is_found_by_its_marker(self, stage: Stage, kind: TicketKind) -> None:
        first = note("Opened by the bridge")
        wanted = draft(kind, note=first.text)
        ticket = await stage.system.create(wanted)
        assert first.marker in "".join(await stage.notes(ticket.ref))
        found = await stage.system.find(kind, wanted.id, wanted.correlation, first.marker)
        assert found is not None
        assert found.noted

    async def test_a_first_note_is_no_hindrance_where_there_are_no_notes(
        self, stage: Stage, any_kind: TicketKind
    ) -> None:
        ticket = await stage.system.create(draft(any_kind, note="Opened by the bridge"))
        assert (ticket.phase, ticket.dropped) == (Phase.OPEN, ())

    async def test_a_ticket_can_follow_a_closed_one(self, stage: Stage, kind: TicketKind) -> None:
        first = await stage.system.create(draft(kind))
        await stage.work_on(first.ref)
        await stage.close(first.ref)
        second = await stage.system.create(draft(kind, follows=first.ref))
        assert (second.phase, second.dropped) == (Phase.OPEN, ())
        assert first.ref.number in "".join(await stage.notes(second.ref))

    async def test_a_problem_that_is_over_makes_a_ticket_that_ends_resolved(
        self, stage: Stage, any_kind: TicketKind
    ) -> None:
        ticket = await stage.system.create(draft(any_kind, closure=Closure()))
        if ticket.phase is Phase.OPEN:
            await stage.work_on(ticket.ref)
            ticket = await stage.system.resolve(ticket.ref, Closure())
        assert ticket.phase is self.resolved(any_kind)

    # -- unknown outcomes ------------------------------------------------------------------------------------------

    @pytest.mark.parametrize("fault", AMBIGUOUS)
    async def test_a_create_whose_answer_was_lost_is_found_and_not_repeated(
        self, stage: Stage, kind: TicketKind, fault: Fault
    ) -> None:
        wanted = draft(kind)
        await stage.strike(fault)
        with pytest.raises(OutcomeUnknown) as caught:
            await stage.system.create(wanted)
        assert caught.value.applied
        await stage.heal()
        found = await stage.system.find(kind, wanted.id, wanted.correlation)
        assert found is not None
        assert found.ref == (await stage.system.create(wanted)).ref
        assert await stage.tickets(kind, wanted.correlation) == 1

    async def test_a_create_that_never_arrived_is_not_found_and_can_be_repeated(
        self, stage: Stage, kind: TicketKind
    ) -> None:
        wanted = draft(kind)
        await stage.strike(Fault.LOST_REQUEST)
        with pytest.raises(OutcomeUnknown):
            await stage.system.create(wanted)
        await stage.heal()
        assert await stage.system.find(kind, wanted.id, wanted.correlation) is None
        await stage.system.create(wanted)
        assert await stage.tickets(kind, wanted.correlation) == 1

    @pytest.mark.parametrize(("fault", "arrived"), [(Fault.LOST_ANSWER, True), (Fault.LOST_REQUEST, False)])
    async def test_looking_for_its_marker_tells_whether_a_note_arrived(
        self, stage: Stage, kind: TicketKind, fault: Fault, arrived: bool
    ) -> None:
        ticket = await stage.system.create(draft(kind))
        await stage.system.comment(ticket.ref, note("an earlier one"))
        said = note("the alert fired again")
        await stage.strike(fault)
        with pytest.raises(OutcomeUnknown):
            await stage.system.comment(ticket.ref, said)
        await stage.heal()
        found = await stage.system.find(kind, ticket.ref.id, ticket.ref.correlation, said.marker)
        assert found is not None
        assert found.noted is arrived
        assert sum(said.marker in text for text in await stage.notes(ticket.ref)) == arrived

    @pytest.mark.parametrize("fault", AMBIGUOUS)
    async def test_a_create_whose_answer_was_lost_can_be_made_again(
        self, stage: Stage, any_kind: TicketKind, fault: Fault
    ) -> None:
        wanted = draft(any_kind)
        await stage.strike(fault)
        with pytest.raises(OutcomeUnknown):
            await stage.system.create(wanted)
        await stage.heal()
        await stage.system.create(wanted)
        assert await stage.tickets(any_kind, wanted.correlation) == 1

    # -- find ------------------------------------------------------------------------------------------------------

    async def test_find_refuses_a_ticket_with_another_key(self, stage: Stage, kind: TicketKind) -> None:
        ticket = await stage.system.create(draft(kind))
        other = draft(kind)
        assert await stage.system.find(kind, ticket.ref.id, other.correlation) is None
        assert await stage.system.find(kind, other.id, other.correlation) is None

    async def test_find_by_key_when_the_id_is_unknown(self, stage: Stage, kind: TicketKind) -> None:
        ticket = await stage.system.create(draft(kind))
        found = await stage.system.find(kind, draft(kind).id, ticket.ref.correlation)
        assert found is not None
        assert (found.ref, found.noted) == (ticket.ref, None)

    @pytest.mark.parametrize("key", ["", " "])
    async def test_an_empty_key_matches_nothing(self, stage: Stage, kind: TicketKind, key: str) -> None:
        ticket = await stage.system.create(draft(kind))
        with pytest.raises(Refused):
            await stage.system.find(kind, ticket.ref.id, key)
        with pytest.raises(Refused):
            await stage.system.create(draft(kind, correlation=key))

    async def test_a_key_is_a_value_and_never_part_of_the_query(self, stage: Stage, kind: TicketKind) -> None:
        ticket = await stage.system.create(draft(kind))
        key = f"x:1:^NQcorrelation_id={ticket.ref.correlation}"
        assert await stage.system.find(kind, "f" * 32, key) is None

    async def test_what_cannot_be_looked_up_is_not_found(self, stage: Stage, any_kind: TicketKind) -> None:
        ticket = await stage.system.create(draft(any_kind))
        found = await stage.system.find(any_kind, ticket.ref.id, ticket.ref.correlation)
        assert (found is not None) is stage.system.findable(any_kind)

    # -- the life of a ticket --------------------------------------------------------------------------------------

    async def test_resolve_reopen_resolve(self, stage: Stage, reopenable: TicketKind) -> None:
        ref = (await stage.system.create(draft(reopenable))).ref
        await stage.work_on(ref)
        resolved = await stage.system.resolve(ref, Closure())
        assert (resolved.phase, resolved.dropped) == (Phase.RESOLVED, ())
        assert (await stage.system.resolve(ref, Closure())).phase is Phase.RESOLVED
        reopened = await stage.system.reopen(ref, note("it is back"))
        assert (reopened.ref.id, reopened.phase) == (ref.id, Phase.OPEN)
        await stage.work_on(ref)
        assert (await stage.system.resolve(ref, Closure())).phase is Phase.RESOLVED
        assert await stage.tickets(reopenable, ref.correlation) == 1

    async def test_a_kind_without_a_way_back_is_closed_by_its_end(self, stage: Stage, final_kind: TicketKind) -> None:
        ref = (await stage.system.create(draft(final_kind))).ref
        await stage.work_on(ref)
        assert (await stage.system.resolve(ref, Closure())).phase is Phase.CLOSED
        with pytest.raises(Refused):
            await stage.system.reopen(ref, note("it is back"))

    async def test_find_reports_the_phase_truly(self, stage: Stage, kind: TicketKind) -> None:
        ref = (await stage.system.create(draft(kind))).ref
        await stage.work_on(ref)

        async def phase() -> Phase | None:
            found = await stage.system.find(kind, ref.id, ref.correlation)
            return found.phase if found else None

        assert await phase() is Phase.OPEN
        await stage.system.resolve(ref, Closure())
        assert await phase() is self.resolved(kind)
        await stage.close(ref)
        assert await phase() is Phase.CLOSED

    async def test_comment_adds_the_note_once_and_changes_nothing_else(self, stage: Stage, kind: TicketKind) -> None:
        created = await stage.system.create(draft(kind))
        said = note("91 % now")
        ticket = await stage.system.comment(created.ref, said)
        assert (ticket.ref, ticket.phase, ticket.state, ticket.dropped) == (created.ref, Phase.OPEN, created.state, ())
        assert sum(said.text in text for text in await stage.notes(created.ref)) == 1

    async def test_update_sets_fields_and_adds_the_note(self, stage: Stage, kind: TicketKind) -> None:
        ref = (await stage.system.create(draft(kind))).ref
        said = note("new description")
        ticket = await stage.system.update(ref, {"description": "95 %"}, said)
        assert ticket.dropped == ()
        assert await stage.field(ref, "description") == "95 %"
        assert any(said.marker in text for text in await stage.notes(ref))

    async def test_reopening_a_ticket_that_people_reopened_adds_the_note_only(
        self, stage: Stage, kind: TicketKind
    ) -> None:
        created = await stage.system.create(draft(kind))
        said = note("it is back")
        ticket = await stage.system.reopen(created.ref, said)
        assert (ticket.phase, ticket.state) == (Phase.OPEN, created.state)
        assert any(said.marker in text for text in await stage.notes(created.ref))

    @pytest.mark.parametrize("operation", list(WRITES))
    async def test_a_closed_ticket_stays_closed_and_the_caller_learns_of_it(
        self, stage: Stage, kind: TicketKind, operation: str
    ) -> None:
        """By a refusal, after which the caller looks, or by the phase of what comes back. A reopen never tries."""
        ref = (await stage.system.create(draft(kind))).ref
        await stage.work_on(ref)
        await stage.close(ref)
        state, notes = await stage.field(ref, "state"), await stage.notes(ref)
        (outcome,) = await asyncio.gather(WRITES[operation](stage, ref), return_exceptions=True)
        if isinstance(outcome, Ticket):
            assert operation != "reopen"
            assert outcome.phase is Phase.CLOSED
        else:
            assert type(outcome) is Refused
            assert await stage.notes(ref) == notes
        assert await stage.field(ref, "state") == state

    @pytest.mark.parametrize("operation", list(WRITES))
    async def test_a_ticket_that_was_deleted_is_missing(self, stage: Stage, kind: TicketKind, operation: str) -> None:
        ref = (await stage.system.create(draft(kind))).ref
        await stage.delete(ref)
        with pytest.raises(TicketMissing):
            await WRITES[operation](stage, ref)
        assert await stage.system.find(kind, ref.id, ref.correlation) is None

    # -- trouble ---------------------------------------------------------------------------------------------------

    @pytest.mark.parametrize("fault", list(FAULTS))
    async def test_trouble_is_told_by_its_type_and_writes_nothing(
        self, stage: Stage, any_kind: TicketKind, fault: Fault
    ) -> None:
        ref = (await stage.system.create(draft(any_kind))).ref
        wanted = draft(any_kind)
        await stage.strike(fault)
        for work in (stage.system.create(wanted), *(write(stage, ref) for write in WRITES.values())):
            with pytest.raises(TicketSystemError) as caught:
                await work
            error = caught.value
            assert type(error) is FAULTS[fault]
            assert (error.retry, error.applied) == (True, False)
            assert error.connection == stage.system.name
            assert error.advice
            if fault is Fault.THROTTLED:
                assert error.retry_after == pytest.approx(stage.retry_after, abs=2)
            elif fault is Fault.THROTTLED_BARE:
                assert error.retry_after is None
        await stage.heal()
        assert await stage.tickets(any_kind, wanted.correlation) == 0
        assert (await stage.system.create(wanted)).phase is Phase.OPEN

    @pytest.mark.parametrize("fault", [*FAULTS, Fault.LOST_REQUEST])
    async def test_trouble_during_a_look_up_leaves_no_outcome_open(
        self, stage: Stage, kind: TicketKind, fault: Fault
    ) -> None:
        ref = (await stage.system.create(draft(kind))).ref
        await stage.strike(fault)
        with pytest.raises(TicketSystemError) as caught:
            await stage.system.find(kind, ref.id, ref.correlation)
        assert type(caught.value) is FAULTS.get(fault, Unavailable)

    async def test_a_rule_that_refuses_is_named_and_final(self, stage: Stage, any_kind: TicketKind) -> None:
        wanted = draft(any_kind)
        await stage.strike(Fault.REFUSED)
        with pytest.raises(Refused) as caught:
            await stage.system.create(wanted)
        assert not caught.value.retry
        assert caught.value.advice
        await stage.heal()
        assert await stage.tickets(any_kind, wanted.correlation) == 0

    async def test_a_cancelled_call_leaves_nothing_behind(self, stage: Stage, any_kind: TicketKind) -> None:
        await stage.strike(Fault.HANGING)
        calls = [asyncio.create_task(stage.system.create(draft(any_kind))) for _ in range(6)]
        await eventually(stage.in_flight, lambda count: count > 0)
        for call in calls:
            call.cancel()
        assert all(
            isinstance(done, asyncio.CancelledError) for done in await asyncio.gather(*calls, return_exceptions=True)
        )
        await stage.heal()
        await eventually(stage.in_flight, lambda count: count == 0)
        await asyncio.gather(*(stage.system.create(draft(any_kind)) for _ in range(6)))

    @pytest.mark.parametrize("fault", [fault for fault in Fault if fault is not Fault.HANGING])
    async def test_no_secret_shows_in_any_error(self, stage: Stage, any_kind: TicketKind, fault: Fault) -> None:
        ref = (await stage.system.create(draft(any_kind))).ref
        await stage.strike(fault)
        for work in (stage.system.create(draft(any_kind)), *(write(stage, ref) for write in WRITES.values())):
            try:
                await work
            except TicketSystemError as error:
                text = f"{error} {error!r} {vars(error)}"
                assert not [secret for secret in stage.secrets if secret in text]

    # -- the check -------------------------------------------------------------------------------------------------

    async def test_the_check_of_a_sound_system_finds_nothing_failed(self, stage: Stage) -> None:
        findings = await stage.system.check(CheckNeeds(frozenset(self.kinds), {}))
        assert findings
        assert [finding for finding in findings if finding.verdict is CheckStatus.FAILED] == []

    @pytest.mark.parametrize("fault", [*FAULTS, Fault.LOST_REQUEST])
    async def test_the_check_never_raises_and_names_one_cause(self, stage: Stage, fault: Fault) -> None:
        await stage.strike(fault)
        findings = await stage.system.check(CheckNeeds(frozenset(self.kinds), {}))
        failed = [finding for finding in findings if finding.verdict is CheckStatus.FAILED]
        assert len(failed) == 1
        assert failed[0].fix
