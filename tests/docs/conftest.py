"""One running bridge for all examples."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.docs.session import Session, make_checkout, opened


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    with opened(make_checkout(tmp_path_factory.mktemp("checkout"))) as running:
        yield running
