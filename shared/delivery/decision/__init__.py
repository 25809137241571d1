"""What to do with a signal, given what is known. Pure."""
