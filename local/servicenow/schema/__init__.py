"""The data dictionary of the simulated instance: tables, columns, choices."""
