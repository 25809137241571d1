"""One ticket for each row or item of an alert, told as stories."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from shared.core.signal import Resource, Row, Rows, Signal, SignalState
from shared.core.ticket_system import Phase
from tests.delivery.story import Story
from tests.splitting.alerts import ITEM, MINUTE, ROW, alert, phases, rows_of


class Parts(Story):
    """Alerts with rows, one after the other."""

    def __init__(self, route: str = ROW, **options: Any) -> None:
        super().__init__(route=route, **options)

    def comes(self, one: Signal) -> None:
        self._count += 1
        self.world.now = max(self.world.now, one.occurred_at)
        self.world.post(one, f"{self._count:032x}")
        self.world.work_off()

    def over(self, minute: float, fired: float) -> None:
        """The Resolved of the alert that fired then; it brings no rows, as Azure sends it."""
        self.comes(replace(alert(minute, key=f"alert:1:at-{fired}", state=SignalState.RESOLVED), series=""))

    @property
    def phases(self) -> dict[str, str]:
        return phases(self.world)

    @property
    def decisions(self) -> list[str]:
        return [f"{one.kind}: {one.decision}" for one in self.world.listener.outcomes]


def test_three_computers_in_one_alert_are_three_tickets() -> None:
    story = Parts()
    story.comes(alert(0, "web-01", "web-02", "web-03"))
    assert story.phases == {f"Disk full on web-0{number}": "open" for number in (1, 2, 3)}
    first = story.world.desk.drafts[0].fields
    assert "FreeMB: 0" in first["description"]
    assert "web-02" not in first["description"]


def test_the_resolved_of_the_alert_resolves_all_of_them_though_it_brings_no_rows() -> None:
    story = Parts()
    story.comes(alert(0, "web-01", "web-02"))
    story.over(5, fired=0)
    assert set(story.phases.values()) == {"resolved"}


def test_each_ticket_has_its_own_life() -> None:
    story = Parts()
    story.comes(alert(0, "web-01", "web-02"))
    story.ticket(0).phase = Phase.RESOLVED
    story.comes(alert(5, "web-02"))
    assert story.phases == {"Disk full on web-01": "resolved", "Disk full on web-02": "open"}


def test_a_row_that_a_later_firing_does_not_have_ends_its_own_ticket() -> None:
    story = Parts(recheck="1h")
    story.comes(alert(0, "web-01", "web-02", "web-03"))
    story.comes(alert(5, "web-01", "web-03"))
    assert story.phases == {
        "Disk full on web-01": "open",
        "Disk full on web-02": "resolved",
        "Disk full on web-03": "open",
    }
    note = story.world.desk.closures[-1].note
    assert note is not None
    assert "not among those of the alert that fired at" in note.text


def test_a_row_that_comes_back_reopens_its_own_ticket() -> None:
    story = Parts()
    story.comes(alert(0, "web-01", "web-02"))
    story.comes(alert(5, "web-01"))
    story.comes(alert(10, "web-01", "WEB-02"))
    assert set(story.phases.values()) == {"open"}
    assert len(story.tickets) == 2


def test_an_older_firing_that_comes_late_ends_what_the_newer_one_did_not_have() -> None:
    story = Parts()
    story.comes(alert(5, "web-01"))
    story.comes(alert(0, "web-01", "web-02"))
    assert story.phases == {"Disk full on web-01": "open", "Disk full on web-02": "resolved"}


def test_a_resolved_that_comes_before_its_fired_leaves_no_ticket_open() -> None:
    story = Parts()
    story.over(5, fired=0)
    story.comes(alert(0, "web-01", "web-02"))
    assert set(story.phases.values()) == {"resolved"}


def test_a_resolved_whose_time_lost_its_fraction_ends_all_the_same() -> None:
    story = Parts()
    fired = alert(0, "web-01")
    story.comes(replace(fired, occurred_at=fired.occurred_at.replace(microsecond=700_000)))
    story.over(0, fired=0)
    assert set(story.phases.values()) == {"resolved"}


def test_the_same_firing_again_makes_no_ticket_and_no_note() -> None:
    story = Parts()
    for _ in range(3):
        story.comes(alert(0, "web-01", "web-02"))
    assert len(story.tickets) == 2
    assert story.decisions.count("signal_split: duplicate") == 2
    assert "comment" not in story.world.desk.calls


def test_the_end_of_an_older_alert_does_not_end_what_fired_again_since() -> None:
    story = Parts()
    story.comes(alert(0, "web-01", "web-02"))
    story.comes(alert(10, "web-01"))
    story.over(5, fired=0)
    assert story.phases == {"Disk full on web-01": "open", "Disk full on web-02": "resolved"}


def test_rules_and_dimensions_have_rows_of_their_own() -> None:
    story = Parts()
    story.comes(alert(0, "web-01", series="log:1:disk full|drive=c"))
    story.comes(alert(5, "web-02", series="log:1:disk full|drive=d"))
    assert set(story.phases.values()) == {"open"}


def test_rows_that_are_equal_in_the_columns_of_the_configuration_share_a_ticket() -> None:
    values = [("web-01", "C", "1"), ("web-01", "D", "2"), ("web-01", "C", "3")]
    table = Rows(
        ("Computer", "Drive", "FreeMB"), tuple(Row(row, Resource(None, row[0])) for row in values), 3, ("Computer",)
    )
    story = Parts("group: {by: row, columns: [computer, drive]}")
    story.comes(alert(0, rows=table))
    assert set(story.phases) == {"Disk full on web-01, C", "Disk full on web-01, D"}
    assert "web-01 | C | 3" in story.world.desk.drafts[0].fields["description"]


def test_a_column_that_is_not_there_is_named() -> None:
    story = Parts("group: {by: row, columns: [Host]}")
    story.comes(alert(0, "web-01"))
    assert story.world.listener.outcomes[0].warnings == (
        "The rows have no column Host; they are told apart by Computer.",
    )


def test_what_is_more_than_the_bound_is_listed_in_one_more_ticket_and_nothing_is_dropped() -> None:
    story = Parts("group: {by: row, most: 2}")
    story.comes(alert(0, *(f"web-{number:02}" for number in range(7))))
    assert set(story.phases) == {"Disk full on web-00", "Disk full on web-01", "Disk full: 5 more rows"}
    text = story.world.desk.drafts[-1].fields["description"]
    assert all(f"web-{number:02}" in text for number in range(2, 7))
    story.comes(alert(5, "web-06", "web-00"))
    assert story.phases == {
        "Disk full on web-00": "open",
        "Disk full on web-01": "resolved",
        "Disk full: 5 more rows": "resolved",
        "Disk full on web-06": "open",
    }


def test_rows_with_a_ticket_keep_it_when_the_order_of_the_rows_changes() -> None:
    story = Parts("group: {by: row, most: 2}")
    story.comes(alert(0, "a", "b", "c"))
    story.comes(alert(5, "c", "b", "a"))
    assert set(story.phases) == {"Disk full on a", "Disk full on b", "Disk full: 1 more row"}
    assert set(story.phases.values()) == {"open"}


def test_rows_that_there_was_no_room_for_are_counted_and_end_nothing() -> None:
    story = Parts()
    story.comes(alert(0, "web-01", "web-02"))
    story.comes(alert(5, rows=rows_of("web-01", total=900)))
    assert story.phases == {
        "Disk full on web-01": "open",
        "Disk full on web-02": "open",
        "Disk full: 899 more rows": "open",
    }


def test_alerts_about_single_rows_do_not_end_each_other() -> None:
    story = Parts()
    story.comes(alert(0, rows=rows_of("web-01", whole=False), key="alert:1:a"))
    story.comes(alert(1, rows=rows_of("web-02", whole=False), key="alert:1:b"))
    assert set(story.phases.values()) == {"open"}


def test_an_alert_without_rows_has_one_ticket_that_its_resolved_resolves() -> None:
    story = Parts()
    story.comes(replace(alert(0), title="Disk full on law"))
    assert story.tickets == [("alert:1:at-0", "open")]
    story.over(5, fired=0)
    assert story.tickets == [("alert:1:at-0", "resolved")]


def test_a_key_that_fired_without_rows_and_then_with_rows_ends_as_a_whole() -> None:
    story = Parts()
    story.comes(alert(0, key="log:1:flat", series=""))
    story.comes(alert(5, "web-01", key="log:1:flat", series=""))
    story.comes(alert(9, key="log:1:flat", series="", state=SignalState.RESOLVED))
    assert [phase for _, phase in story.tickets] == ["resolved", "resolved"]


def test_each_affected_item_has_a_ticket_and_they_end_together() -> None:
    story = Parts(ITEM)
    items = tuple(Resource(f"/subscriptions/s/x/{name}", name) for name in ("sql-01", "sql-02", "sql-03"))
    one = replace(alert(0, key="alert:1:many", series=""), kind="metric", resources=items)
    story.comes(one)
    assert story.phases == {f"Disk full on sql-0{number}": "open" for number in (1, 2, 3)}
    story.over(5, fired=0)
    assert set(story.phases.values()) == {"open"}, "that was another alert"
    story.comes(replace(alert(6, key="alert:1:many", series="", state=SignalState.RESOLVED), kind="metric"))
    assert set(story.phases.values()) == {"resolved"}


def test_items_of_two_alerts_of_one_rule_do_not_end_each_other() -> None:
    story = Parts(ITEM)
    for number, name in enumerate(("sql-01", "sql-02")):
        item = (Resource(None, name),)
        story.comes(replace(alert(number, key=f"alert:1:{name}", series=""), kind="metric", resources=item))
    assert set(story.phases.values()) == {"open"}


def test_tickets_of_rows_pass_delays_and_throttles_like_all_others() -> None:
    story = Parts(f"{ROW}\nonly_after: {{lasting: 5m}}")
    story.comes(alert(0, "web-01", "web-02"))
    assert story.tickets == []
    story.comes(alert(3, "web-01"))
    story.later(6)
    assert story.phases == {"Disk full on web-01": "open"}
    throttled = Parts(sections="throttles: [{name: few, tickets: 2, per: 1h}]\n")
    throttled.comes(alert(0, *(f"web-{number}" for number in range(6))))
    throttled.later(10)
    assert len(throttled.tickets) == 3
    assert "4 alerts so far" in throttled.world.desk.drafts[-1].fields["description"]


@pytest.mark.parametrize("minutes", [(0, 5, 10), (10, 0, 5), (5, 10, 0)])
def test_firings_in_any_order_leave_open_what_the_newest_has(minutes: tuple[int, ...]) -> None:
    computers = {0: ("a", "b"), 5: ("b", "c"), 10: ("c", "d")}
    story = Parts()
    for minute in minutes:
        story.comes(alert(minute, *computers[minute]))
    found = {title.removeprefix("Disk full on "): phase for title, phase in story.phases.items()}
    assert found == {"a": "resolved", "b": "resolved", "c": "open", "d": "open"}


# --- rows that the payload does not bring


def queried(minute: float, **more: Any) -> Signal:
    return replace(alert(minute, **more), rows_from="disks")


def test_rows_that_are_read_in_time_are_split() -> None:
    story = Parts()
    story.world.reader.known["disks"] = rows_of("web-01", "web-02")
    story.comes(queried(0))
    assert set(story.phases) == {"Disk full on web-01", "Disk full on web-02"}
    story.over(5, fired=0)
    assert set(story.phases.values()) == {"resolved"}


def test_an_alert_whose_rows_may_not_be_read_has_one_ticket() -> None:
    story = Parts()
    story.comes(queried(0))
    story.comes(queried(0))
    assert story.tickets == [("alert:1:at-0", "open")]
    story.world.reader.known["disks"] = rows_of("web-01")
    story.comes(queried(0))
    assert story.tickets == [("alert:1:at-0", "open")], "it stays as it was decided once"
    story.over(5, fired=0)
    assert story.tickets == [("alert:1:at-0", "resolved")]


def test_an_alert_whose_rows_are_slow_waits_half_a_minute_and_has_one_ticket_then() -> None:
    story = Parts()
    story.world.reader.known["disks"] = rows_of("web-01", "web-02")
    story.world.post(queried(0), f"{1:032x}")
    for _ in range(40):
        ready = story.world.visible()
        if not ready:
            story.world.now = min(m.visible_at for m in story.world.queue.messages.values())
            continue
        number = story.world.start(ready[0])
        while number in story.world.running:
            slow = story.world.running[number].place == "rows"
            story.world.resume(number, "slow" if slow else "ok")
        if story.tickets:
            break
    assert story.tickets == [("alert:1:at-0", "open")]
    assert story.world.now <= alert(0).occurred_at + MINUTE
    story.later(5)
    assert "web-02" in story.ticket().notes[-1]


def test_a_dry_run_rehearses_each_row_and_remembers_nothing_that_is_live() -> None:
    story = Parts(f"{ROW}\nmode: dry_run")
    story.comes(alert(0, "web-01", "web-02"))
    assert (story.tickets, story.world.parts.rows) == ([], {})
    assert {one.mode for one in story.world.listener.outcomes} == {"dry_run"}
    rehearsed = [one.rendered for one in story.world.listener.outcomes if one.rendered]
    assert ["web-01" in text for text in rehearsed] == [True, False]
    story.over(5, fired=0)
    assert '"call": "resolve"' in story.world.listener.outcomes[-1].rendered
