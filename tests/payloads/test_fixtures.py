"""Every shape that is known from the field, read as a whole."""

from __future__ import annotations

import json
from typing import Any

import pytest

from connectors.defender.routes import FACTS
from shared.core.signal import Signal, Unreadable, from_dict, to_dict
from tests.payloads.support import DETAILS, RECEIVED, SOURCES, every_name, expected, fixture, names, parse


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
    used: dict[str, set[str]] = {source: set() for source in SOURCES}
    for source, fixture_name in every_name():
        for item in parse(fixture(fixture_name, source), RECEIVED):
            if isinstance(item, Signal):
                used[item.source] |= item.details.keys()
    elsewhere = {
        # tested where they occur
        "azure_monitor": {"sub_status", "event_description", "possible_causes"},
        # no payload says these: the bridge adds them (tests/defender_poll, tests/defender_assignments)
        "defender": {"management_groups", "polled", *FACTS},
        # the bridge adds what is wanted of a control's ticket (tests/secure_score); no fixture of it is a test
        "secure_score": {"requested_by", "priority", "due_date", "score_rule", "ticket_kind", "is_test"},
        # callers say with details of their own that something is a test (tests/manual)
        "manual": {"is_test"},
        # the bridge adds it to signals of credentials (tests/own_problems)
        "bridge": {"is_test", "days_left"},
    }
    for source, known in DETAILS.items():
        assert used[source] <= known.keys()
        assert known.keys() - used[source] == elsewhere[source]


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
