"""Adding a ticket system or a source needs no change in shared/: shown by a toy of each."""
