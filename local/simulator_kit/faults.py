"""Fault injection: what scenarios do to a request, before sign-in and to the finished answer.

The kinds that concern the connection only are the same everywhere and are applied here. A simulator adds its own kinds
to :data:`COMMON_KINDS` and applies them in :meth:`Faults.on_arrival` and :meth:`Faults.on_answer`, and those of other
phases (``handling``, for example) wherever its pipeline has them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from local.simulator_kit.calls import Answer, Call
from local.simulator_kit.scenarios import Kind, Scenario, Scenarios

CallT = TypeVar("CallT", bound=Call)

#: Waits some seconds; ends early with False when the client disconnected or the server stops.
Wait = Callable[[float], Awaitable[bool]]

COMMON_KINDS: dict[str, Kind] = {
    "slow": Kind("arrival", "Wait, then go on.", {"seconds": 1.0}),
    "cut_before_commit": Kind("arrival", "Drop the connection; nothing is written."),
    "cut_after_commit": Kind("after", "Commit, then drop the connection.", needs_commit=True),
    "commit_then_hang": Kind(
        "after", "Commit and never answer (at most so many seconds).", {"seconds": 300.0}, needs_commit=True
    ),
    "truncated_json": Kind("after", "Cut the body; keep: fraction of its bytes.", {"keep": 0.5}),
}


class Dropped(Exception):
    """The connection is to be dropped without an answer."""


class Faults(Generic[CallT]):
    """Applies the scenarios that are on."""

    def __init__(self, scenarios: Scenarios) -> None:
        self.scenarios = scenarios

    async def arrival(self, call: CallT, wait: Wait) -> Answer | None:
        """Apply the faults that come before sign-in. An answer ends the request.

        Raises:
            Dropped: the connection ends here.
            Exception: the simulator's own refusal, from :meth:`on_arrival`.
        """
        for scenario in self.scenarios.of_phase("arrival"):
            if not (self.concerns(scenario, call, None) and scenario.triggers(call)):
                continue
            match scenario.type:
                case "slow":
                    await wait(scenario.params["seconds"])
                case "cut_before_commit":
                    raise Dropped
                case _:
                    answer = await self.on_arrival(scenario, call, wait)
                    if answer is not None:
                        return answer
        return None

    async def after(self, call: CallT, answer: Answer, wait: Wait) -> Answer:
        """The API is done: the answer that goes out instead.

        Kinds that need a commit apply only to calls that committed something, all others only to successful answers.

        Raises:
            Dropped: no answer goes out.
        """
        for scenario in self.scenarios.of_phase("after"):
            suitable = bool(call.changes) if scenario.kind.needs_commit else answer.status < 300
            if not (suitable and self.concerns(scenario, call, answer) and scenario.triggers(call)):
                continue
            match scenario.type:
                case "cut_after_commit":
                    raise Dropped
                case "commit_then_hang":
                    await wait(scenario.params["seconds"])
                    raise Dropped
                case "truncated_json":
                    answer.send = scenario.params["keep"]
                case _:
                    answer = await self.on_answer(scenario, call, answer, wait)
        return answer

    def concerns(self, _scenario: Scenario, _call: CallT, _answer: Answer | None, /) -> bool:
        """Does the kind of a scenario make sense for a call? The answer is None on arrival."""
        return True

    async def on_arrival(self, scenario: Scenario, call: CallT, wait: Wait, /) -> Answer | None:
        """Apply one of the simulator's own kinds of phase ``arrival``; an answer ends the request."""
        raise NotImplementedError(scenario.type)

    async def on_answer(self, scenario: Scenario, call: CallT, answer: Answer, wait: Wait, /) -> Answer:
        """Apply one of the simulator's own kinds of phase ``after``: the answer that goes out instead."""
        raise NotImplementedError(scenario.type)


async def pause(seconds: float, disconnected: Callable[[], bool], stop: asyncio.Event) -> bool:
    """Wait; False when the client disconnected or the server stops before the time is over."""
    deadline = asyncio.get_running_loop().time() + seconds
    while (left := deadline - asyncio.get_running_loop().time()) > 0:
        if disconnected():
            return False
        try:
            await asyncio.wait_for(stop.wait(), min(left, 0.05))
        except TimeoutError:
            continue
        return False
    return True
