"""A2A, versions 1.0 and 0.3: any agent that speaks it asks the fleet's agents."""
