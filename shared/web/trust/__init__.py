"""Who may call the bridge."""
