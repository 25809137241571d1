"""Which controls rules choose. The controls are those of the stand-in's first day."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from connectors.secure_score.payloads.listed import by_control
from connectors.secure_score.poll.selection import ControlChooser, KnownControl, SeenControl, judge, see
from connectors.secure_score.settings import SecureScoreSettings
from local.azure.demo.identities import CONTOSO
from local.azure.demo.scores import fill_scores
from local.azure.graph.store import SecureScores
from local.simulator_kit.clock import Clock
from shared.core.link import Link, LinkStage
from shared.core.ticket_system import TicketKind, TicketRef

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)

#: Neither complete, nor settled, nor deprecated.
OPEN = {
    "AdminMFAV2",
    "DLPEnabled",
    "mip_sensitivitylabelspolicies",
    "IntuneDeviceCompliance",
    "exo_oauth2clientprofileenabled",
    "scid_2000",
}


def controls() -> list[SeenControl]:
    store = SecureScores(Clock())
    fill_scores(store)
    entry = by_control(store.listed(CONTOSO.id)[0])
    profiles = store.profiles[CONTOSO.id].values()
    return [see(profile, entry(profile["id"]), CONTOSO.id, NOW) for profile in profiles]


CONTROLS = controls()


def chooser(*rules: dict[str, Any]) -> ControlChooser:
    return ControlChooser(SecureScoreSettings.model_validate({"connection": "desk", "rules": list(rules)}))


def chosen(when: dict[str, Any], **before: Any) -> set[str]:
    """Ids of the controls that a rule with these conditions chooses."""
    rules = chooser({"name": "one", "when": when})
    known = (
        {seen.known.key: KnownControl(seen.known.key, seen.known.origin, **before) for seen in CONTROLS}
        if before
        else {}
    )
    return {
        seen.signal.details["control_id"]
        for seen in CONTROLS
        if rules.choose(seen, known.get(seen.known.key)) is not None
    }


@pytest.mark.parametrize(
    ("when", "wanted"),
    [
        ({}, OPEN),
        ({"category": "Identity"}, {"AdminMFAV2"}),
        ({"category": ["devices", "Infra*"]}, {"IntuneDeviceCompliance", "scid_2000"}),
        ({"category": "Finance"}, set()),
        ({"service": "exo"}, {"exo_oauth2clientprofileenabled"}),
        ({"tier": "Defense in Depth"}, {"mip_sensitivitylabelspolicies"}),
        ({"control": "scid_*"}, {"scid_2000"}),
        ({"max_score": 9}, {"AdminMFAV2", "DLPEnabled", "scid_2000"}),
        ({"max_score": 9.5}, {"AdminMFAV2", "DLPEnabled"}),
        ({"rank": 3}, {"AdminMFAV2", "DLPEnabled"}),
        ({"user_impact": "High"}, {"IntuneDeviceCompliance", "scid_2000"}),
        ({"implementation_cost": ["Low", "Moderate"]}, OPEN - {"IntuneDeviceCompliance", "scid_2000"}),
        ({"below": 50}, OPEN - {"AdminMFAV2", "IntuneDeviceCompliance"}),
        ({"below": 65.1}, OPEN),
        ({"below": 50, "category": "Data"}, {"DLPEnabled", "mip_sensitivitylabelspolicies"}),
        ({"dropped": True}, set()),
    ],
)
def test_conditions(when: dict[str, Any], wanted: set[str]) -> None:
    assert chosen(when) == wanted


def test_a_drop_is_less_than_before() -> None:
    assert chosen({"dropped": True}, score=3.0) == OPEN - {"AdminMFAV2", "scid_2000"}
    assert chosen({"dropped": True}, score=None) == set()


def test_the_first_rule_that_matches_wins() -> None:
    rules = chooser({"name": "data", "when": {"category": "Data"}}, {"name": "all"}, {"name": "dlp"})
    found = {rule.name for seen in CONTROLS if (rule := rules.choose(seen, None)) is not None}
    assert found == {"data", "all"}


def test_fields_of_a_rule_are_no_other_rule() -> None:
    one, other = {"name": "all"}, {"name": "all", "fields": {"assignment_group": "Service Desk"}}
    assert chooser(one).digest == chooser(other).digest
    assert chooser(one).digest != chooser({"name": "all", "priority": 1}).digest


def test_a_control_without_a_score_in_the_tenant_is_never_chosen() -> None:
    profile = {"id": "Unlicensed", "azureTenantId": CONTOSO.id, "maxScore": 10}
    seen = see(profile, by_control({"controlScores": []})("Unlicensed"), "", NOW)
    assert chooser({"name": "all"}).choose(seen, None) is None


@pytest.mark.parametrize(
    ("most", "entry"), [(0, {}), (None, {}), (10, {"implementationStatus": "NotScored"}), (10, {"status": "NotScored"})]
)
@pytest.mark.parametrize("was", ["Default", "Ignored"])
def test_a_control_that_is_not_scored_becomes_no_ticket_and_brings_none_back(
    most: Any, entry: dict[str, Any], was: str
) -> None:
    profile = {"id": "Custom", "azureTenantId": CONTOSO.id, "maxScore": most, "title": "t"}
    seen = see(profile, {"controlName": "Custom", "score": 0, **entry}, "", NOW)
    assert chooser({"name": "all"}).choose(seen, None) is None
    before = KnownControl(seen.known.key, seen.known.origin, state=was, over=was == "Ignored")
    closed = Link(key=seen.known.key, stage=LinkStage.CLOSED, ticket=TicketRef(TicketKind.INCIDENT, "a", "b", "c", ""))
    for link in (None, closed):
        assert judge(seen, before, link, chooser({"name": "all"}), NOW).send is None
    scored = see({**profile, "maxScore": 10}, {"controlName": "Custom", "score": 0}, "", NOW)
    assert judge(scored, before, closed, chooser({"name": "all"}), NOW).send is not None
