"""Durable messages: the contract, and one package for each database that keeps it."""
