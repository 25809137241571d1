"""Checks what the configuration asks of Microsoft's services, with the fewest calls that prove it. Only reads.

Storage is not touched: the check is made by people, on any machine.
"""

from __future__ import annotations

from shared.sync.checks.run import Checked, check_sources

__all__ = ["Checked", "check_sources"]
