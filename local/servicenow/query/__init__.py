"""Encoded queries: reading them, and finding the rows they mean."""
