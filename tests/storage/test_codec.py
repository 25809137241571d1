"""Values as rows and as JSON: what is written is read back, and a field is named once."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta, timezone
from enum import StrEnum
from typing import Any, Literal

import pytest

from shared.core.link import Link
from shared.core.signal import Order
from shared.core.times import optional_moment, parse_moment
from shared.platform.codec import Coding, RowCodec, coding_of

NOW = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)


class Colour(StrEnum):
    RED = "red"


@dataclass(frozen=True)
class Part:
    name: str
    at: datetime | None = None


@dataclass(frozen=True)
class Whole:
    text: str
    number: int = 0
    share: float = 0.0
    yes: bool = False
    read_at: datetime | None = None
    every: timedelta = timedelta()
    colour: Colour = Colour.RED
    shape: Literal["round", "square"] = "round"
    latest: Order | None = None
    names: tuple[str, ...] = ()
    times: tuple[datetime, ...] = ()
    slots: tuple[tuple[str, int, float], ...] = ()
    part: Part | None = None
    parts: tuple[Part, ...] = ()
    by_name: Mapping[str, Part] | None = None


FULL = Whole(
    text="ü '日本語' \" \\",
    number=7,
    share=0.5,
    yes=True,
    read_at=NOW,
    every=timedelta(seconds=90),
    shape="square",
    latest=(NOW, 2),
    names=("a b", "", "c"),
    times=(NOW, NOW),
    slots=(("a", 1, 0.5), ("b", 2, 1.0)),
    part=Part("p", NOW),
    parts=(Part("q"), Part("r", NOW)),
    by_name={"x": Part("y", NOW)},
)


def test_what_is_written_is_read_back() -> None:
    codec = RowCodec(Whole)
    for one in (FULL, Whole("")):
        row = codec.to_row(one)
        assert codec.from_row(row) == one
        assert coding_of(Whole).read(json.loads(json.dumps(coding_of(Whole).write(one)))) == one
        assert all(type(cell) in (str, int, bool, float) for cell in row.values()), "what a table can hold"


def test_columns_are_the_fields_in_camel_case_and_read_well() -> None:
    row = RowCodec(Whole).to_row(FULL)
    assert row["ReadAt"] == "2026-03-01T12:00:00.123456Z"
    assert row["Latest"] == "2026-03-01T12:00:00.123456Z 2"
    assert row["Names"] == '["a b","","c"]'
    assert row["Part"] == '{"name":"p","at":"2026-03-01T12:00:00.123456Z"}'
    assert (row["Every"], row["Colour"], row["ByName"][:5]) == (90.0, "red", '{"x":')
    assert RowCodec(Whole).to_row(Whole(""))["ReadAt"] == ""
    assert len(RowCodec(Link).to_row(Link("k"))) == len(fields(Link))


def test_a_field_may_have_a_coding_of_its_own_and_only_some_may_be_written() -> None:
    codec = RowCodec(Part, name=Coding(str.upper, str.lower))
    assert codec.to_row(Part("x")) == {"Name": "X", "At": ""}
    assert codec.from_row({"Name": "X"}) == Part("x")
    assert codec.cells(at=NOW) == {"At": "2026-03-01T12:00:00.123456Z"}
    assert codec.columns("at") == ["At"]
    with pytest.raises(KeyError):
        codec.columns("age")


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        ({"Text": None}, "text is missing"),
        ({"Text": 7}, "text: 7 is not of type str"),
        ({"Number": True}, "number: True is not of type int"),
        ({"ReadAt": "2026-03-01"}, "read_at: "),
        ({"Colour": "blue"}, "colour: 'blue' is not a valid Colour"),
        ({"Shape": "flat"}, "shape: 'flat' is not one of round, square"),
        ({"Latest": "2026-03-01T12:00:00Z"}, "latest: "),
        ({"Names": "a b"}, "names: "),
        ({"Names": "{}"}, "names: {} is not an array"),
        ({"Slots": '[["a", 1]]'}, "slots: ['a', 1] is not an array of 3"),
        ({"Slots": '[["a", "b", 1.0]]'}, "slots: 'b' is not of type int"),
        ({"Part": "[]"}, "part: "),
        ({"Part": '{"at":null}'}, "part: name is missing"),
        ({"Every": "long"}, "every: "),
    ],
)
def test_what_cannot_be_read_is_named(cells: dict[str, Any], reason: str) -> None:
    codec = RowCodec(Whole)
    with pytest.raises(ValueError, match="^" + reason.replace("[", r"\[").replace("{}", r"\{\}")):
        codec.from_row({**codec.to_row(FULL), **cells})


def test_a_type_that_has_no_form_is_a_mistake_of_the_programmer() -> None:
    with pytest.raises(TypeError, match="no form in which it is stored"):
        coding_of(complex)


def test_times_name_their_offset() -> None:
    assert parse_moment("2026-03-01T13:00:00.123456+01:00") == NOW
    assert parse_moment("2026-03-01T13:00:00+01:00").tzinfo == timezone(timedelta(hours=1))
    assert (optional_moment(""), optional_moment(None)) == (None, None)
    for text in ("2026-03-01T12:00:00", "2026-03-01", "now"):
        with pytest.raises(ValueError, match=r"offset|Invalid"):
            parse_moment(text)
