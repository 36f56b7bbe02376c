"""How a local agent is woken."""
