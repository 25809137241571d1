"""What every ticket system must do with states: walk guarded kinds to their end, say where they stop, name them."""

from __future__ import annotations

import pytest

from shared.core.errors import OutcomeUnknown, Refused
from shared.core.ticket_system import Closure, Phase, TicketKind
from tests.conformance.kinds import Kinds, draft, note
from tests.conformance.stage import Fault, Stage


class StatesConformance(Kinds):
    """The suite. ``guarded``: the kinds whose states a model guards."""

    async def test_a_guarded_kind_is_walked_to_its_end_and_back(self, stage: Stage, guarded_kind: TicketKind) -> None:
        ref = (await stage.system.create(draft(guarded_kind))).ref
        await stage.ready(ref)
        ended = await stage.system.resolve(ref, Closure())
        assert (ended.phase, ended.dropped) == (self.resolved(guarded_kind), ())
        again = await stage.system.resolve(ref, Closure())
        assert (again.phase, again.state) == (ended.phase, ended.state)
        if guarded_kind not in self.final:
            assert (await stage.system.reopen(ref, note("it is back"))).phase is Phase.OPEN
            assert (await stage.system.resolve(ref, Closure())).phase is Phase.RESOLVED

    async def test_a_repetition_at_the_end_writes_nothing(self, stage: Stage, guarded_kind: TicketKind) -> None:
        ref = (await stage.system.create(draft(guarded_kind))).ref
        await stage.ready(ref)
        await stage.system.resolve(ref, Closure())
        before = await stage.calls()
        await stage.system.resolve(ref, Closure())
        assert await stage.calls() == before + 1

    async def test_a_step_that_is_refused_is_explained(self, stage: Stage, guarded_kind: TicketKind) -> None:
        """Nobody has assigned or approved it: where it stopped, what is missing, what to do."""
        created = await stage.system.create(draft(guarded_kind))
        with pytest.raises(Refused) as caught:
            await stage.system.resolve(created.ref, Closure())
        error = caught.value
        assert created.ref.number in str(error)
        assert stage.system.state_name(guarded_kind, created.state) in str(error)
        assert error.advice
        found = await stage.system.find(guarded_kind, created.ref.id, created.ref.correlation)
        assert found is not None
        assert (found.phase, found.state) == (Phase.OPEN, created.state)

    async def test_a_walk_that_is_interrupted_at_every_step_goes_on_when_it_is_repeated(
        self, stage: Stage, guarded_kind: TicketKind
    ) -> None:
        ref = (await stage.system.create(draft(guarded_kind))).ref
        await stage.ready(ref)
        await stage.strike(Fault.LOST_ANSWER)
        interrupted = 0
        for _ in range(12):
            try:
                ended = await stage.system.resolve(ref, Closure())
                break
            except OutcomeUnknown:
                interrupted += 1
        else:
            pytest.fail("it never came to its end")
        assert interrupted > 1
        assert ended.phase is self.resolved(guarded_kind)

    async def test_states_have_names(self, stage: Stage, kind: TicketKind) -> None:
        created = await stage.system.create(draft(kind))
        assert stage.system.state_name(kind, created.state) not in ("", created.state)
        assert stage.system.state_name(kind, "no such state") == "no such state"
