"""Schemas are handed to the kit, which knows no source: each source recognises and reads its own payloads."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path

import pytest

from app.registry import REGISTRY
from shared.core.payload_schema import Fields, PayloadSchema
from shared.core.signal import Signal, SignalState, Unreadable
from shared.payloads import parse as kit
from tests.payloads.support import RECEIVED, SOURCES, every_name, fixture, parse

OWN = {source.name: source.schemas for source in REGISTRY.sources}


def _read_storm(body: Fields, received_at: datetime) -> Signal:
    return Signal("weather", "storm", f"storm:1:{body['storm']}", SignalState.FIRED, received_at)


STORM = PayloadSchema("a storm warning", lambda body: "storm" in body, _read_storm)


def test_azure_monitor_is_tried_first_then_the_others_in_the_order_of_the_registry() -> None:
    assert tuple(OWN) == SOURCES
    assert REGISTRY.schemas == tuple(schema for source in SOURCES for schema in OWN[source])


@pytest.mark.parametrize(("source", "name"), every_name())
def test_each_source_reads_its_own_payloads_by_its_own_schemas(source: str, name: str) -> None:
    alone = kit.parse(fixture(name, source), RECEIVED, OWN[source], REGISTRY.foreign)
    assert alone == parse(fixture(name, source), RECEIVED)


def test_a_schema_that_is_handed_in_is_read() -> None:
    (found,) = kit.parse({"records": [{"Storm": "anna"}]}, RECEIVED, (*REGISTRY.schemas, STORM))
    assert isinstance(found, Signal)
    assert (found.source, found.key, found.occurred_at) == ("weather", "storm:1:anna", RECEIVED)


def test_the_first_schema_whose_test_holds_reads() -> None:
    other = PayloadSchema("other", lambda _: True, lambda _, at: _read_storm({"storm": "other"}, at))
    for schemas, key in (((STORM, other), "storm:1:anna"), ((other, STORM), "storm:1:other")):
        (found,) = kit.parse({"storm": "anna"}, RECEIVED, schemas)
        assert isinstance(found, Signal)
        assert found.key == key


def test_without_schemas_every_body_is_unreadable_and_what_it_is_comes_from_what_is_handed_in() -> None:
    body = {"contentUri": "https://x.example", "contentId": "1"}
    (plain,) = kit.parse(body, RECEIVED, ())
    assert plain == Unreadable("This follows no schema that is known here. Its keys are: contenturi, contentid.", body)
    (named,) = kit.parse(body, RECEIVED, (), lambda fields: f"It has {len(fields)} keys.")
    assert named == Unreadable("It has 2 keys.", body)
    (ours,) = parse(body, RECEIVED)
    assert isinstance(ours, Unreadable)
    assert ours.reason.startswith(
        "This is a content notification of the Office 365 Management Activity API; taken are "
    )


def test_a_mistake_in_what_is_handed_in_costs_no_payload() -> None:
    def broken(body: Fields) -> str:
        raise KeyError(str(body))

    (found,) = kit.parse({"a": 1}, RECEIVED, (), broken)
    assert found == Unreadable("Reading this payload failed (KeyError); it is kept for replay.", {"a": 1})


def test_the_kit_names_no_source() -> None:
    words = re.compile(
        r"azure|microsoft|defender|secure.?score|servicenow|arm id|import connectors|from connectors", re.IGNORECASE
    )
    files = sorted(Path(kit.__file__).parent.glob("*.py"))
    assert len(files) > 4
    assert {f.name: found for f in files if (found := words.findall(f.read_text("utf-8")))} == {}
