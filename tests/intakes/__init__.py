"""What webhooks answer, and what is on the queue then."""
