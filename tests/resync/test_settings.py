"""The section ``resync``, and who tells which subscription."""

from __future__ import annotations

from contextlib import aclosing

import pytest

from app.configuration import parse_config
from connectors.azure_monitor.settings import AlertStateSettings, ReconcileSettings
from connectors.azure_monitor.subscriptions import AlertSubscriptions
from connectors.microsoft import Endpoint
from connectors.microsoft.clients import CloudEndpoints, MicrosoftClients
from connectors.microsoft.settings import SignIn
from shared.config.model import BridgeConfig
from shared.core.clouds import CloudName
from shared.core.errors import ConfigurationError
from shared.core.secrets import SettingSecrets

OURS, THEIRS = "11111111-2222-3333-4444-555555555555", "AAAAAAAA-7777-8888-9999-000000000000"


def configured(section: str) -> BridgeConfig:
    head = (
        "version: 1\nconnections:\n  desk: {type: servicenow, url: 'https://contoso.service-now.com', "
        "auth: {type: api_key, key: {secret: key}}, states: {incident: {names: {2: In Arbeit}}}}\n"
        "default: {connection: desk}\n"
    )
    return parse_config(head + section, settings={})


def test_links_follow_their_tickets_and_azure_is_told_nothing_unless_wished() -> None:
    config = configured("")
    assert config.resync.enabled
    assert config.section("resync.alerts", AlertStateSettings) is None


@pytest.mark.parametrize("state", ["assigned", "Open", "on hold", "In Arbeit", "2", "-1", "Fix in Progress"])
def test_states_may_be_written_by_name_or_value(state: str) -> None:
    config = configured(f'resync: {{alerts: {{acknowledge: ["{state}"]}}}}\n')
    alerts = config.section("resync.alerts", AlertStateSettings)
    assert alerts is not None
    assert alerts.acknowledge == (state,)


def test_a_state_that_no_connection_has_is_refused_by_its_place() -> None:
    with pytest.raises(ConfigurationError) as caught:
        configured("resync:\n  alerts:\n    close:\n      - closed\n      - Finished\n")
    (problem,) = caught.value.problems
    assert problem.startswith("bridge.yaml:9: resync.alerts.close[1]: no connection has a state 'Finished'")
    assert "In Arbeit" in problem


@pytest.mark.parametrize("section", ["{every: 1m}", "{page_size: 5}", "{full_check_every: 5m}", "{alert: {}}"])
def test_what_makes_no_sense_is_refused(section: str) -> None:
    with pytest.raises(ConfigurationError, match="resync"):
        configured(f"resync: {section}\n")


async def test_a_subscription_of_reconcile_is_told_with_its_own_sign_in_and_all_others_by_the_app() -> None:
    asked: list[SignIn | None] = []

    class Known(MicrosoftClients):
        def credential(self, cloud: CloudName, sign_in: SignIn | None):  # type: ignore[no-untyped-def]  # as the base class
            asked.append(sign_in)
            return object()

    sign_in = {"tenant": OURS, "client_id": OURS, "client_secret": {"secret": "x"}}
    reconcile = ReconcileSettings.model_validate({"subscriptions": [{"id": THEIRS, "sign_in": sign_in}]})
    reach = CloudEndpoints(Endpoint("https://management.example.com", "x"), "https://login.example.com")
    async with aclosing(Known(SettingSecrets({}), reach)) as clients:
        subscriptions = AlertSubscriptions(clients, "public", reconcile)
        first = subscriptions.open(THEIRS.lower())
        subscriptions.open(OURS)
        assert subscriptions.open(THEIRS.lower()) is first  # it keeps its pace
    assert asked == [reconcile.subscriptions[0].sign_in, None]
