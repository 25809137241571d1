"""JSON documents in Blob storage."""

from __future__ import annotations

import json
from typing import Any, Generic, TypeVar, cast

from shared.core.errors import UnreadableRow
from shared.platform.codec import WRONG_FORM, coding_of
from shared.platform.storage import Storage, create_on_first_use, storage_errors

T = TypeVar("T")


class JsonBlob(Generic[T]):
    """One document. All methods raise StorageUnavailable.

    Args:
        storage: the account.
        container: name of the container; it is created by the first write.
        name: of the blob.
        kind: type of the value, of those that ``shared.platform.codec`` can store.
    """

    def __init__(self, storage: Storage, container: str, name: str, kind: type[T]) -> None:
        self._storage = storage
        self._container = container
        self._name = name
        self._coding = coding_of(cast(Any, kind))

    async def read(self) -> T | None:
        """The value, None when there is no such blob. Raises UnreadableRow for one that cannot be read."""
        from azure.core.exceptions import ResourceNotFoundError

        async with storage_errors(f"reading from container {self._container}"):
            try:
                download = await self._storage.container(self._container).download_blob(self._name)
                text = await download.readall()
            except ResourceNotFoundError:
                return None
        try:
            value: T = self._coding.read(json.loads(text))
        except WRONG_FORM as error:
            raise self._storage.unreadable(self._container, self._name, error) from error
        return value

    async def read_or_forget(self) -> T | None:
        """As :meth:`read`, but a blob that cannot be read counts as none; the log says so. The next write replaces it.

        For what can be found out anew: a position, a copy.
        """
        try:
            return await self.read()
        except UnreadableRow:
            return None

    async def write(self, value: T) -> None:
        """Write the value in place of what was there."""
        data = json.dumps(self._coding.write(value), separators=(",", ":")).encode()
        container = self._storage.container(self._container)

        async def upload() -> Any:
            return await container.upload_blob(self._name, data, overwrite=True)

        async with storage_errors(f"writing to container {self._container}"):
            await create_on_first_use(upload, container.create_container)

    async def create(self, value: T) -> bool:
        """Write the value where there is none yet; whether it was written."""
        from azure.core.exceptions import ResourceExistsError

        data = json.dumps(self._coding.write(value), separators=(",", ":")).encode()
        container = self._storage.container(self._container)

        async def upload() -> Any:
            return await container.upload_blob(self._name, data, overwrite=False)

        async with storage_errors(f"writing to container {self._container}"):
            try:
                await create_on_first_use(upload, container.create_container)
            except ResourceExistsError:
                return False
        return True

    async def delete(self) -> None:
        """Delete it; nothing happens when there is none."""
        from azure.core.exceptions import ResourceNotFoundError

        async with storage_errors(f"deleting from container {self._container}"):
            try:
                await self._storage.container(self._container).delete_blob(self._name)
            except ResourceNotFoundError:
                return
