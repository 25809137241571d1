"""Tickets by hand: whatever a person or a tool of theirs describes becomes a signal of the bridge's own."""
