"""What timers do so that both sides agree: compare, catch up, refresh."""
