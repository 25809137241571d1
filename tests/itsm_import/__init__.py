"""From ITSM actions to routes."""
