"""``python -m local.azure``: runs the clouds until SIGTERM or SIGINT.

Prints one line of JSON as soon as both listeners answer: addresses, identities, files (see ``server.Simulator``).
"""

from __future__ import annotations

from local.azure.server import running
from local.simulator_kit.command import main

if __name__ == "__main__":
    main("local.azure", __doc__, running, {"certificates": "directory that keeps keys and certificates"})
