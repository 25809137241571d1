"""From the queue to the ticket: decide, reserve, call, commit; and what happens when that does not work."""
