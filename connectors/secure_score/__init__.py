"""Microsoft 365 Secure Score as a source that the bridge asks and tells: improvement actions and their states."""
