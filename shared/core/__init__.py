"""Values and contracts that everything else is made of. Imports nothing of the project."""
