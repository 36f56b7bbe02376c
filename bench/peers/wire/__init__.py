"""The peers' protocols by hand: what to write, and what was read; pure."""
