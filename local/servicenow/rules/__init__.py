"""Business rules of the base system: what happens to a record between being sent and being stored."""
