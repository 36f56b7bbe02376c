"""What keeps the rules about money and rights while messages pass, and says so."""
