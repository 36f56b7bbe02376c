"""What changes the database; runs in the one native thread that writes."""
