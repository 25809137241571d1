"""Compares Azure's own list of alerts with what the bridge knows."""
