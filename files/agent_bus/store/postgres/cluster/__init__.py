"""Several active hubs on one database: who lives, and what each of them has to hear."""
