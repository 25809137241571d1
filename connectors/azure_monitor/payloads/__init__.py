"""Azure Monitor alerts: the common alert schema, every older schema, and the form of the AlertsManagement API.

``schemas`` has the table by which a payload is recognised. The reader of a schema fills a ``SignalBuilder``; what an
alert is about is read by one function per kind (metric, log query, activity ...), which the schemas share. Pure.
"""
