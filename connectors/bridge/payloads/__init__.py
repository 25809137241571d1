"""Makes signals of the bridge's own problems."""
