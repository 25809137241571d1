"""``make bench``: every figure is a ratio of things measured in one run, side by side, on one machine."""
