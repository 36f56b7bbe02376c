"""What writes to PostgreSQL: one thread, one transaction per batch."""
