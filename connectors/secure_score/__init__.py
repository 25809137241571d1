"""Microsoft 365 Secure Score as a source: improvement actions, and the states of their controls."""
