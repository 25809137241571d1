"""What Azure forgets to call: signs of life, standing in, and what health says of it."""
