"""Microsoft Entra ID: token endpoints, discovery, keys, managed identity."""
