"""The operator's command line: ``python bridge.py --help``. Never deployed.

Works on this machine (what ``python -m local up`` runs) or on a deployed app's storage and ticket system: the same
settings decide, from the environment, from local.settings.json, or from options.
"""

from __future__ import annotations

from cli.main import app

__all__ = ["app"]
