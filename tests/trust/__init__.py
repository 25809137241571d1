"""Who may call, what is taken, whom we call."""
