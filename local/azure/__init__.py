"""A stateful stand-in for Microsoft's clouds, for tests, demos and benchmarks.

It has Entra ID, Resource Manager, Graph, and the query and ingestion APIs of Azure Monitor Logs.

From Python: ``async with local.azure.running() as simulator: ...``; from a shell: ``python -m local.azure``.
``GET /control`` lists what tests can see and change. Written from documentation and published specifications.
"""

from __future__ import annotations

from local.azure.ingestion.rules import DataCollectionRule
from local.azure.ingestion.store import TableStore
from local.azure.server import Simulator, running

__all__ = ["DataCollectionRule", "Simulator", "TableStore", "running"]
