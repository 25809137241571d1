"""From the ITSM actions of Microsoft's connector to routes of bridge.yaml."""
