"""The long text of tickets about findings and controls."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from connectors.azure_monitor.layouts import LAYOUTS as AZURE_MONITOR
from connectors.defender.layouts import LAYOUTS as DEFENDER
from connectors.secure_score.layouts import LAYOUTS as SECURE_SCORE
from connectors.secure_score.payloads.request import WantedTicket, asked
from shared.core.signal import Signal
from shared.mapping.layouts import PLAIN
from shared.mapping.summary import summary as summary_by
from tests.mapping.signals import CPU, mapper, signal
from tests.payloads.support import DETAILS, fixture, parse

NOW = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)

LAYOUTS = {**AZURE_MONITOR, **DEFENDER, **SECURE_SCORE}


def summary(found: Signal, limit: int) -> str:
    return summary_by(found, LAYOUTS.get(found.kind, PLAIN), limit)


def of(name: str, source: str = "defender") -> Signal:
    found = parse(fixture(name, source), NOW)[0]
    assert isinstance(found, Signal)
    return found


def test_a_recommendation_shows_facts_steps_and_its_page() -> None:
    text = summary(of("recommendation/export-unhealthy"), 4000)
    for part in (
        "\nRecommendation: Virtual machines should encrypt temp disks, caches and data flows\n",
        "\nSeverity: High\nDetected: 2024-05-14T06:21:09",
        "\nCategories: Compute\n",
        "\nImplementation effort: High\n",
        "\nThreats: DataExfiltration, DataSpillage\n",
        "\n\nRemediation steps:\nTo encrypt the disks:\n1. Open the guide (https://learn.microsoft.com/",
        "\n2. Turn on encryption at host & restart.\n\nRecommendation in Azure: https://portal.azure.com/#blade/",
    ):
        assert part in text, part
    assert "Dimensions:" not in text
    assert text.index("Resource: ") < text.index("Remediation steps:")


def test_a_security_alert_shows_entities_and_extended_properties() -> None:
    text = summary(of("security_alert/export-new"), 4000)
    for part in (
        "\nAlert type: VM_SuspectProcess\n",
        "\nCompromised entity: vm-shop-web-01\n",
        "\n\nEntities:\nhost: vm-shop-web-01\nip: 203.0.113.25\n",
        "\n\nExtended properties:\n  Process Path: c:\\temp\\upd.exe\n",
        "\n\nSecurity alert in Azure: https://portal.azure.com/#blade/",
    ):
        assert part in text, part


def test_a_finding_shows_its_scores_and_vulnerabilities() -> None:
    text = summary(of("sub_assessment/arm-list"), 4000)
    for part in ("\nCVSS score: 8.1 (CVSS 3.0), 7 (CVSS 2.0)\n", "\n\nCVEs:\nCVE-2024-4741 (https://cve.example/"):
        assert part in text, part


def test_a_control_shows_the_agreed_data() -> None:
    text = summary(of("control-partial", "secure_score"), 4000)
    for part in (
        "\nTask: Require multifactor authentication for administrative roles\n",
        "\nCategory: Identity\nRecommendation source: Microsoft\nService: AzureAD\nTier: Core\n",
        "\n\nScore 6.5 of 10 (65 %).\n\nTask: ",
        "\nSeverity: High\nDetected: 2024-07-02",
        "\nRank: 1\nUser impact: Low\nImplementation cost: Low\n",
        "\n\nRemediation steps:\nPolicies:\n\n- Open the admin center (https://entra.microsoft.com).\n",
        "\n\nAction in Microsoft 365: https://security.microsoft.com/securescore?viewid=actions&control=AdminMFAV2",
    ):
        assert part in text, part


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("recommendation/export-unhealthy", "defender"),
        ("sub_assessment/arm-list", "defender"),
        ("security_alert/export-new", "defender"),
        ("control-partial", "secure_score"),
    ],
)
def test_findings_are_detected_and_rated_in_words_and_each_fact_is_said_once(name: str, source: str) -> None:
    text = summary(of(name, source), 4000)
    assert "Fired" not in text
    assert "Sev1" not in text
    assert text.count("\nSeverity") == 1
    assert text.count("Score 6.5") + text.count("Score now") == (1 if source == "secure_score" else 0)
    other = replace(of(name, source), severity=0)
    assert "\nSeverity: Critical\n" in summary(other, 4000)
    assert ("\nSeverity given by Defender for Cloud: High\n" in summary(other, 4000)) is (source == "defender")


def test_a_due_date_has_whole_seconds() -> None:
    found = asked(of("control-partial", "secure_score"), WantedTicket(due=NOW.replace(microsecond=123456)))
    assert "\nDue date: 2030-01-02T03:04:05.000Z\n" in summary(found, 4000)


def test_steps_that_do_not_fit_are_cut_before_the_link() -> None:
    found = of("recommendation/export-unhealthy")
    text = summary(found, 1200)
    assert len(text) <= 1200
    assert text.endswith(found.links["portal"])


@pytest.mark.parametrize("kind", LAYOUTS)
def test_layouts_name_only_details_that_exist(kind: str) -> None:
    layout = LAYOUTS[kind]
    source = "secure_score" if kind == "control" else "azure_monitor" if kind in AZURE_MONITOR else "defender"
    assert {name for name, _ in (*layout.facts, *layout.texts)} <= DETAILS[source].keys()


def test_other_kinds_are_shown_as_before() -> None:
    text = summary(signal(details={**CPU.details, "remediation_steps": "x"}), 4000)
    assert "\nRule: cpu-high\n" in text
    assert "Dimensions:\n  Instance: 0" in text
    assert "Alert in Azure: https://portal.azure.com/#blade/Alert" in text
    assert "Remediation steps" not in text


@pytest.mark.parametrize(
    ("when", "name", "source"),
    [
        ("source: defender, kind: recommendation, severity: 1", "recommendation/export-unhealthy", "defender"),
        (
            "dimensions: {categories: '*Compute*', implementationEffort: high}",
            "recommendation/export-unhealthy",
            "defender",
        ),
        ("tags: {owner: 'lee.*'}", "recommendation/resource-graph-page", "defender"),
        ("kind: [sub_assessment]", "sub_assessment/export-pascalcase", "defender"),
        ("kind: security_alert, rule: VM_*", "security_alert/export-new", "defender"),
        ("source: secure_score, kind: control, dimensions: {tier: core}", "control-partial", "secure_score"),
    ],
)
def test_routes_can_tell_findings_apart(when: str, name: str, source: str) -> None:
    routes = mapper(f"routes:\n- {{name: wanted, when: {{{when}}}, connection: desk, ticket: incident}}\n")
    found: Any = routes.route(of(name, source))
    assert found is not None
    assert routes.route(CPU) is None
