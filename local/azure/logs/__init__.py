"""Azure Monitor Logs: the query API."""
