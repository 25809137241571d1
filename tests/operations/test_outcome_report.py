"""The report of what became of signals, or would have become of them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.core.ticket_json import ticket_json
from shared.core.ticket_system import TicketKind, TicketRef
from shared.operations import outcome_report as module
from shared.operations.audit_log import AuditEntry
from shared.operations.outcome_report import action_of, outcome_report

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def entry(number: int, decision: str = "created", mode: str = "", route: str = "all", rendered: str = "") -> AuditEntry:
    moment = NOW + timedelta(seconds=number)
    key = f"alert:1:{number}"
    return AuditEntry(moment, f"{number:032x}", decision, key=key, route=route, mode=mode, rendered=rendered)


async def rows(*entries: AuditEntry) -> AsyncIterator[AuditEntry]:
    for one in entries:
        yield one


@pytest.mark.parametrize(
    ("decision", "action"),
    [
        ("created", "create"),
        ("created_resolved", "create"),
        ("created_commented", "create"),
        ("commented", "update"),
        ("handed_over", "update"),
        ("commented_resolved", "resolve"),
        ("resolved", "resolve"),
        ("resolved_before_fired", "none"),
        ("reopened", "reopen"),
        ("grouped", "grouped"),
        ("suppressed", "suppressed"),
        ("no_ticket", "none"),
        ("no_route", "none"),
        ("already_over", "none"),
        ("refused", "refused"),
        ("dead_lettered", "refused"),
        ("a decision of next year", "none"),
    ],
)
def test_every_decision_is_an_action(decision: str, action: str) -> None:
    assert action_of(decision) == action


async def test_signals_are_counted_by_mode_route_and_action_with_some_samples() -> None:
    calls = json.dumps([{"call": "create", "fields": {"description": "x-functions-key: Sw0rdfish-very-long-1"}}])
    dry = [entry(n, mode="dry_run", rendered=calls) for n in range(5)]
    found = await outcome_report(rows(entry(9), *dry, entry(10, "no_ticket", "dry_run", "noise")), samples=2)
    assert [(line.mode, line.route, line.action, line.count) for line in found.lines] == [
        ("dry_run", "all", "create", 5),
        ("dry_run", "noise", "none", 1),
        ("live", "all", "create", 1),
    ]
    shown = found.shown()
    assert (shown["signals"], shown["truncated"], len(shown["lines"][0]["samples"])) == (7, False, 2)
    assert shown["lines"][0]["samples"][0]["calls"][0]["call"] == "create"
    assert "Sw0rdfish" not in json.dumps(shown)


async def test_a_sample_shows_its_ticket_as_all_answers_do_and_none_that_was_only_rehearsed() -> None:
    ticket: dict[str, Any] = {"ticket_kind": "incident", "ticket_id": "9b1e", "connection": "desk"}
    made = replace(entry(1), **ticket, ticket_number="INC0010042", ticket_url="https://x.example/1")
    event = replace(entry(2), **{**ticket, "ticket_kind": "event"})
    rehearsed = replace(entry(3, mode="dry_run"), **ticket)
    found = await outcome_report(rows(made, event, rehearsed))
    shown = {sample["key"]: sample["ticket"] for line in found.lines for sample in line.samples}
    reference = TicketRef(TicketKind.INCIDENT, "9b1e", "", "INC0010042", "https://x.example/1")
    assert shown["alert:1:1"] == ticket_json(reference, "desk")
    assert shown["alert:1:2"] == ticket_json(TicketRef(TicketKind.EVENT, "9b1e", ""), "desk")
    assert shown["alert:1:3"] is None


async def test_one_mode_can_be_chosen_and_cut_calls_are_shown_as_text() -> None:
    found = await outcome_report(rows(entry(1), entry(2, mode="dry_run", rendered='[{"call": "cre')), mode="dry_run")
    (line,) = found.lines
    assert (found.signals, line.samples[0]["calls"]) == (1, '[{"call": "cre')


async def test_a_report_of_very_many_signals_says_that_it_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_ROWS", 3)
    found = await outcome_report(rows(*(entry(n) for n in range(5))))
    assert (found.signals, found.truncated) == (3, True)
