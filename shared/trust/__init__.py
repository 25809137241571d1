"""Who may call us, what we take from them, and whom we call: nothing here trusts an input because it looks right."""
