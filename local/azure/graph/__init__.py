"""Microsoft Graph: secure score."""
