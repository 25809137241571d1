"""Secure Score controls: state by score and by what the tenant decided, order, severity, facts."""

from __future__ import annotations

from typing import Any

import pytest

from connectors.secure_score.payloads.control import control_key
from shared.core.signal import SignalState
from tests.payloads.findings import TENANT, control, profile
from tests.payloads.support import RECEIVED, read, refuse

KEY = f"secure_score:1:{TENANT}/adminmfav2"


def update(state: str, at: str | None = "2024-06-11T08:00:00Z", **more: Any) -> dict[str, Any]:
    return {"state": state, "updatedDateTime": at, **more}


@pytest.mark.parametrize(
    ("score", "most", "state"),
    [
        (0, 10, SignalState.FIRED),
        (6.5, 10, SignalState.FIRED),
        ("9.99", "10", SignalState.FIRED),
        (9.9999, 10.0, SignalState.FIRED),
        (10, 10.0, SignalState.RESOLVED),
        ("10", "10.0", SignalState.RESOLVED),
        (11, 10, SignalState.RESOLVED),
        (None, 10, SignalState.FIRED),
        ("n/a", 10, SignalState.FIRED),
    ],
)
def test_only_the_full_score_resolves(score: Any, most: Any, state: SignalState) -> None:
    signal = read(control(score, maxScore=most))
    assert signal.state is state
    assert signal.opens is (state is SignalState.FIRED)
    assert signal.details.get("resolution") == ("full_score" if state is SignalState.RESOLVED else None)


@pytest.mark.parametrize("most", [0, "0", 0.0, None, "", -1, "n/a"])
@pytest.mark.parametrize("score", [0, 1, None])
def test_a_control_that_brings_no_points_opens_nothing(score: Any, most: Any) -> None:
    signal = read(control(score, maxScore=most))
    assert (signal.state, signal.opens) == (SignalState.FIRED, False)
    assert signal.warnings == ("Microsoft does not score this control, so it opens no ticket by itself.",)


@pytest.mark.parametrize("name", ["implementationStatus", "status", "scoreInPercentage", "score"])
@pytest.mark.parametrize("word", ["NotScored", "notScored", "Not scored", "NOT_SCORED"])
def test_a_control_whose_entry_says_not_scored_opens_nothing(name: str, word: str) -> None:
    body = control(0)
    body["score"][name] = word
    assert read(body).opens is False
    whole = control(0)
    whole["profile"][name] = word
    assert read(whole).opens is False


def test_a_control_whose_prose_has_such_words_is_scored() -> None:
    body = control(0)
    body["score"]["description"] = "Not scored yet: 3 of 4 users are left to do."
    assert read(body).opens is True


def test_a_percentage_stands_in_for_points_that_cannot_be_compared() -> None:
    body = control(None)
    body["score"]["scoreInPercentage"] = 100.0
    assert read(body).state is SignalState.RESOLVED


@pytest.mark.parametrize(
    ("state", "resolution"),
    [
        ("Ignored", "ignored"),
        ("ignored", "ignored"),
        ("thirdParty", "third_party"),
        ("ThirdParty", "third_party"),
        ("reviewed", "reviewed"),
        ("Default", None),
        ("odd", None),
    ],
)
def test_what_the_tenant_settled_otherwise_opens_no_ticket(state: str, resolution: str | None) -> None:
    signal = read(control(controlStateUpdates=[update(state)]))
    assert signal.details.get("resolution") == resolution
    assert signal.state is (SignalState.RESOLVED if resolution else SignalState.FIRED)


def test_the_latest_update_counts_wherever_it_stands() -> None:
    updates = [
        update("ignored", comment="risk accepted", assignedTo="lee.gu@contoso.example"),
        update("Default", "2024-05-01T08:00:00Z"),
        update("Reviewed", None),
        "odd",
        {},
    ]
    signal = read(control(controlStateUpdates=updates))
    assert signal.details["control_state"] == "Ignored"
    assert signal.details["state_comment"] == "risk accepted"
    assert signal.details["assigned_to"] == "lee.gu@contoso.example"
    assert signal.resolved_at is not None
    assert signal.resolved_at.isoformat() == "2024-06-11T08:00:00+00:00"


def test_an_unknown_state_is_reported() -> None:
    assert "'odd' is not known" in read(control(controlStateUpdates=[update("odd")])).warnings[0]


def test_days_order_and_repetitions_are_equal() -> None:
    monday, again = read(control(6.5)), read(control(6.5))
    tuesday = read(control(10, at="2024-07-03T00:00:00Z"))
    dropped = read(control(9, at="2024-07-04T00:00:00Z"))
    assert monday.order == again.order
    assert monday.order < tuesday.order < dropped.order
    assert dropped.state is SignalState.FIRED  # so that it can reopen


