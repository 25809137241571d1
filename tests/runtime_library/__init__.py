"""Function apps in Microsoft's own Python runtime library, the one that runs them in Azure."""
