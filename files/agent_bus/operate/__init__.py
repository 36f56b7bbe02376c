"""What an operator sees of the hub, and what the hub does by the clock."""
