"""What only reads the database; runs in native threads of readers."""
