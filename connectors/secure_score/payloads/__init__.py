"""Microsoft Secure Score: improvement actions (controls) of a tenant, polled from Microsoft Graph."""
