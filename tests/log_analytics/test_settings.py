"""The section ``log_analytics`` of bridge.yaml, right and wrong."""

from __future__ import annotations

import pytest

from app.configuration import parse_config
from connectors.log_analytics.settings import LogAnalyticsSettings
from shared.core.errors import ConfigurationError

ENDPOINT = "https://dcr-bridge-a1b2.westeurope-1.ingest.monitor.azure.com"
RULE = f"dcr-{'0a' * 16}"
GUID = "11111111-2222-4333-8444-555555555555"
BEFORE = """\
version: 1
connections:
  contoso:
    type: servicenow
    url: https://contoso.service-now.com
    auth: {type: basic, username: azure.bridge, password: {secret: servicenow-password}}
default: {connection: contoso}
log_analytics:
"""


def settings(section: str, **values: str) -> LogAnalyticsSettings | None:
    return parse_config(BEFORE + section, settings=values).section("log_analytics", LogAnalyticsSettings)


def test_given_two_addresses_when_the_section_is_read_then_the_app_signs_in_itself() -> None:
    found = settings(
        "  endpoint: ${LOGS_INGESTION_ENDPOINT}\n  rule: ${LOGS_INGESTION_RULE}\n",
        LOGS_INGESTION_ENDPOINT=f"{ENDPOINT}/",
        LOGS_INGESTION_RULE=RULE,
    )
    assert found is not None
    assert (found.endpoint, found.rule, found.cloud, found.sign_in) == (ENDPOINT, RULE, "public", None)


def test_given_no_section_when_the_file_is_read_then_nothing_is_sent() -> None:
    config = parse_config(BEFORE.removesuffix("log_analytics:\n"), settings={})
    assert config.section("log_analytics", LogAnalyticsSettings) is None


@pytest.mark.parametrize(
    ("section", "line", "said"),
    [
        (f"  endpoint: {ENDPOINT.replace('https', 'http')}\n  rule: {RULE}\n", 9, "logsIngestion"),
        (f"  endpoint: {ENDPOINT}/dataCollectionRules\n  rule: {RULE}\n", 9, "logsIngestion"),
        (f"  endpoint: nowhere\n  rule: {RULE}\n", 9, "log_analytics.endpoint"),
        (f"  endpoint: {ENDPOINT}\n  rule: /subscriptions/a/dataCollectionRules/b\n", 10, "immutableId"),
        (f"  endpoint: {ENDPOINT}\n  rule: dcr-{'0A' * 16}\n", 10, "immutableId"),
        (f"  endpoint: {ENDPOINT}\n  rule: {RULE}\n  rulle: {RULE}\n", 11, "did you mean 'rule'?"),
        (f"  endpoint: {ENDPOINT}\n", 8, "log_analytics.rule"),
        (f"  endpoint: {ENDPOINT}\n  rule: {RULE}\n  cloud: mars\n", 11, "log_analytics.cloud"),
        (
            f"  endpoint: {ENDPOINT}\n  rule: {RULE}\n  sign_in: {{tenant: {GUID}, client_id: {GUID}}}\n",
            11,
            "give exactly one of",
        ),
    ],
)
def test_given_a_mistake_when_the_section_is_read_then_line_and_fix_are_told(
    section: str, line: int, said: str
) -> None:
    with pytest.raises(ConfigurationError) as raised:
        settings(section)
    (problem,) = raised.value.problems
    assert said in problem
    assert problem.startswith(f"bridge.yaml:{line}: log_analytics")
    assert "Fix:" in problem
