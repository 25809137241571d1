"""Owners of tickets: tags of resources in Azure, and tables in files."""
