"""``python -m local demo``: real-shaped alerts go in, and a table shows what became of each."""
