"""What the operator asks of the guards, and tells them."""
