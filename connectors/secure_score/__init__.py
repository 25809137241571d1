"""Microsoft Graph: the secure score of a tenant, and the profiles of its controls."""

from __future__ import annotations

from connectors.secure_score.graph import GRAPH, SecureScores
from connectors.secure_score.sign_in import Application

__all__ = ["GRAPH", "Application", "SecureScores"]
