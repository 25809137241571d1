"""Which controls become tickets, and which tickets end: decided from what was read, what was known and the link. Pure.

A control is over when it has its full score, when the tenant has settled it in the portal, and when Microsoft has
retired it. What the control says of itself because we told it so (see ``told``) is neither an end nor a beginning.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from connectors.secure_score.control_states import DEFAULT, told_state
from connectors.secure_score.payloads.listed import DEPRECATED, ended, read_listed
from connectors.secure_score.payloads.request import WantedTicket, asked
from connectors.secure_score.settings import ScoreRuleSettings, ScoreWhen, SecureScoreSettings
from shared.core.link import Link, LinkStage
from shared.core.signal import RESOLVED_RANK, Signal, SignalState
from shared.core.times import rfc3339
from shared.mapping.routes import matches_any
from shared.payloads.values import fold, given, number

#: Members of a profile that change without the control changing.
_VOLATILE = frozenset({"controlstateupdates", "lastmodifieddatetime", "rank", "azuretenantid"})

_TICK = timedelta(milliseconds=1)
_FULL = "full_score"


@dataclass(frozen=True, slots=True)
class KnownControl:
    """What was known of a control when it was read last.

    Attributes:
        key, origin: of its signals.
        modified: ``lastModifiedDateTime`` of the profile, as sent; mostly empty.
        digest: of what the profile says.
        score: points, None when the tenant's score does not have it.
        state: effective state: Default, Ignored, ThirdParty, Reviewed.
        rank: Microsoft's, as sent.
        over: it needed no ticket any more.
        announced: a ticket was ordered, and not yet its end.
        at: time of the event that was sent last, RFC 3339; empty for none.
    """

    key: str
    origin: str
    modified: str = ""
    digest: str = ""
    score: float | None = None
    state: str = DEFAULT
    rank: str = ""
    over: bool = False
    announced: bool = False
    at: str = ""

    def tells_as(self, before: KnownControl) -> bool:
        """Whether it says the same as before of its content and its score."""
        return (self.digest, self.score) == (before.digest, before.score)


@dataclass(frozen=True, slots=True)
class SeenControl:
    """A control as it is: its signal, what is to be known of it, and whether Microsoft has retired it."""

    signal: Signal
    known: KnownControl
    deprecated: bool = False


@dataclass(frozen=True, slots=True)
class ControlVerdict:
    """What is to be sent, None for nothing, and what is known from now on."""

    send: Signal | None
    known: KnownControl


def see(profile: Mapping[str, Any], entry: Mapping[str, Any], tenant: str, now: datetime) -> SeenControl:
    """Read a control.

    Args:
        profile: a secureScoreControlProfile.
        entry: what :func:`by_control` gives for it.
        tenant: its id, where the answers do not name it.
        now: time of the reading.

    Raises Unidentified for one that cannot be told from others.
    """
    folded = fold(profile)
    signal = read_listed(profile, entry, tenant, now)
    stable = {name: value for name, value in folded.items() if name not in _VOLATILE}
    text = json.dumps(stable, sort_keys=True, separators=(",", ":"), default=str)
    known = KnownControl(
        key=signal.key,
        origin=signal.origin,
        modified=given(folded.get("lastmodifieddatetime")),
        digest=sha256(text.encode()).hexdigest()[:32],
        score=number(signal.details.get("score")),
        state=signal.details.get("control_state", DEFAULT),
        rank=signal.details.get("rank", ""),
    )
    return SeenControl(signal, known, deprecated=signal.details.get("resolution") == DEPRECATED)


def vanished(known: KnownControl, link: Link | None, now: datetime) -> Signal:
    """The end of a control that Microsoft does not list any more."""
    tenant, _, control = known.origin.partition("/")
    signal = Signal(
        source="secure_score",
        kind="control",
        key=known.key,
        state=SignalState.RESOLVED,
        occurred_at=now,
        title=(link.title if link is not None else "") or f"Secure Score control {control}",
        details={"control_id": control, "tenant_id": tenant},
        origin=known.origin,
    )
    return ended(signal, "no_longer_listed", "Microsoft does not list the control any more.", now)


class ControlChooser:
    """The rules of one configuration, compiled. ``digest`` differs for other rules."""

    def __init__(self, settings: SecureScoreSettings) -> None:
        self._rules = [(rule, _test(rule.when)) for rule in settings.rules]
        self._requested_by = settings.requested_by
        text = json.dumps([rule.model_dump(mode="json", exclude={"fields"}) for rule in settings.rules])
        self.digest = sha256(text.encode()).hexdigest()[:32]

    def choose(self, seen: SeenControl, before: KnownControl | None) -> ScoreRuleSettings | None:
        """The first rule that a control matches. Controls without a score in the tenant match none, nor do those that
        Microsoft does not score."""
        if not seen.signal.opens or "score" not in seen.signal.details:
            return None
        return next((rule for rule, matches in self._rules if matches(seen, before)), None)

    def order(self, seen: SeenControl, rule: ScoreRuleSettings | None, now: datetime) -> Signal:
        """The signal that orders a ticket; without a rule for a control whose ticket comes back."""
        due = None if rule is None or rule.due_in is None else now + rule.due_in
        request = WantedTicket(
            requested_by=self._requested_by,
            priority=None if rule is None else rule.priority,
            due=due,
            rule="" if rule is None else rule.name,
        )
        return asked(seen.signal, request)


def is_settled(seen: SeenControl, before: KnownControl | None, same_rules: bool) -> bool:
    """Whether a control needs no look at its link, because nothing changed."""
    known = seen.known
    if before is None or not known.tells_as(before):
        return False
    if (known.state, known.modified) != (before.state, before.modified):
        return False
    return before.announced or before.over or (same_rules and known.rank == before.rank)


def judge(
    seen: SeenControl, before: KnownControl | None, link: Link | None, chooser: ControlChooser, now: datetime
) -> ControlVerdict:
    """What a control that is not settled requires.

    Args:
        seen: the control as it is.
        before: what was known of it, None when it is new.
        link: that of its key, None when it has none.
        chooser: the rules.
        now: present time.
    """
    announced = before is not None and before.announced
    known = replace(seen.known, announced=announced, at="" if before is None else before.at)
    state = known.state.casefold()
    echo = link is not None and state == told_state(link.last_pushed).casefold()
    ours = echo and state != DEFAULT.casefold()
    full = seen.signal.details.get("resolution") == _FULL
    if full or seen.deprecated or (seen.signal.state is SignalState.RESOLVED and not ours):
        over = replace(known, announced=False, over=True)
        return said(seen.signal, over, link) if announced or has_ticket(link) else ControlVerdict(None, over)
    if ours or (echo and before is not None and known.tells_as(before)):
        return ControlVerdict(None, known)
    if not seen.signal.opens:  # not scored: no ticket begins or comes back, and one that is open stays as it is
        return ControlVerdict(None, known)
    rule = chooser.choose(seen, before)
    was_over = before is not None and (before.over or before.state != DEFAULT)
    if rule is None and not (was_over and has_ticket(link)):
        return ControlVerdict(None, known)
    news = before is not None and not (known.tells_as(before) and known.state == before.state)
    known = replace(known, announced=True)
    if not news and link is not None and link.stage is LinkStage.OPEN:
        return ControlVerdict(None, known)  # it has its ticket, and there is nothing to add
    return said(chooser.order(seen, rule, now), known, link)


def said(signal: Signal, known: KnownControl, link: Link | None) -> ControlVerdict:
    """What is sent, made newer than what was said before; remembered in what is known.

    A score bears the day and not the hour: without this, what happens on the day of the last event would be taken for
    something older. What a run that died has sent already comes out the same in the next, and is recognised.
    """
    last = datetime.fromisoformat(known.at) if known.at else None
    if last is not None and signal.occurred_at <= last:
        signal = replace(signal, occurred_at=last + _TICK)
    if link is not None and link.latest is not None and signal.order <= link.latest:
        # Others have said something newer; only what contradicts it has to be newer still.
        over = link.latest[1] == RESOLVED_RANK or link.stage in (LinkStage.RESOLVED, LinkStage.CLOSED)
        if (signal.state is SignalState.RESOLVED) is not over:
            signal = replace(signal, occurred_at=link.latest[0] + _TICK)
    return ControlVerdict(signal, replace(known, at=rfc3339(signal.occurred_at) or ""))


def has_ticket(link: Link | None) -> bool:
    """Whether a key has, or is about to have, a ticket."""
    return link is not None and (link.ticket is not None or link.pending is not None or link.first_held is not None)


_Test = Callable[[SeenControl, KnownControl | None], bool]


def _test(when: ScoreWhen) -> _Test:
    tests: list[_Test] = []
    named = {
        "category": when.category,
        "service": when.service,
        "tier": when.tier,
        "control_id": when.control,
        "user_impact": when.user_impact,
        "implementation_cost": when.implementation_cost,
    }
    tests += [_named(name, patterns) for name, patterns in named.items() if patterns is not None]
    if when.max_score is not None:
        tests.append(_least("max_score", when.max_score))
    if when.rank is not None:
        tests.append(_most("rank", when.rank))
    if when.below is not None:
        tests.append(_below(when.below))
    if when.dropped:
        tests.append(_dropped)
    return lambda seen, before: all(test(seen, before) for test in tests)


def _named(name: str, patterns: str | Sequence[str]) -> _Test:
    matches = matches_any(patterns if isinstance(patterns, str) else list(patterns))
    return lambda seen, _: matches(seen.signal.details.get(name, ""))


def _least(name: str, least: float) -> _Test:
    return lambda seen, _: (found := number(seen.signal.details.get(name))) is not None and found >= least


def _most(name: str, most: float) -> _Test:
    return lambda seen, _: (found := number(seen.signal.details.get(name))) is not None and found <= most


def _below(share: float) -> _Test:
    return lambda seen, _: (found := number(seen.signal.details.get("score_percentage"))) is not None and found < share


def _dropped(seen: SeenControl, before: KnownControl | None) -> bool:
    score = seen.known.score
    return before is not None and before.score is not None and score is not None and score < before.score
