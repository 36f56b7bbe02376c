"""Connections of streams: how they are written to, and where idle ones wait."""
