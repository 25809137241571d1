"""Tags of resources, resource groups and subscriptions, read from Azure Resource Graph for routes and templates."""
