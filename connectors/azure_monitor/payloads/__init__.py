"""Azure Monitor alerts: the common alert schema, every older schema, and the form of the AlertsManagement API.

``parse`` finds the schema with :mod:`shared.payloads.detect` and calls one of the readers here. A reader of a schema
fills a Builder; what an alert is about is read by one module per kind (metric, log_query, activity ...), which the
schemas share.
"""
