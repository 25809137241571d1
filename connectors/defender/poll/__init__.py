"""Findings of Defender for Cloud that the bridge asks for itself, and the clouds that it asks."""
