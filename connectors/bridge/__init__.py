"""The bridge itself as a source: what its health says becomes signals like any other."""
