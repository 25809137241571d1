"""Secure Score: reads the controls of each tenant, and files and resolves tickets by rules."""
