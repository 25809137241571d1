"""Tickets that the integration user cannot see for a while, or not any more; over real sockets and real storage."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from uuid import uuid4

import pytest

from shared.core.link import Link, LinkStage
from shared.core.messages import Message, SignalMessage, encode, signal_of
from shared.core.signal import Signal
from tests.resync.stage import Stage, again, fired, over

pytestmark = pytest.mark.asyncio(loop_scope="module")

MINUTE = timedelta(minutes=1)
HIDDEN = {"incident": "correlation_idLIKEhidden"}


class Waiting:
    """What the bridge puts back on its queue, without the waiting."""

    def __init__(self, stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
        self._stage = stage
        self.messages: list[Message] = []
        monkeypatch.setattr(stage.services.queue, "send", self._send)

    async def _send(self, message: Message, delay: timedelta = timedelta()) -> None:
        self.messages.append(message)

    async def deliver(self, signals: Sequence[Signal]) -> None:
        self.messages += [SignalMessage(id=uuid4().hex, received_at=self._stage.now(), signal=one) for one in signals]
        await self.try_again()

    async def try_again(self, after: timedelta = timedelta()) -> None:
        """All that waits is tried once more, some time later."""
        self._stage.later += after
        taken, self.messages = self.messages, []
        for message in taken:
            await self._stage.services.worker.handle(message.id, encode(message), 1)

    @property
    def keys(self) -> set[str]:
        return {found.key for message in self.messages if (found := signal_of(message)) is not None}


@pytest.fixture
def waiting(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Waiting:
    return Waiting(stage, monkeypatch)


def problems(number: int, name: str = "hidden") -> list[Signal]:
    return [fired(key=f"alert:1:{name}-{uuid4()}") for _ in range(number)]


async def incidents(stage: Stage, signals: Sequence[Signal]) -> dict[str, list[str]]:
    """The states of the incidents of each key, as an administrator sees them."""
    query = "^OR".join(f"correlation_idSTARTSWITH{one.key}" for one in signals)
    rows = await stage.desk.rows("incident", query, sysparm_limit="1000")
    found: dict[str, list[str]] = {one.key: [] for one in signals}
    for row in rows:
        found[row["correlation_id"].split("#")[0]].append(row["state"])
    return found


async def letters(stage: Stage) -> Counter[str]:
    return Counter(
        [row.code async for row in stage.services.parked.list("dead-letter") if row.connection == stage.name]
    )


async def link_stages(stage: Stage, signals: Sequence[Signal]) -> set[LinkStage]:
    links: list[Link] = [await stage.link(one.key) for one in signals]
    return {link.stage for link in links}


async def test_thirty_hidden_tickets_get_what_they_are_owed_when_they_are_back(stage: Stage, waiting: Waiting) -> None:
    begun = problems(30)
    await waiting.deliver(begun)
    await stage.desk.set(hidden_rows=HIDDEN)
    await waiting.deliver([over(one) for one in begun[:15]] + [again(one) for one in begun[15:]])
    for _ in range(4):
        await waiting.try_again(10 * MINUTE)
    assert waiting.keys == {one.key for one in begun}
    assert {tuple(states) for states in (await incidents(stage, begun)).values()} == {("1",)}
    assert await letters(stage) == {}
    await stage.desk.set(hidden_rows={})
    await waiting.try_again(10 * MINUTE)
    assert waiting.messages == []
    states = await incidents(stage, begun)
    assert [states[one.key] for one in begun] == [["6"]] * 15 + [["1"]] * 15
    assert await letters(stage) == {}


async def test_ends_of_tickets_that_are_gone_become_dead_letters_and_are_paid_when_the_tickets_are_back(
    stage: Stage, waiting: Waiting
) -> None:
    begun, others = problems(6), problems(7, "other")
    await waiting.deliver([*begun, *others])
    await stage.desk.set(hidden_rows=HIDDEN)
    await waiting.deliver([over(one) for one in begun[:3]] + [again(one) for one in begun[3:]])
    await waiting.try_again(4 * MINUTE)
    assert len(waiting.messages) == 6
    await waiting.try_again(2 * MINUTE)
    assert await letters(stage) == {"ticket_missing": 3}
    assert await link_stages(stage, begun[:3]) == {LinkStage.CLOSED}
    states = await incidents(stage, begun)
    assert [states[one.key] for one in begun] == [["1"]] * 3 + [["1", "1"]] * 3  # believed: followed by new tickets
    # the new ones of the other three are hidden too, and so wait; then all are visible again
    await stage.desk.set(hidden_rows={})
    result = await stage.full_check()
    assert result.returned == 3
    assert await link_stages(stage, begun[:3]) == {LinkStage.OPEN}
    await waiting.try_again()
    states = await incidents(stage, begun)
    assert [states[one.key] for one in begun[:3]] == [["6"]] * 3
    assert await letters(stage) == {}


async def test_a_deleted_ticket_is_followed_by_one_new_ticket(stage: Stage, waiting: Waiting) -> None:
    begun, others = problems(4), problems(5, "other")
    await waiting.deliver([*begun, *others])
    for one in begun:
        await stage.delete(await stage.link(one.key))
    await waiting.deliver([over(one) for one in begun[:2]] + [again(one) for one in begun[2:]])
    await waiting.try_again(6 * MINUTE)
    assert waiting.messages == []
    assert await letters(stage) == {"ticket_missing": 2}
    states = await incidents(stage, begun)
    assert [states[one.key] for one in begun] == [[]] * 2 + [["1"]] * 2


async def test_late_commits_and_cut_answers_make_no_second_ticket_on_an_instance_with_ids_of_its_own(
    stage: Stage, waiting: Waiting
) -> None:
    begun = problems(24, "late")
    await stage.desk.set(honour_client_sys_id=False)
    await stage.deliver(fired())  # the bridge learns that the instance chooses ids itself
    posts = {"method": "POST", "path": "/table/incident"}
    await stage.desk.order(type="late_commit", seconds=4.0, match=posts, times=24)
    await stage.desk.order(type="cut_after_commit", match=posts, times=24)
    await waiting.deliver(begun)
    assert waiting.keys == {one.key for one in begun}
    await waiting.try_again(10 * timedelta(seconds=1))
    await asyncio.sleep(4.5)
    for _ in range(4):
        await waiting.try_again(MINUTE)
    assert waiting.messages == []
    assert {len(states) for states in (await incidents(stage, begun)).values()} == {1}
