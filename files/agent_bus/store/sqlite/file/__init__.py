"""The database file: how it is opened, brought to this schema, and backed up."""
