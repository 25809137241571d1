"""The connection check of a ServiceNow connection. ``connection`` runs it and calls the other modules."""
