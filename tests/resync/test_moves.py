"""How a link follows its ticket, and how a ticket finds its link: for any values."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import example, given
from hypothesis import strategies as st

from shared.core.link import MAX_CORRELATION, Link, LinkStage, Op, Pending, correlation, link_id, link_ids, ticket_id
from shared.core.ticket_system import Person, Phase, TicketKind, TicketRef, TicketSnapshot
from shared.resync.changes import SKEW, TicketMatch, called, contested, fit, moved

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
KEY = "alert:1:x"

payloads = st.one_of(
    st.text(min_size=1, max_size=200).filter(str.strip),
    st.text("ab#2", min_size=1, max_size=8),
    st.integers(60, 120).map("a".__mul__),
    st.integers(2, 99).map(lambda n: f"{'a' * 88}#{n}"),
    st.text("0123456789abcdef", min_size=64, max_size=64).map("sha256.".__add__),
)
keys = st.builds("{}:{}:{}".format, st.text("abcdefghij", min_size=1, max_size=30), st.integers(1, 12), payloads)
generations = st.integers(1, 120)


def ticket_of(key: str, generation: int) -> TicketRef:
    return TicketRef(TicketKind.INCIDENT, ticket_id("desk", key, generation), correlation(key, generation))


@given(keys, generations, st.lists(st.tuples(keys, generations), max_size=4))
@example("alert:1:x#2", 1, [("alert:1:x", 2)])
@example("alert:1:x", 2, [("alert:1:x#2", 1)])
@example("alert:1:x#2", 2, [("alert:1:x", 2), ("alert:1:x#2#2", 1)])
@example("alert:1:" + "y" * MAX_CORRELATION, 3, [])
@example("alert:1:sha256." + "0" * 64, 2, [])
def test_a_ticket_finds_its_link_whatever_its_key_and_the_others_are(
    key: str, generation: int, others: list[tuple[str, int]]
) -> None:
    held = {**dict(others), key: generation}
    links = {
        link_id(one): Link(one, number, LinkStage.OPEN, "desk", ticket=ticket_of(one, number))
        for one, number in held.items()
    }
    changed = replace(account(), ref=ticket_of(key, generation))
    asked = link_ids(changed.ref.correlation)
    assert 1 <= len(asked) <= 4
    found = [links[row] for row in asked if row in links and fit(links[row], changed, "desk") is TicketMatch.OURS]
    assert [link.key for link in found] == [key]


def test_almost_every_ticket_costs_one_look() -> None:
    assert link_ids("alert:1:x") == (link_id("alert:1:x"),)
    assert link_ids(correlation("alert:1:" + "y" * 200, 1))[0] == link_id("alert:1:" + "y" * 200)
    assert link_ids("alert:1:x#2") == (link_id("alert:1:x"), link_id("alert:1:x#2"))
    assert link_ids("alert:1:x#1") == (link_id("alert:1:x#1"),)
    assert link_ids("alert:1:x#02") == (link_id("alert:1:x#02"),)


def test_an_earlier_generation_or_another_connection_does_not_fit() -> None:
    second = link(generation=2, ticket=ticket_of(KEY, 2))
    assert fit(second, account(), "desk") is TicketMatch.OTHER
    assert fit(link(), account(), "desk") is TicketMatch.OURS
    assert fit(link(), account(), "other desk") is TicketMatch.OTHER


def account(**changes: object) -> TicketSnapshot:
    base = TicketSnapshot(ticket_of(KEY, 1), Phase.OPEN, "2", "In Progress", NOW, "beth.anglin", 5)
    return replace(base, **changes)  # type: ignore[arg-type]  # fields by name


def link(**changes: object) -> Link:
    base = Link(KEY, 1, LinkStage.OPEN, "desk", ticket=ticket_of(KEY, 1), state="2", revision=5)
    return replace(base, **changes)  # type: ignore[arg-type]  # fields by name


accounts = st.builds(
    account,
    phase=st.sampled_from(Phase),
    state=st.sampled_from(["1", "2", "6", "7"]),
    revision=st.integers(0, 9),
    due_date=st.none() | st.just(NOW),
    assigned_to=st.none() | st.just(Person("b", "beth.anglin", "Beth Anglin")),
)
links = st.builds(
    link,
    stage=st.sampled_from([LinkStage.OPEN, LinkStage.RESOLVED, LinkStage.CLOSED]),
    state=st.sampled_from(["", "1", "2", "6", "7"]),
    revision=st.integers(0, 9),
    ended=st.none() | st.just(NOW - timedelta(days=1)),
    ticket_read_at=st.none() | st.just(NOW - timedelta(hours=1)),
    pending=st.none()
    | st.just(Pending(Op.COMMENT, "f", NOW, (NOW, 0), False, 1, "desk", TicketKind.INCIDENT, "default")),
)


@given(links, st.lists(accounts, min_size=1, max_size=4))
def test_the_newest_account_wins_and_a_repetition_changes_nothing(before: Link, told: list[TicketSnapshot]) -> None:
    after = before
    for one in told:
        after = moved(after, one, NOW)
        assert moved(after, one, NOW) is after
        assert after.revision >= before.revision
    newest = max(one.revision for one in told)
    if newest < before.revision:
        assert after is before
        return
    last = [one for one in told if one.revision >= before.revision and one.revision == newest][-1]
    assert (after.state, after.due, after.owner, after.revision) == (
        last.state,
        last.due_date,
        called(last.assigned_to),
        newest,
    )
    assert after.stage == (before.stage if before.pending else LinkStage(last.phase.value))
    assert (after.pending, after.latest, after.last_pushed, after.ticket) == (before.pending, None, "", before.ticket)


def test_what_people_resolve_has_ended_and_what_they_reopen_has_not() -> None:
    resolved = account(phase=Phase.RESOLVED, state="6", revision=6)
    assert moved(link(), resolved, NOW).ended == NOW
    known = NOW - timedelta(days=1)
    assert moved(link(ended=known), resolved, NOW).ended == known
    assert moved(link(stage=LinkStage.RESOLVED, ended=known, state="6"), account(revision=6), NOW).ended is None


def test_an_account_is_contested_only_where_it_disagrees_with_an_answer_of_about_that_time() -> None:
    other = account(phase=Phase.RESOLVED, state="6", revision=6)
    assert contested(link(ticket_read_at=NOW), other, NOW)
    assert contested(link(ticket_read_at=NOW + timedelta(minutes=1)), other, NOW)
    assert not contested(link(ticket_read_at=NOW - SKEW - timedelta(seconds=1)), other, NOW)
    assert not contested(link(ticket_read_at=NOW), account(revision=6), NOW)  # they agree
    assert not contested(link(ticket_read_at=NOW), replace(other, revision=4), NOW)  # it is older by its own count
    assert not contested(link(), other, NOW)


def test_people_are_called_by_the_best_that_is_known() -> None:
    assert called(None) == ""
    assert called(Person("b", "beth.anglin", "Beth Anglin", "beth@contoso.example")) == "Beth Anglin"
    assert called(Person("b", "beth.anglin")) == "beth.anglin"
    assert called(Person("b")) == "b"
