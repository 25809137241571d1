"""The Azure Workbook on exported tickets: written for ``infra/`` from its queries, and shown here as one HTML page."""
