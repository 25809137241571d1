"""Azure Resource Graph: a part of its query language over the demo data."""
