"""The way to the database: its address, its connections and its schema."""
