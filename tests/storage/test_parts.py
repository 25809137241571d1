"""Parts of split signals in real tables."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from uuid import uuid4

import pytest

from local.azurite import Azurite
from shared.delivery.splitting.model import Occurrence, OpenPart, OpenParts
from shared.delivery.splitting.store import PartStore
from shared.platform.storage import Storage
from shared.platform.tables import RowOvertaken

ORDER = (datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC), 0)


@pytest.fixture
async def parts(azurite: Azurite) -> AsyncIterator[PartStore]:
    storage = Storage({"AzureWebJobsStorage": azurite.connection_string})
    yield PartStore(storage)
    await storage.aclose()


async def test_the_most_parts_that_one_row_may_have_are_read_as_they_were_written(parts: PartStore) -> None:
    key = f"row:1:{uuid4()}"
    assert await parts.open_parts(key) is None
    many = tuple(OpenPart(f"{number:016x}", "ü" * 80, ORDER) for number in range(101))
    one = OpenParts(key, "a route", many, ORDER)
    etag = await parts.write_open_parts(one, None)
    found = await parts.open_parts(key)
    assert found is not None
    assert (found.value, found.etag) == (one, etag)
    with pytest.raises(RowOvertaken):
        await parts.write_open_parts(one, None)


async def test_what_became_of_a_key_is_kept_beside_the_parts_of_the_same_name(parts: PartStore) -> None:
    key = f"log:1:{uuid4()}"
    await parts.write_open_parts(OpenParts(key, "r"), None)
    seen = Occurrence(key, "row:1:x", ORDER, ORDER, done=True, alone=True)
    etag = await parts.write_occurrence(seen, None)
    found = await parts.occurrence(key)
    assert found is not None
    assert found.value == seen
    await parts.write_occurrence(Occurrence(key), etag)
    with pytest.raises(RowOvertaken):
        await parts.write_occurrence(seen, etag)
