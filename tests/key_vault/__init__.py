"""Secrets from Key Vault, with the real SDK against a small stand-in over TLS."""
