"""What every implementation of a contract must do, as suites that an implementation's tests inherit from."""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite(
    "tests.conformance.changes", "tests.conformance.states", "tests.conformance.ticket_system"
)
