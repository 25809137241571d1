"""What operators see and do: kept items, metrics, and the log of actions."""
