"""Governance rules: who has to fix a recommendation, and until when. Pure: functions of values and of ``now``.

An assignment that is open stays as it is: a later poll, an edited rule or a message that comes twice never moves its
due date or its owner. One that is over starts anew when the finding fires again. One that was withdrawn is over until
the finding itself has ended: then a rule may assign it anew when it returns.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from connectors.defender.assignments.assignment import WITHDRAWN, Assignment
from connectors.defender.routes import OWN_FIELD, integration_of, settings_of, with_facts
from connectors.defender.scopes import places
from connectors.defender.settings import GovernanceRuleSettings, IntegrationSettings
from connectors.defender.settings import OwnerSettings as OwnerSection
from shared.core.plugins import Previewed
from shared.core.signal import Signal, SignalState
from shared.core.ticket_system import TicketKind
from shared.core.times import rfc3339
from shared.mapping.mapper import Mapper
from shared.mapping.routes import Predicate, compile_when, matches_any
from shared.mapping.templates import find

#: What became of a recommendation whose payload does not say why it is over.
_HEALTHY = "healthy"


@dataclass(frozen=True, slots=True)
class CompiledRule:
    """A rule ready for use. Scopes are in lower case."""

    rule: GovernanceRuleSettings
    scope: str
    excluded: frozenset[str]
    matches: Predicate
    names: Callable[[str], bool] | None

    def assigns(self, signal: Signal) -> bool:
        """Whether the rule assigns a recommendation."""
        if self.rule.disabled:
            return False
        where = places(signal)
        if self.scope not in where or not self.excluded.isdisjoint(where):
            return False
        return self._is_meant(signal) and self.matches(signal)

    def _is_meant(self, signal: Signal) -> bool:
        if self.names is None:
            return True
        known = (signal.rule or "", signal.details.get("assessment_key", ""))
        return any(self.names(name) for name in known if name)


def compile_rules(sections: Sequence[GovernanceRuleSettings]) -> tuple[CompiledRule, ...]:
    """The rules in the order in which they are tried: by priority, the lowest number first, then as in the file."""
    compiled = [
        CompiledRule(
            rule=section,
            scope=section.scope.lower(),
            excluded=frozenset(scope.lower() for scope in section.excluded_scopes),
            matches=compile_when(section.when),
            names=None if section.recommendations is None else matches_any(section.recommendations),
        )
        for section in sections
    ]
    return tuple(sorted(compiled, key=lambda each: each.rule.priority))


def assign(
    signal: Signal,
    rules: Sequence[CompiledRule],
    integration: IntegrationSettings | None,
    now: datetime,
    before: Assignment | None = None,
) -> Assignment | None:
    """The assignment of a recommendation that is unhealthy, None when nobody has to fix it.

    Args:
        signal: the recommendation.
        rules: as :func:`compile_rules` orders them.
        integration: the one that covers it; without one no rule assigns, for there would be no ticket.
        now: present time, UTC.
        before: what is known of the recommendation.

    Returns:
        ``before`` while it is open, while it is taken back, and for an event that it has seen already; else a new one,
        by the first rule that matches. An assignment that a person made and that ended by itself returns with its
        finding, with as much time as it had, when no rule says otherwise.
    """
    if before is not None and (before.open or before.taken_back or _has_seen(before, signal)):
        return before
    if integration is None or not signal.opens:
        return None
    found = next((each.rule for each in rules if each.assigns(signal)), None)
    told = before.last_pushed if before is not None else ""
    if found is not None:
        return replace(_by_rule(signal, found, integration, now), last_pushed=told)
    if before is None or before.rule or before.withdrawn:
        return None
    return replace(
        before,
        due=_whole(now) + (before.due - _whole(before.created_at)),
        created_at=now,
        integration=integration.name,
        ticket_key="",
        latest=signal.order,
        ended_at=None,
        outcome="",
        overdue_since=None,
        reminded_at=None,
    )


def over(
    signal: Signal,
    rules: Sequence[CompiledRule],
    integration: IntegrationSettings | None,
    now: datetime,
    before: Assignment | None,
) -> Assignment | None:
    """The assignment after the recommendation's end, None when nobody had to fix it.

    An end that comes before its beginning is remembered where a rule would assign the recommendation, so that the
    firing it ended is not assigned when it comes at last; such an assignment has no ticket. A withdrawn one learns how
    its finding ended. Arguments as for :func:`assign`.
    """
    if before is None:
        firing = replace(signal, state=SignalState.FIRED, opens=True)
        before = assign(firing, rules, integration, now)
        if before is None:
            return None
    outcome = signal.details.get("resolution") or _HEALTHY
    if before.taken_back and outcome != WITHDRAWN and before.latest == signal.order:
        return replace(before, outcome=outcome)  # a withdrawal is ordered as an end that came with the last event
    if _has_seen(before, signal):
        return before
    if before.taken_back:
        return replace(before, latest=signal.order, outcome=outcome)
    if not before.open:
        return replace(before, latest=signal.order)
    said = signal.details.get(WITHDRAWN, "")
    return replace(before, latest=signal.order, ended_at=signal.resolved_at or now, outcome=outcome, withdrawn=said)


def noticed(assignment: Assignment, signal: Signal) -> Assignment:
    """The assignment after an event of its finding, which changes nothing but what was seen last: of one that is open,
    and of one that is taken back, so that only a later end counts as its finding's."""
    if not (assignment.open or assignment.taken_back) or _has_seen(assignment, signal):
        return assignment
    return replace(assignment, latest=signal.order)


