"""Reads requests for tickets."""
