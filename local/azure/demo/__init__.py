"""What the clouds hold on their first day."""
