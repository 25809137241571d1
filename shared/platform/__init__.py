"""Azure Storage, secrets, logs and guarded outgoing connections."""
