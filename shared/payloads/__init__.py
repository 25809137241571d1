"""Payload -> Signal: what readers of every source need; schemas are handed in. Pure: no I/O, clock or environment."""
