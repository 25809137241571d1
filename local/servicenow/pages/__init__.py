"""The instance as people see it in a browser: log-in, home page, lists, records. Read only; access is that of the API.

Source of the addresses: ServiceNow docs, "Navigating by URL" (``nav_to.do?uri=...``, ``<table>_list.do``,
``<table>.do?sys_id=...``, ``sysparm_query``, ``sysparm_order``, ``sysparm_order_direction``).
"""
