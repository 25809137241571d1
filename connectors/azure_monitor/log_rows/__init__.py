"""Rows of log alerts: how tickets show them, and how those are read that a payload does not bring."""
