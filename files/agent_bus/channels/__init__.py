"""A seat for the human: what is sent to the operator is told by the inventory's channels."""
