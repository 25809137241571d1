"""The Logs Ingestion API of Azure Monitor, and the tables that its rows reach."""
