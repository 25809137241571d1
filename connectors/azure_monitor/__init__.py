"""Azure Monitor as a source: its alerts, the list that Azure keeps of them, and Resource Health."""
