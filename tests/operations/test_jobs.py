"""Jobs by hand: asked for over HTTP, done in the background under their lease, and watched until they end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from app.container import Container
from local.azurite import Azurite
from shared.core.errors import SourceUnavailable
from shared.core.jobs import JobPart, JobRun
from shared.core.messages import JOB_QUEUE
from shared.core.plugins import Job, JobWork, Registry, Source, SourcePlugin, SourceWords
from shared.operations.job_runs import MOST_PARTS, storable
from shared.platform.storage import Storage
from tests.asking import ask, get


@dataclass
class Wound:
    """What came of winding one clock."""

    turns: int = 0
    finished: bool = True
    reason: str = ""


class Clockwork(Source):
    """A source with a job that stops where a test wants it to."""

    def __init__(self) -> None:
        self.go_on = asyncio.Event()
        self.failure: Exception | None = None
        self.runs: list[JobRun] = []

    async def wind(self, run: JobRun) -> None:
        """Two turns, with a pause between them."""
        self.runs.append(run)
        wound = Wound()
        run.follow("tower", wound)
        wound.turns = 1
        run.sample("wound the tower clock")
        await self.go_on.wait()
        if self.failure is not None:
            raise self.failure
        wound.turns = 2

    def jobs(self) -> Mapping[str, JobWork]:
        return {self.name: self.wind}

    name = ""


class World:
    """The app of one test, with a job of its own."""

    def __init__(self, storage: Storage) -> None:
        self.clockwork = Clockwork()
        self.name = self.clockwork.name = f"wind_{uuid4().hex[:8]}"
        plugin = SourcePlugin(
            "clockwork",
            SourceWords("Clockwork", "Clockwork"),
            jobs=(Job(self.name, "0 0 * * * *", "wind the clocks"),),
            open=lambda _engine: self.clockwork,
        )
        self.storage = storage
        self.services = Container({}, registry=Registry((plugin,)), storage=storage)

    async def messages(self) -> list[str]:
        """What lies on the queue of jobs, taken off it."""
        queue, found = self.storage.queue(JOB_QUEUE), []
        async for message in queue.receive_messages(messages_per_page=32):
            found.append(str(message.content))
            await queue.delete_message(message)
        return [text for text in found if self.name in text]

    async def post(self, body: Any = None, name: str = "") -> Any:
        sent = b"" if body is None else body
        return await ask(self.services.handler("jobs"), sent, name=name or self.name)

    async def shown(self) -> dict[str, Any]:
        answer = await ask(self.services.handler("jobs"), method="GET", name=self.name)
        assert answer.status == 200
        return dict(answer.body)


@pytest.fixture
async def world(azurite: Azurite) -> AsyncIterator[World]:
    storage = Storage({"AzureWebJobsStorage": azurite.connection_string})
    opened = World(storage)
    yield opened
    await opened.services.aclose()
    await storage.aclose()


async def until_shown(world: World, state: str) -> dict[str, Any]:
    """The job, once its run is in a state."""
    async with asyncio.timeout(10):
        while True:
            found = await world.shown()
            if found["run"]["state"] == state:
                return found
            await asyncio.sleep(0.05)


async def test_given_a_request_when_the_app_takes_it_up_then_its_progress_and_its_end_can_be_watched(
    world: World,
) -> None:
    answer = await world.post()
    assert (answer.status, answer.headers["Location"]) == (202, f"/api/jobs/{world.name}")
    assert (answer.body["run"]["state"], answer.body["run"]["dry_run"]) == ("waiting", False)
    assert (await world.shown())["run"]["state"] == "waiting"
    (message,) = await world.messages()
    working = asyncio.create_task(world.services.job_runner.run_asked(message))
    shown = await until_shown(world, "running")
    assert shown["running"]["holder"].startswith("request on ")
    assert (await world.post()).status == 409
    world.clockwork.go_on.set()
    await working
    ended = (await world.shown())["run"]
    assert (ended["state"], ended["id"], ended["code"]) == ("done", answer.body["run"]["id"], "")
    assert ended["parts"] == [{"name": "tower", "counts": {"turns": 2}, "finished": True, "reason": ""}]
    assert ended["samples"] == ["wound the tower clock"]
    assert (await world.shown())["running"] is None
    (run,) = world.clockwork.runs
    assert (run.always, run.dry_run) == (True, False)
    await world.services.job_runner.run_asked(message)
    assert len(world.clockwork.runs) == 1, "a message that comes twice does not run the job twice"


async def test_given_a_run_under_way_when_nobody_asks_then_its_counts_are_noted_meanwhile(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.jobs.NOTED_EVERY", 0.05)
    await world.post({"dry_run": True})
    (message,) = await world.messages()
    working = asyncio.create_task(world.services.job_runner.run_asked(message))
    for _ in range(200):
        if (shown := (await world.shown())["run"])["parts"]:
            break
        await asyncio.sleep(0.05)
    assert (shown["state"], shown["dry_run"], shown["parts"][0]["counts"]) == ("running", True, {"turns": 1})
    world.clockwork.go_on.set()
    await working
    assert world.clockwork.runs[0].dry_run


async def test_given_a_job_that_a_timer_runs_when_it_is_asked_for_then_it_is_refused_and_says_who_runs_it(
    world: World,
) -> None:
    timer = asyncio.create_task(world.services.job_runner.run_timer(world.name))
    for _ in range(500):
        if world.clockwork.runs:
            break
        await asyncio.sleep(0.02)
    answer = await world.post()
    assert (answer.status, answer.body["title"], answer.headers["Retry-After"]) == (409, "Already running", "60")
    assert f"the job {world.name} has been run by timer on " in answer.body["detail"].lower()
    assert await world.messages() == []
    world.clockwork.go_on.set()
    await timer
    assert (await world.post()).status == 202


async def test_given_a_timer_that_was_faster_when_a_request_is_taken_up_then_the_run_has_failed_and_says_why(
    world: World,
) -> None:
    await world.post()
    (message,) = await world.messages()
    async with world.services.job_leases.hold(world.name, timedelta(minutes=1), holder="timer on one"):
        await world.services.job_runner.run_asked(message)
    run = (await world.shown())["run"]
    assert (run["state"], run["code"], "timer on one" in run["reason"]) == ("failed", "job_running", True)
    assert world.clockwork.runs == []


async def test_given_a_job_that_fails_when_it_ends_then_the_reason_and_what_was_done_are_shown(world: World) -> None:
    world.clockwork.go_on.set()
    world.clockwork.failure = SourceUnavailable("the tower is locked", status=503)
    await world.post()
    (message,) = await world.messages()
    await world.services.job_runner.run_asked(message)
    run = (await world.shown())["run"]
    assert (run["state"], run["code"], run["reason"]) == ("failed", "source_unavailable", "the tower is locked")
    assert run["parts"][0]["counts"] == {"turns": 1}
    world.clockwork.failure = RuntimeError("password=secret")
    await world.post()
    (message,) = await world.messages()
    with pytest.raises(RuntimeError):
        await world.services.job_runner.run_asked(message)
    run = (await world.shown())["run"]
    assert (run["state"], run["reason"]) == ("failed", "RuntimeError; the app's log says where")


async def test_given_a_process_that_is_killed_when_the_run_is_shown_then_it_has_failed_and_is_not_begun_again(
    world: World,
) -> None:
    await world.post()
    (message,) = await world.messages()
    working = asyncio.create_task(world.services.job_runner.run_asked(message))
    await until_shown(world, "running")
    working.cancel()
    await asyncio.wait([working])
    run = (await world.shown())["run"]
    assert (run["state"], run["code"]) == ("failed", "job_interrupted")
    await world.services.job_runner.run_asked(message)
    assert len(world.clockwork.runs) == 1


async def test_given_two_requests_when_the_first_is_taken_up_last_then_only_the_newest_runs(world: World) -> None:
    await world.post()
    await world.post({"dry_run": True})
    world.clockwork.go_on.set()
    for message in reversed(await world.messages()):
        await world.services.job_runner.run_asked(message)
    (run,) = world.clockwork.runs
    assert run.dry_run


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"job": "nobody", "run": "x"}', "nonsense"])
async def test_given_what_is_no_request_when_it_lies_on_the_queue_then_nothing_runs(world: World, text: str) -> None:
    await world.services.job_runner.run_asked(text)
    assert world.clockwork.runs == []


async def test_given_requests_with_mistakes_when_they_come_then_each_mistake_is_named(world: World) -> None:
    unknown = await world.post(name=world.name[:-1])
    assert (unknown.status, unknown.body["errors"][0]["suggestions"]) == (404, [world.name])
    wrong = await world.post({"dry_run": "yes", "dryrun": True})
    assert wrong.status == 400
    assert {one["field"] for one in wrong.body["errors"]} == {"dry_run", "dryrun"}
    listed = await get(world.services.handler("jobs"))
    found = {one["name"]: one for one in listed["items"]}
    assert found[world.name]["does"] == "wind the clocks"
    assert {"resync", "full_check", "planned_work", "purge_audit_log"} < found.keys()


def test_more_parts_than_a_row_holds_are_counted_together() -> None:
    parts = [JobPart(f"subscription {number}", {"alerts": 2}, number != 99, "x" * 500) for number in range(100)]
    stored = storable(parts)
    assert len(stored) == MOST_PARTS + 1
    assert (stored[-1].name, stored[-1].counts, stored[-1].finished) == ("40 others", {"alerts": 80}, False)
    assert len(stored[0].reason) == 200
