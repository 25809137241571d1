"""A stateful stand-in for a ServiceNow instance, over http and https, for tests, demos and benchmarks.

From Python: ``async with local.servicenow.running() as simulator: ...``; from a shell: ``python -m local.servicenow``.
``GET /control`` lists what tests can see and change.
"""

from __future__ import annotations

from local.servicenow.server import Simulator, running

__all__ = ["Simulator", "running"]
