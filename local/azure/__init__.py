"""A stateful stand-in for Microsoft's clouds (Entra ID, Resource Manager, Graph), for tests, demos and benchmarks.

From Python: ``async with local.azure.running() as simulator: ...``; from a shell: ``python -m local.azure``.
``GET /control`` lists what tests can see and change. Written from documentation and published specifications.
"""

from __future__ import annotations

from local.azure.server import Simulator, running

__all__ = ["Simulator", "running"]
