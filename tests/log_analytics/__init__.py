"""Rows of the export, sent with Azure's own client over TLS to the stand-in of the Logs Ingestion API."""
