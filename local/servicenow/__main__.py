"""``python -m local.servicenow``: runs an instance until SIGTERM or SIGINT.

Prints one line of JSON as soon as both listeners answer: addresses, accounts, keys (see ``server.Simulator``).
"""

from __future__ import annotations

from local.servicenow.server import running
from local.simulator_kit.command import main

if __name__ == "__main__":
    main("local.servicenow", __doc__, running, {"data": "directory that keeps the state across restarts"})
