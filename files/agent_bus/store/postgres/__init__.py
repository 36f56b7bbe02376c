"""The store on PostgreSQL, which several hubs may share."""
