"""Several hubs and their database, as an operator sees them: who is there, and how it is."""
