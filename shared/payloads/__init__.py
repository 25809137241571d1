"""Payload -> Signal, one module per source. Pure: no I/O, no clock, no environment."""