def facts(assignment: Assignment, integration: IntegrationSettings | None) -> dict[str, str]:
    """What templates are told of an assignment: see ``connectors.defender.routes.FACTS``.

    Args:
        assignment: open or ended.
        integration: its integration, None when the configuration has it no more.
    """
    return {
        "owner": assignment.owner,
        "due_date": assignment.due.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S"),
        "assignment_caller": assignment.caller or (integration.caller if integration is not None else ""),
        "governance_rule": assignment.rule,
        "assigned_by": assignment.by,
        "integration": assignment.integration,
        "assignment_kind": assignment.kind.value,
        "assignment_ticket": assignment.ticket_key,
        **{f"{OWN_FIELD}{name}": value for name, value in assignment.fields.items()},
    }


def stamped(signal: Signal, assignment: Assignment, integration: IntegrationSettings | None) -> Signal:
    """The signal with the facts of its assignment among its details."""
    return with_facts(signal, facts(assignment, integration))


def owner_of(section: OwnerSection, signal: Signal) -> str:
    """The owner that a rule gives: its fixed value, or what a tag of the resource says, found without case."""
    if section.tag is None:
        return section.value or section.otherwise
    return str(find(signal.tags, section.tag) or "").strip() or section.otherwise


def _by_rule(
    signal: Signal, rule: GovernanceRuleSettings, integration: IntegrationSettings, now: datetime
) -> Assignment:
    first = signal.resources[0] if signal.resources else None
    return Assignment(
        key=signal.key,
        origin=signal.origin,
        owner=owner_of(rule.owner, signal),
        due=_whole(now) + timedelta(days=rule.days),
        integration=integration.name,
        kind=TicketKind(rule.ticket or integration.ticket),
        created_at=now,
        title=signal.rule or signal.title,
        resource=(first.name or first.id or "") if first is not None else "",
        grace=rule.grace,
        notify_owner=rule.notify_owner,
        notify_manager=rule.notify_manager,
        rule=rule.name,
        latest=signal.order,
    )


def _has_seen(assignment: Assignment, signal: Signal) -> bool:
    return assignment.latest is not None and signal.order <= assignment.latest


def _whole(moment: datetime) -> datetime:
    """A time in whole seconds, which is what ticket systems and Defender for Cloud keep."""
    return moment.astimezone(UTC).replace(microsecond=0)


def preview_assignment(signal: Signal, mapper: Mapper, rules: Sequence[CompiledRule], now: datetime) -> Previewed:
    """The signal as the first governance rule that matches would assign it now, whatever assignments are stored, and
    what a preview shows of that; of management groups only what the payload says is known."""
    if signal.kind != "recommendation":
        return Previewed(signal)
    integration = settings_of(integration_of(mapper, signal))
    found = assign(replace(signal, opens=True), rules, integration, now)
    if found is None:
        return Previewed(signal)
    shown = {
        "integration": found.integration,
        "rule": found.rule,
        "owner": found.owner,
        "due": rfc3339(found.due),
    }
    reason = f"governance rule '{found.rule}' assigns it"
    return Previewed(stamped(signal, found, integration), reason, {"assignment": shown})
