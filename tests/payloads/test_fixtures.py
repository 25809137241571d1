"""Every shape that is known from the field, read as a whole."""

from __future__ import annotations

import json
from typing import Any

import pytest

from connectors.defender.routes import FACTS
from shared.core.signal import Signal, Unreadable, from_dict, to_dict
from shared.payloads.details import DETAILS
from shared.payloads.parse import parse
from tests.payloads.support import RECEIVED, every_name, expected, fixture, names


def shown(item: Signal | Unreadable) -> dict[str, Any]:
    return to_dict(item) if isinstance(item, Signal) else {"unreadable": item.reason}


@pytest.mark.parametrize(("source", "name"), every_name())
def test_the_complete_signal_of_each_known_shape(source: str, name: str) -> None:
    assert [shown(item) for item in parse(fixture(name, source), RECEIVED)] == expected(name, source)


@pytest.mark.parametrize(("source", "name"), every_name())
def test_a_signal_survives_its_way_through_json(source: str, name: str) -> None:
    for item in parse(fixture(name, source), RECEIVED):
        if isinstance(item, Signal):
            assert from_dict(json.loads(json.dumps(to_dict(item)))) == item


def test_details_use_the_documented_names_and_every_documented_name_is_used() -> None:
    used = {
        name
        for source, fixture_name in every_name()
        for item in parse(fixture(fixture_name, source), RECEIVED)
        if isinstance(item, Signal)
        for name in item.details
    }
    # tested where they occur; no payload says the management groups, the bridge adds them (tests/defender_poll)
    elsewhere = {"sub_status", "event_description", "possible_causes", "management_groups", "polled"}
    # the bridge adds what is wanted of a control's ticket (tests/secure_score)
    elsewhere |= {"requested_by", "priority", "due_date", "score_rule", "ticket_kind"}
    # ... and who has to fix a recommendation (tests/defender_assignments)
    elsewhere |= FACTS.keys()
    assert used <= DETAILS.keys()
    assert DETAILS.keys() - used == elsewhere


def test_every_family_has_a_fixture() -> None:
    kinds = {
        (name.split("/")[0], item.kind)
        for name in names()
        for item in parse(fixture(name), RECEIVED)
        if isinstance(item, Signal)
    }
    every = {"metric", "log", "activity", "service_health", "resource_health", "prometheus", "smart_detection"}
    assert {kind for folder, kind in kinds if folder == "common"} == every | {"budget", "backup", "other"}
    assert {kind for folder, kind in kinds if folder == "noncommon"} == every - {"prometheus", "smart_detection"} | {
        "budget"
    }
    assert {kind for folder, kind in kinds if folder == "classic"} == {"metric", "autoscale"}
