"""What several test packages share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from local.azurite import Azurite
from local.scratch import sweep


@pytest.fixture(scope="session")
def azurite() -> Iterator[Azurite]:
    """One Azurite for all tests of a process; each test uses names of its own."""
    with Azurite() as running:
        yield running


def pytest_sessionfinish() -> None:
    """Folders of processes that a test killed go, too."""
    sweep(new=1.0)
