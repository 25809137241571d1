"""aiosnow works against the simulator unchanged: models, queries, streams, files, errors."""

from __future__ import annotations

import warnings
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from local.servicenow import Simulator
from tests.servicenow_simulator.support import Control

with warnings.catch_warnings():
    # The package declares its models with arguments that marshmallow has deprecated.
    warnings.simplefilter("ignore")
    import aiosnow
    from aiosnow.exceptions import (
        NoItems,
        RequestError,
        TooManyItems,
        UnexpectedContentType,
    )
    from aiosnow.models.table.declared import IncidentModel

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::marshmallow.warnings.RemovedInMarshmallow4Warning"),
]


@pytest.fixture
async def incidents(simulator: Simulator) -> AsyncIterator[Any]:
    client = aiosnow.Client(
        simulator.url.removeprefix("http://"), basic_auth=(simulator.username, simulator.password), use_ssl=False
    )
    async with IncidentModel(client, table_name="incident") as model:
        yield model
        model._attachment.io_pool_exc.shutdown()


async def test_create_read_update_delete(incidents: Any) -> None:
    made = await incidents.create({"short_description": "From aiosnow", "impact": "1", "urgency": "1"})
    assert (made.status, made["short_description"]) == (201, "From aiosnow")
    found = await incidents.get_one(IncidentModel.number == made["number"])
    assert found["sys_id"] == made["sys_id"]
    changed = await incidents.update(IncidentModel.number == made["number"], {"description": "More"})
    assert changed["description"] == "More"
    assert (await incidents.delete(made["sys_id"])).status == 204
    with pytest.raises(NoItems):
        await incidents.get_one(IncidentModel.number == made["number"])


async def test_queries_with_mapped_values(incidents: Any) -> None:
    selection = aiosnow.select(
        (IncidentModel.state == 2) & (IncidentModel.short_description.contains("vpn") | IncidentModel.impact.equals(1))
    ).order_desc(IncidentModel.number)
    found = await incidents.get(selection, limit=50)
    listed = [record["number"] for record in found]
    assert listed == sorted(listed, reverse=True)
    assert all(record["state"].value == "In Progress" for record in found)
    assert all(record["state"].key == 2 for record in found)
    with pytest.raises(TooManyItems):
        await incidents.get_one(IncidentModel.state == 2)


async def test_dates(incidents: Any, control: Control) -> None:
    control.clock(freeze=True, set="2026-05-01T08:00:00Z")
    made = await incidents.create({"short_description": "Dated", "due_date": "2026-05-04 02:03:04"})
    for selection in (
        IncidentModel.due_date.on("2026-05-04 02:03:04"),
        IncidentModel.due_date.between("2026-05-04 00:00:00", "2026-05-05 00:00:00"),
        IncidentModel.due_date.after("2026-05-03 00:00:00"),
        IncidentModel.sys_created_on.as_of("2026-05-01 08:00:00"),
    ):
        assert [record["number"] for record in await incidents.get(selection)] == [made["number"]]


async def test_a_stream_follows_the_pages(incidents: Any, control: Control) -> None:
    numbers = [record["number"] async for _, record in incidents.stream(page_size=7, limit=30, return_only=["number"])]
    assert len(numbers) == len(set(numbers)) == 30
    assert control.get("/counters")["by_method_and_table"]["GET incident"] == 5


async def test_files_travel_both_ways(incidents: Any, tmp_path: Path) -> None:
    made = await incidents.create({"short_description": "With a file"})
    source = tmp_path / "notes.txt"
    source.write_bytes(b"hello")
    await incidents.upload_file(made["sys_id"], str(source))
    (listed,) = list(await incidents.get_attachments())
    assert (listed["file_name"], listed["size_bytes"]) == ("notes.txt", 5)
    fetched = await incidents.download_file(f"sys_id={listed['sys_id']}", str(tmp_path / "back"))
    assert (tmp_path / "back" / "notes.txt").read_bytes() == b"hello"
    assert fetched.file_path == str(tmp_path / "back" / "notes.txt")


async def test_errors(incidents: Any, simulator: Simulator, control: Control) -> None:
    with pytest.raises(RequestError, match="Operation Failed: Data Policy Exception"):
        await incidents.create({"state": "6"})
    with pytest.raises(RequestError, match="No Record found: Record doesn't exist or ACL restricts"):
        await incidents.update("0" * 32, {"state": "2"})
    control.order("hibernate", times=1)
    with pytest.raises(UnexpectedContentType):
        await incidents.get("number=INC0000001")
    wrong = aiosnow.Client(simulator.url.removeprefix("http://"), basic_auth=("admin", "wrong"), use_ssl=False)
    async with IncidentModel(wrong, table_name="incident", attachment=False) as model:
        model._attachment = None
        with pytest.raises(RequestError, match="User Not Authenticated"):
            await model.get("number=INC0000001")