def test_a_change_of_state_after_the_score_is_newer_than_the_score() -> None:
    before = read(control())
    ignored = [update("Ignored", "2024-07-02T10:00:00Z")]
    after = read(control(controlStateUpdates=ignored))
    back = read(control(controlStateUpdates=[*ignored, update("Default", "2024-07-02T12:00:00Z")]))
    assert before.order < after.order < back.order
    assert back.state is SignalState.FIRED


def test_the_key_names_tenant_and_control_without_case() -> None:
    assert read(control()).key == KEY == control_key(TENANT.upper(), "adminmfaV2")
    assert read(control(id="A/b")).key == f"secure_score:1:{TENANT}/a\\/b"


def test_the_tenant_comes_from_graph_first_and_from_the_caller_last() -> None:
    assert read({**control(), "tenant_id": "contoso.example"}).key == KEY
    assert read({**control(azureTenantId=None), "tenant_id": TENANT}).key == KEY
    body = control(azureTenantId=None)
    body["score"]["azureTenantId"] = TENANT
    assert read(body).key == KEY


def test_what_names_no_tenant_or_control_is_unreadable() -> None:
    assert "names no tenant (azureTenantId)" in refuse(control(azureTenantId=None))
    assert "names no control (id)" in refuse(control(id=""))


@pytest.mark.parametrize("deprecated", [True, "true", "True"])
def test_deprecated_controls_are_unreadable_with_that_reason(deprecated: Any) -> None:
    reason = refuse(control(deprecated=deprecated))
    assert "the control 'AdminMFAV2' is deprecated, and deprecated controls get no tickets" in reason


def test_a_profile_alone_is_read_and_has_no_score() -> None:
    signal = read(profile())
    assert (signal.source, signal.kind, signal.key, signal.state) == ("secure_score", "control", KEY, SignalState.FIRED)
    assert signal.condition == "No score is known."
    assert signal.occurred_at == RECEIVED
    assert read({"value": [profile()], "@odata.context": "x", "@odata.nextLink": "y"}).key == KEY


def test_the_entry_of_a_whole_secure_score_is_found_by_name() -> None:
    whole = {
        "azureTenantId": TENANT,
        "createdDateTime": "2024-07-02T00:00:00Z",
        "maxScore": 300,
        "controlScores": [{"controlName": "other", "score": 1}, None, {"controlName": "adminmfav2", "score": "6.5"}],
    }
    signal = read({"profile": profile(), "score": whole})
    assert signal.order == read(control(6.5)).order
    assert signal.condition == "Score 6.5 of 10 (65 %)."
    whole["controlScores"] = []
    assert read({"profile": profile(), "score": whole}).condition == "No score is known."


@pytest.mark.parametrize(("most", "severity"), [(20, 1), (8, 1), ("5", 2), (4, 2), (3.5, 3), (0, 3), (None, None)])
def test_severity_follows_the_points_that_a_control_can_bring(most: Any, severity: int | None) -> None:
    body = control(None, maxScore=most)
    assert read(body).severity == severity


@pytest.mark.parametrize(
    ("category", "shown"), [("Identity", "Identity"), ("Device", "Devices"), ("Account", "Identity"), ("Data", "Data")]
)
def test_categories_have_the_names_of_tickets(category: str, shown: str) -> None:
    assert read(control(controlCategory=category)).details["category"] == shown


@pytest.mark.parametrize(
    ("vendor", "shown"),
    [
        ({"provider": "SecureScore", "vendor": "Microsoft"}, "Microsoft"),
        ({"provider": None, "vendor": "microsoft"}, "Microsoft"),
        (None, "Microsoft"),
        ({"provider": "Contoso", "vendor": "Contoso"}, "User"),
    ],
)
def test_the_recommendation_is_microsofts_or_a_users(vendor: Any, shown: str) -> None:
    assert read(control(vendorInformation=vendor)).details["recommendation_source"] == shown


def test_html_becomes_text_and_the_action_is_the_link() -> None:
    body = control(remediation="<ol><li>Open it.</li><li>Turn it <b>on</b>.</li></ol>", actionUrl="https://x.example/a")
    body["score"]["description"] = "<p>Why.</p>"
    body["score"]["implementationStatus"] = "3 of 5 done.<br/>"
    signal = read(body)
    assert signal.details["remediation_steps"] == "- Open it.\n- Turn it on."
    assert signal.description == "Why.\n\n3 of 5 done.\n\nScore 6.5 of 10 (65 %)."
    assert signal.links == {"portal": "https://x.example/a"}
    assert signal.title == "Require MFA for administrators"
    assert read(control(title=None)).title == "Secure Score control AdminMFAV2"
