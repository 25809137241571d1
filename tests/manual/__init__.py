"""Tickets by hand."""
