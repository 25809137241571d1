"""Columns that Azure Monitor takes, filled from fields that exist."""

from __future__ import annotations

import re

import pytest

from connectors.log_analytics.columns import (
    LOG_COLUMNS,
    LOG_STREAM,
    LOG_TABLE,
    TABLES,
    TICKET_COLUMNS,
    TICKETS_STREAM,
    TICKETS_TABLE,
    WORK_ITEM_TYPES,
    Column,
    ColumnType,
)
from shared.core.export import ExportField, LogRow, TicketRecord
from shared.core.ticket_system import TicketKind

#: Source: Microsoft Learn, "Add or delete tables and columns in Azure Monitor Logs" (reserved names, 45 characters).
RESERVED = {"_resourceid", "id", "_subscriptionid", "tenantid", "type", "uniqueid", "title", "sourcesystem", "mg"}
#: What the suffixes of the old connector's tables mean. Source: "HTTP Data Collector API", Record type and properties.
SUFFIXES = {"_s": ColumnType.STRING, "_t": ColumnType.DATETIME, "_d": ColumnType.REAL, "_b": ColumnType.BOOLEAN}


@pytest.mark.parametrize("columns", TABLES.values(), ids=TABLES.keys())
def test_given_a_table_when_its_columns_are_read_then_azure_would_take_them(columns: tuple[Column, ...]) -> None:
    assert (columns[0].name, columns[0].type) == ("TimeGenerated", ColumnType.DATETIME)
    assert columns[1].name == "RecordId"
    names = [column.name for column in columns]
    assert len({name.lower() for name in names}) == len(names)
    assert [name for name in names if name.lower() in RESERVED] == []
    assert [name for name in names if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{0,44}", name)] == []
    for column in columns:
        assert SUFFIXES.get(column.name[-2:], column.type) is column.type, column.name
        assert re.fullmatch(r"[^.]+.*\.", column.about), column.name


@pytest.mark.parametrize("table", TABLES)
def test_given_a_table_when_it_is_named_then_it_is_a_custom_one(table: str) -> None:
    assert re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{0,59}_CL", table)


def test_given_streams_when_they_are_named_then_they_are_those_of_the_tables() -> None:
    assert (f"Custom-{TICKETS_TABLE}", f"Custom-{LOG_TABLE}") == (TICKETS_STREAM, LOG_STREAM)


def test_given_the_columns_of_tickets_when_their_sources_are_read_then_no_field_is_forgotten() -> None:
    sources = {column.source for column in TICKET_COLUMNS}
    assert {field.value for field in ExportField} <= sources
    computed = {"record_id", "work_item_type", "incident_state", "change_state"}
    own = set(TicketRecord.__slots__) - {"values"}
    assert sources == {field.value for field in ExportField} | own | computed
    assert WORK_ITEM_TYPES.keys() == {kind.value for kind in TicketKind} - {TicketKind.EVENT.value}


def test_given_the_columns_of_the_log_when_their_sources_are_read_then_no_field_is_forgotten() -> None:
    assert {column.source for column in LOG_COLUMNS} == {*LogRow.__slots__, "action_status"}
