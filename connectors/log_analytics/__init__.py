"""Azure Monitor Logs (Log Analytics) as the destination of the export."""
